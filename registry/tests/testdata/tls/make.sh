#!/bin/sh
# Makes the certificates of the tests with OpenSSL 3: a root that nobody trusts, a server for 127.0.0.1 and a client.
# They stand for nothing: the keys lie here for everyone to read.
set -eu
cd "$(dirname "$0")"

sign() { # name, usage, alternative name
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -subj "/CN=$1" -out "$1.csr"
    printf 'extendedKeyUsage=%s\nsubjectAltName=%s\n' "$2" "$3" > "$1.ext"
    openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -days 36500 -extfile "$1.ext" -out "$1.pem"
    rm "$1.csr" "$1.ext"
}

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -days 36500 -subj "/CN=test root" \
    -addext "basicConstraints=critical,CA:TRUE" -out ca.pem
sign server serverAuth IP:127.0.0.1
sign client clientAuth DNS:client
rm ca.key
