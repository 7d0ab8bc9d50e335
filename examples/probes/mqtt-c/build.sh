#!/bin/sh
# Builds mqtt.wasm beside this file, or where the first argument says. FARRIER names farrier if it is not on the PATH.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/mqtt.wasm}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The contract, beside the world that imports from it.
mkdir -p "$work/wit/deps/farrier-probe"
cp "$here/wit/world.wit" "$work/wit/"
cp "$here/../../../wit/probe.wit" "$work/wit/deps/farrier-probe/"

wit-bindgen c --world mqtt --out-dir "$work" "$work/wit"
clang --target=wasm32-wasi -mexec-model=reactor -std=c11 -Wall -Wextra -Os -Wl,--strip-debug -I "$work" \
    -o "$work/mqtt.core.wasm" "$here/probe.c" "$work/mqtt.c" "$work/mqtt_component_type.o"
"${FARRIER:-farrier}" probe build "$work/mqtt.core.wasm" --out "$out" --metadata name=mqtt --metadata version=0.1.0 \
    --metadata description='Ready when an MQTT broker accepts a client'
