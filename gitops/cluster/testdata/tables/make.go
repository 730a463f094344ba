// Prints the tables that Kubernetes' own printers make of objects.json an hour after 2026-01-01T00:00Z,
// one JSON document a line: kind, name, columns as NAME/PRIORITY, cells. It is built in a module that
// requires k8s.io/kubernetes (xtask/peers/kubernetes/go.mod):
//
//	go run make.go <objects.json >tables.jsonl
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	_ "k8s.io/kubernetes/pkg/apis/rbac/install"
	"k8s.io/kubernetes/pkg/printers"
	"k8s.io/kubernetes/pkg/printers/internalversion"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// Ages are counted from now: times of the objects are moved so that an hour has gone by.
func moved(value any, by time.Duration) any {
	switch value := value.(type) {
	case map[string]any:
		for key, inner := range value {
			value[key] = moved(inner, by)
		}
	case []any:
		for n, inner := range value {
			value[n] = moved(inner, by)
		}
	case string:
		if told, err := time.Parse(time.RFC3339, value); err == nil {
			return told.Add(by).Format(time.RFC3339)
		}
	}
	return value
}

func main() {
	var objects []map[string]any
	check(json.NewDecoder(os.Stdin).Decode(&objects))
	then := time.Date(2026, 1, 1, 1, 0, 0, 0, time.UTC)
	generator := printers.NewTableGenerator().With(internalversion.AddHandlers)
	lines := json.NewEncoder(os.Stdout)
	lines.SetEscapeHTML(false)
	for _, object := range objects {
		text, err := json.Marshal(moved(object, time.Since(then)))
		check(err)
		decoded, _, err := legacyscheme.Codecs.UniversalDeserializer().Decode(text, nil, nil)
		check(err)
		internal, err := legacyscheme.Scheme.ConvertToVersion(decoded, runtime.InternalGroupVersioner)
		check(err)
		table, err := generator.GenerateTable(internal, printers.GenerateOptions{Wide: true})
		check(err)
		row := map[string]any{"kind": object["kind"], "name": object["metadata"].(map[string]any)["name"], "cells": table.Rows[0].Cells}
		var columns []string
		for _, column := range table.ColumnDefinitions {
			columns = append(columns, fmt.Sprintf("%s/%d", column.Name, column.Priority))
		}
		row["columns"] = columns
		check(lines.Encode(row))
	}
}
