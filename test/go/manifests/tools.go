//go:build tools

// Package tools names the commands that judge the manifests, so that "go mod tidy" keeps their
// versions in go.mod. It is never compiled.
package tools

import (
	_ "helm.sh/helm/v4/cmd/helm"
	_ "sigs.k8s.io/kustomize/kustomize/v5"
)
