// Writes down what kit itself makes of the Kitfiles in a file of cases: made with kit v1.15.0.
//
// In an empty folder with this file as main.go:
//
//	go mod init made && go get github.com/kitops-ml/kitops@v1.15.0 && go mod tidy
//	go run . <rules/cases.txt >rules/kit.txt
//	go run . <values/cases.txt >values/kit.txt
//
// A case begins with a line "=== name". Of each one the JSON form and the YAML form are written, or "refused".
package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/kitops-ml/kitops/pkg/artifact"
)

func main() {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		panic(err)
	}
	for _, part := range strings.Split("\n"+string(text), "\n=== ")[1:] {
		name, kitfile, _ := strings.Cut(part, "\n")
		fmt.Printf("=== %s\n%s", name, forms(kitfile+"\n"))
	}
}

func forms(text string) string {
	kitfile := &artifact.KitFile{}
	if err := kitfile.LoadModel(io.NopCloser(strings.NewReader(text))); err != nil {
		return "refused\n"
	}
	json, err := kitfile.MarshalToJSON()
	if err != nil {
		return "refused\n"
	}
	yaml, err := kitfile.MarshalToYAML()
	if err != nil {
		panic(err)
	}
	return string(json) + "\n" + string(yaml)
}
