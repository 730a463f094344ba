// Builds kustomizations with kustomize's own packages, many in one process, and reads YAML as the
// API server's clients do. A question is a line of JSON on stdin, its answer a line on stdout.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/yaml"
)

type question struct {
	// Build: these files, and the folder among them.
	Files map[string]string `json:"files"`
	Path  string            `json:"path"`
	// Read: this text.
	Yaml *string `json:"yaml"`
}

type answer struct {
	Documents []json.RawMessage `json:"documents"`
	Yaml      string            `json:"yaml,omitempty"`
	Error     string            `json:"error,omitempty"`
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := json.NewEncoder(os.Stdout)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var q question
		if err := json.Unmarshal(line, &q); err != nil {
			panic(err)
		}
		if err := out.Encode(answered(q)); err != nil {
			panic(err)
		}
	}
}

func answered(q question) (a answer) {
	defer func() {
		if reason := recover(); reason != nil {
			a = answer{Error: fmt.Sprintf("panic: %v", reason)}
		}
	}()
	text := q.Yaml
	if text == nil {
		built, err := build(q)
		if err != nil {
			return answer{Error: err.Error()}
		}
		text = &built
	}
	documents, err := read(*text)
	if err != nil {
		return answer{Error: "unreadable: " + err.Error(), Yaml: *text}
	}
	return answer{Documents: documents, Yaml: *text}
}

func build(q question) (string, error) {
	files := filesys.MakeFsInMemory()
	for name, text := range q.Files {
		// A schema of one build would stay for the next ones of the process; reading the usual one
		// anew takes long.
		if strings.Contains(text, "openapi") {
			openapi.ResetOpenAPI()
			defer openapi.ResetOpenAPI()
		}
		if err := files.WriteFile(path.Join("/tree", name), []byte(text)); err != nil {
			return "", err
		}
	}
	options := krusty.MakeDefaultOptions()
	options.LoadRestrictions = types.LoadRestrictionsNone
	options.Reorder = krusty.ReorderOptionUnspecified
	built, err := krusty.MakeKustomizer(options).Run(files, path.Join("/tree", q.Path))
	if err != nil {
		return "", err
	}
	text, err := built.AsYaml()
	return string(text), err
}

func read(text string) ([]json.RawMessage, error) {
	documents := []json.RawMessage{}
	for _, document := range strings.Split("\n"+text, "\n---\n") {
		if strings.TrimSpace(document) == "" {
			continue
		}
		value, err := yaml.YAMLToJSON([]byte(document))
		if err != nil {
			return nil, err
		}
		documents = append(documents, value)
	}
	return documents, nil
}
