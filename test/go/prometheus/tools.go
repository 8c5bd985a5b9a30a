//go:build tools

// Package tools names what judges alerts, queries and expositions, so that "go mod tidy" keeps the
// versions in go.mod. It is never compiled.
package tools

import (
	// Any package of the module that has the CRDs in a folder; this one needs next to nothing.
	_ "github.com/prometheus-operator/prometheus-operator/pkg/versionutil"
	_ "github.com/prometheus/prometheus/cmd/promtool"
)
