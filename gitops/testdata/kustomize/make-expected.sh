#!/bin/sh
# Makes every case's expected.yaml with `kubectl kustomize`, and notes the version of what made it.
# Usage: testdata/kustomize/make-expected.sh [KUBECTL]
set -eu
kubectl=${1:-kubectl}
cd "$(dirname "$0")"
"$kubectl" version --client > made-by.txt
for case in */; do
    folder="${case}input"
    if [ -d "${case}input/overlay" ]; then folder="${case}input/overlay"; fi
    "$kubectl" kustomize "$folder" > "${case}expected.yaml"
done
