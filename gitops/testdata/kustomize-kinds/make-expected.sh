#!/bin/sh
# Makes every case's expected.yaml, or refused.txt with what was said, with `kustomize build`.
# Usage: testdata/kustomize-kinds/make-expected.sh [KUSTOMIZE]
set -eu
kustomize=${1:-kustomize}
cd "$(dirname "$0")"
"$kustomize" version > made-by.txt
for case in */; do
    rm -f "${case}expected.yaml" "${case}refused.txt"
    if ! "$kustomize" build --load-restrictor LoadRestrictionsNone "${case}input" \
        > "${case}expected.yaml" 2> "${case}said"; then
        rm "${case}expected.yaml"
        grep -v '^# Warning' "${case}said" | sed "s#$PWD/${case}input#.#g" > "${case}refused.txt"
    fi
    rm "${case}said"
done
