// Command json-patch applies JSON Patches with the library that the API server uses.
//
// It reads one JSON object per line from stdin, {"document": ..., "patch": [...]}, and prints one JSON line for each,
// {"document": ...} or {"error": "..."}, in the same order.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
)

type task struct {
	Document json.RawMessage `json:"document"`
	Patch    json.RawMessage `json:"patch"`
}

type result struct {
	Document json.RawMessage `json:"document,omitempty"`
	Error    string          `json:"error,omitempty"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "json-patch:", err)
		os.Exit(1)
	}
}

func run() error {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		var t task
		if err := json.Unmarshal(in.Bytes(), &t); err != nil {
			return err
		}
		if err := out.Encode(apply(t)); err != nil {
			return err
		}
	}
	return in.Err()
}

func apply(t task) result {
	patch, err := jsonpatch.DecodePatch(t.Patch)
	if err != nil {
		return result{Error: err.Error()}
	}
	document, err := patch.Apply(t.Document)
	if err != nil {
		return result{Error: err.Error()}
	}
	return result{Document: document}
}
