#!/bin/sh
# Makes the certificates of the tests anew, with OpenSSL 3.0: `sh make.sh` in this folder.
# The keys of all of them but signer.key are thrown away; that one signs in tests, and nowhere else.
set -eu
here=$(pwd)
work=$(mktemp -d)
cd "$work"
cat >ca.cnf <<'END'
[ca]
default_ca = one
[one]
dir = .
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
copy_extensions = none
unique_subject = no
[any]
commonName = supplied
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
[between]
basicConstraints = critical,CA:TRUE,pathlen:0
keyUsage = critical,keyCertSign
[mute]
basicConstraints = critical,CA:TRUE
keyUsage = critical,digitalSignature
[signs]
keyUsage = critical,digitalSignature
extendedKeyUsage = codeSigning
subjectAltName = email:team@example.org
[tls]
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
[encrypts]
keyUsage = critical,keyEncipherment
extendedKeyUsage = codeSigning
[silent]
subjectKeyIdentifier = hash
[vouches]
basicConstraints = critical,CA:TRUE
keyUsage = critical,digitalSignature,keyCertSign
END
: >index.txt
FROM=20250101000000Z
TO=21250101000000Z
ec() { openssl genpkey -algorithm EC -pkeyopt "ec_paramgen_curve:$2" -out "$1.key"; }
# self NAME SUBJECT [TO]
self() {
    openssl req -new -key "$1.key" -subj "/CN=$2" -out request
    openssl ca -batch -config ca.cnf -selfsign -keyfile "$1.key" -extensions root \
        -startdate $FROM -enddate "${3:-$TO}" -notext -in request -out "$1.pem" 2>/dev/null
}
# by ISSUER NAME KEY SUBJECT EXTENSIONS [FROM TO]
by() {
    openssl req -new -key "$3.key" -subj "/CN=$4" -out request
    openssl ca -batch -config ca.cnf -cert "$1.pem" -keyfile "${7:-$1}.key" -extensions "$5" \
        -startdate "${6:-$FROM}" -enddate "${8:-$TO}" -notext -in request -out "$2.pem" 2>/dev/null
}
for name in root other-root short-root between mute signer; do ec $name P-256; done
ec signer384 P-384
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa-root.key 2>/dev/null
self root 'Demo root'
self other-root 'Demo root'
self rsa-root 'Demo RSA root'
self short-root 'Demo root of five years' 20300101000000Z
by root between between 'Demo between' between
by root mute mute 'Demo mute' mute
by between under-between signer 'demo team' signs
by mute under-mute signer 'demo team' signs
by root direct signer 'demo team' signs
by rsa-root under-rsa signer 'demo team' signs
by other-root under-other signer 'demo team' signs
by short-root under-short signer 'demo team' signs
by root p384 signer384 'demo team' signs
by root tls signer 'demo team' tls
by root encrypts signer 'demo team' encrypts
by root silent signer 'demo team' silent
by root vouches signer 'demo team' vouches
by root expired signer 'demo team' signs 20200101000000Z root 20210101000000Z
by root future signer 'demo team' signs 21000101000000Z root 21100101000000Z
# A certificate for another key, by one that may not vouch.
by direct under-direct between 'demo imposter' signs $FROM signer
cat under-between.pem between.pem root.pem >chain.pem
cat between.pem under-between.pem >reordered.pem
cat under-between.pem under-between.pem between.pem >repeated.pem
cat under-mute.pem mute.pem >mute-chain.pem
cat under-direct.pem direct.pem >imposter.pem
cp signer.key root.pem other-root.pem rsa-root.pem chain.pem under-between.pem reordered.pem repeated.pem \
    mute-chain.pem imposter.pem direct.pem under-rsa.pem under-other.pem under-short.pem short-root.pem p384.pem tls.pem \
    encrypts.pem silent.pem vouches.pem expired.pem future.pem "$here"
cp between.key "$here/imposter.key"
openssl verify -CAfile root.pem -untrusted between.pem under-between.pem
rm -r "$work"
