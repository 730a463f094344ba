#!/bin/sh
# Asks kstatus for the health of each object: as of kustomize-controller 1.9.6, whose Jobs have
# rules of their own (fluxcd/pkg/runtime). Needs Go; writes expected.txt.
set -e
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat > go.mod <<'M'
module status

go 1.26.0

require (
	github.com/fluxcd/cli-utils v1.2.3
	github.com/fluxcd/pkg/runtime v0.110.3
	k8s.io/apimachinery v0.36.4
)

replace (
	gopkg.in/yaml.v3 => gopkg.in/yaml.v3 v3.0.1
	sigs.k8s.io/kustomize/api => sigs.k8s.io/kustomize/api v0.21.1
	sigs.k8s.io/kustomize/kyaml => sigs.k8s.io/kustomize/kyaml v0.21.1
)
M
cat > main.go <<'G'
package main

import (
	"bufio"
	"fmt"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/runtime/statusreaders"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func main() {
	fmt.Println("# word and object; made by make.sh")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(lines.Bytes()); err != nil {
			panic(err)
		}
		word := status.UnknownStatus
		if object.GetKind() == "Job" {
			word = statusreaders.ComputeJobStatus(object).Status
		} else if result, err := status.Compute(object); err == nil {
			word = result.Status
		}
		fmt.Println(word, lines.Text())
	}
}
G
GOFLAGS='-mod=mod -p=2' go run . < "$here/objects.jsonl" > "$here/expected.txt"
