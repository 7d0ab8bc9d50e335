#!/usr/bin/env bash
# Builds the guests of the tests, as components:
#
#     build.sh [DIRECTORY]
#
# writes them to DIRECTORY, by default where the committed ones lie, with a stamp (tests/sources/built_guests.rs). Needs a rustc
# with the target wasm32-wasip2, the usual one or the one that GUEST_RUSTC names.
#
#     build.sh --stamp DIRECTORY
#
# prints a line for each guest: its name, the digest of its sources as they are, and that of the component in DIRECTORY.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cd "$root"
line() {
    local sources
    sources=$(find "tests/guests/$1" tests/guests/build.sh probes/sdk -type f -not -path '*/target/*' \
        \( -name '*.rs' -o -name '*.toml' -o -name '*.lock' -o -name '*.wit' -o -name '*.sh' \) -print0 |
        LC_ALL=C sort --zero-terminated | xargs --null sha256sum | sha256sum | cut --delimiter ' ' --fields 1)
    printf '%s %s %s\n' "$1" "$sources" "$(sha256sum <"$2/$1.wasm" | cut --delimiter ' ' --fields 1)"
}
if [ "${1:-}" = --stamp ]; then
    for guest in handshakes hostile standard; do line "$guest" "$2"; done
    exit
fi
out=${1:-$root/tests/fixtures/guests}
mkdir -p "$out"
export RUSTC=${GUEST_RUSTC:-${RUSTC:-rustc}}
export CARGO_TARGET_DIR=$root/target/test-guests
export CARGO_ENCODED_RUSTFLAGS=--remap-path-prefix=$root=/farrier$'\x1f'--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo
for guest in ${GUESTS:-standard hostile handshakes}; do
    cargo build --quiet --release --target wasm32-wasip2 --manifest-path "$here/$guest/Cargo.toml"
    cp "$CARGO_TARGET_DIR/wasm32-wasip2/release/$guest.wasm" "$out/$guest.wasm"
    # Only of what was built: the others keep theirs.
    touch "$out/stamp"
    { grep --invert-match "^$guest " "$out/stamp" || true; line "$guest" "$out"; } | LC_ALL=C sort >"$out/stamp.new"
    mv "$out/stamp.new" "$out/stamp"
done
