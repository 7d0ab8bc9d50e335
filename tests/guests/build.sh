#!/usr/bin/env bash
# Builds the guests of the tests, as components:
#
#     build.sh [DIRECTORY]
#
# writes them to DIRECTORY, by default where the committed ones lie. Needs a rustc with the target wasm32-wasip2, the
# usual one or the one that GUEST_RUSTC names.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=${1:-$root/tests/fixtures/guests}
mkdir -p "$out"
export RUSTC=${GUEST_RUSTC:-${RUSTC:-rustc}}
export CARGO_TARGET_DIR=$root/target/test-guests
export CARGO_ENCODED_RUSTFLAGS=--remap-path-prefix=$root=/farrier$'\x1f'--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo
for guest in ${GUESTS:-standard hostile handshakes}; do
    cargo build --quiet --release --target wasm32-wasip2 --manifest-path "$here/$guest/Cargo.toml"
    cp "$CARGO_TARGET_DIR/wasm32-wasip2/release/$guest.wasm" "$out/$guest.wasm"
done
