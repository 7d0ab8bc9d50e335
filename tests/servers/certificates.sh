#!/usr/bin/env bash
# Makes certificates of each kind that a client may meet, with their keys:
#
#     certificates.sh DIRECTORY
#
# `ca` and `other` are authorities. `ca` issued `server` (localhost, db.test, 127.0.0.1), `elsewhere` (other names), `expired`,
# `future` and `client`. `self` is its own authority. `unnamed` has no name but its subject's, `odd` has a hundred, and one
# with control characters. `alone` is its own issuer and no authority; `under` was issued by it all the same.
set -euo pipefail
cd "$1"

key() {
    openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"
}
root() {
    key "$1"
    openssl req -x509 -new -key "$1.key" -subj "/CN=$1" -addext "subjectAltName=${2:-DNS:$1}" -days 3650 -out "$1.pem"
}
leaf() {
    key "$1"
    openssl req -new -key "$1.key" -subj "/CN=$1" -out "$1.csr"
    printf 'basicConstraints=CA:FALSE\n%s\n' "${2:+subjectAltName=$2}" >"$1.extensions"
    openssl x509 -req -in "$1.csr" -CA "${issuer:-ca}.pem" -CAkey "${issuer:-ca}.key" -set_serial "0x$(openssl rand -hex 8)" -days "${3:-3650}" \
        -extfile "$1.extensions" -out "$1.pem"
}
alone() {
    key "$1"
    openssl req -new -key "$1.key" -subj "/CN=$1" -out "$1.csr"
    printf 'basicConstraints=CA:FALSE\nsubjectAltName=%s\n' "$2" >"$1.extensions"
    openssl x509 -req -in "$1.csr" -signkey "$1.key" -days 3650 -extfile "$1.extensions" -out "$1.pem"
}
dated() {
    key "$1"
    openssl req -new -key "$1.key" -subj "/CN=$1" -out "$1.csr"
    openssl ca -batch -notext -name own -config dated.conf -extensions names -startdate "$2" -enddate "$3" \
        -in "$1.csr" -out "$1.pem"
}
cat >dated.conf <<END
[own]
new_certs_dir = .
database = database
rand_serial = yes
default_md = sha256
certificate = ca.pem
private_key = ca.key
policy = any
[any]
commonName = supplied
[names]
basicConstraints = CA:FALSE
subjectAltName = DNS:localhost,DNS:db.test,IP:127.0.0.1
END
: >database
root ca
root other
root self DNS:localhost,DNS:db.test,IP:127.0.0.1
alone alone DNS:localhost
issuer=alone leaf under DNS:localhost
leaf server DNS:localhost,DNS:db.test,IP:127.0.0.1
leaf elsewhere DNS:other.test,DNS:*.wild.test
dated expired 20200101000000Z 20200102000000Z
dated future 20900101000000Z 20900102000000Z
leaf unnamed
leaf client DNS:client.test
names=DNS:$'\e'[31mred$'\a'.test
for number in $(seq 100); do names+=,DNS:$(printf 'n%.0s' $(seq 60)).$number.test; done
leaf odd "$names"
cat server.pem server.key >both.pem
