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

# As many pages tell people to make one for their registry: it signs itself, and is an authority.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout own.key -days 36500 -subj "/CN=own" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "subjectAltName=IP:127.0.0.1" -out own.pem
# The same of another name, and the same of two years ago.
openssl req -x509 -key own.key -days 36500 -subj "/CN=elsewhere" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "subjectAltName=DNS:elsewhere.test" -out elsewhere.pem
work=$(mktemp -d)
touch "$work/index"
printf '[ca]\ndefault_ca=it\n[it]\ndatabase=%s/index\nrand_serial=yes\ndefault_md=sha256\npolicy=any\nnew_certs_dir=%s\n[any]\ncommonName=supplied\n' \
    "$work" "$work" > "$work/config"
printf 'basicConstraints=critical,CA:TRUE\nsubjectAltName=IP:127.0.0.1\n' > "$work/extensions"
openssl req -new -key own.key -subj "/CN=old" -out "$work/request"
openssl ca -batch -notext -selfsign -config "$work/config" -keyfile own.key -in "$work/request" \
    -startdate 20240101000000Z -enddate 20240102000000Z -extfile "$work/extensions" -out old.pem
rm -r "$work"
