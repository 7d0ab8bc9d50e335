#!/bin/sh
# Builds beanstalkd.wasm beside this file, or where the first argument says. FARRIER names farrier if it is not on the PATH.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/beanstalkd.wasm}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The contract, beside the world that imports from it.
mkdir -p "$work/wit/deps/farrier-probe" "$work/export_farrier_probe_check"
cp "$here/wit/world.wit" "$work/wit/"
cp "$here/../../../wit/probe.wit" "$work/wit/deps/farrier-probe/"
cp "$here/probe.go" "$work/export_farrier_probe_check/"

cd "$work"
wit-bindgen go --world beanstalkd wit
# What the bindings call: as cargo unpacked it when it built wit-bindgen. Otherwise, go downloads it.
for runtime in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/wit-bindgen-go-0.61.1/src/pkg; do
    if [ -d "$runtime" ]; then
        go mod edit -replace "go.bytecodealliance.org/pkg=$runtime"
    fi
done
GOOS=wasip1 GOARCH=wasm go build -mod=mod -trimpath -buildmode=c-shared -ldflags='-s -w -checklinkname=0' -o core.wasm .
wasm-tools component embed --world beanstalkd wit core.wasm --output beanstalkd.core.wasm
"${FARRIER:-farrier}" probe build beanstalkd.core.wasm --out "$out" --metadata name=beanstalkd --metadata version=0.1.0 \
    --metadata description='Ready when beanstalkd accepts jobs'
