#!/bin/sh
# Answers the cases of substitute.txt, artifact.txt and semver.txt anew, in place, by Flux' own packages, as Flux
# 2.9 has them. Needs Go.
set -e
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here/main.go" "$here/go.mod" "$work"
cd "$work"
for what in ${*:-substitute artifact semver}; do
    GOFLAGS='-mod=mod -p=2' go run . $what "$here/$what.txt" > "$what.txt"
    mv "$what.txt" "$here/$what.txt"
done
