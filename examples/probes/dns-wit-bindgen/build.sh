#!/bin/sh
# Builds dns.wasm beside this file, or where the first argument says. FARRIER names farrier if it is not on the PATH.
set -eu
cd "$(dirname "$0")"
"${FARRIER:-farrier}" probe build . --out "${1:-dns.wasm}" --settings-schema settings.schema.json --metadata name=dns \
    --metadata version=0.1.0 --metadata description='Ready when a name server answers a question'
