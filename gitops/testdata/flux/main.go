// Answers the cases of substitute.txt, artifact.txt and semver.txt by Flux' own packages; `make.sh` runs it.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/fluxcd/pkg/envsubst"
	"github.com/fluxcd/pkg/sourceignore"
	"github.com/fluxcd/pkg/version"
)

// The variables of every case.
var variables = map[string]string{
	"a": "one", "empty": "", "long": "Hello, Wörld", "path": "x/y/x", "n": "42", "_u1": "under",
}

func main() {
	switch os.Args[1] {
	case "substitute":
		each(func(text string) string {
			out, err := envsubst.Eval(text, func(name string) (string, bool) {
				value, ok := variables[name]
				return value, ok
			})
			if err != nil {
				return "error: " + err.Error()
			}
			return out
		})
	case "artifact":
		each(artifact)
	case "semver":
		each(ranged)
	}
}

// A file has cases in three parts: `== ` and what is asked, then the answer.
func each(answer func(string) string) {
	for _, part := range strings.Split(read(os.Args[2]), "\n== ")[1:] {
		asked, _, _ := strings.Cut(part, "\n-- ")
		fmt.Printf("\n== %s\n-- \n%s", asked, answer(asked))
	}
	fmt.Println()
}

func read(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	return strings.TrimSuffix(string(text), "\n")
}

// The first line is a range, the second one tags: those that it takes, in their order, and the newest.
func ranged(asked string) string {
	expression, tags, _ := strings.Cut(asked, "\n")
	constraint, err := semver.NewConstraint(expression)
	if err != nil {
		return "error"
	}
	var taken []string
	for _, tag := range strings.Split(tags, " ") {
		if len(version.Sort(constraint, []string{tag})) > 0 {
			taken = append(taken, tag)
		}
	}
	newest := append(version.Sort(constraint, taken), "")[0]
	return strings.Join(taken, " ") + ": " + newest
}

// Lines `PATH` are files, lines `PATH: PATTERN` those of an ignore file, lines `spec: PATTERN` those
// of the source. What stays is answered, as the source-controller's archive has it.
func artifact(asked string) string {
	root, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(root)
	texts, spec := map[string]string{}, ""
	for _, line := range strings.Split(asked, "\n") {
		path, pattern, is := strings.Cut(line, ": ")
		if is && path == "spec" {
			spec += pattern + "\n"
		} else {
			texts[path] += pattern + "\n"
		}
	}
	for path, text := range texts {
		place := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil {
			panic(err)
		}
		if err := os.WriteFile(place, []byte(text), 0o644); err != nil {
			panic(err)
		}
	}
	domain := strings.Split(root, string(filepath.Separator))
	patterns, err := sourceignore.LoadIgnorePatterns(root, domain)
	if err != nil {
		panic(err)
	}
	patterns = append(patterns, sourceignore.ReadPatterns(strings.NewReader(spec), domain)...)
	matcher := sourceignore.NewDefaultMatcher(patterns, domain)
	if len(patterns) > 0 {
		matcher = sourceignore.NewMatcher(append(sourceignore.VCSPatterns(domain), patterns...))
	}
	var kept []string
	for path := range texts {
		place := filepath.Join(root, path)
		if !matcher.Match(strings.Split(place, string(filepath.Separator)), false) {
			kept = append(kept, path)
		}
	}
	sort.Strings(kept)
	return strings.Join(kept, "\n")
}
