//go:build tools

// Package minio pins the MinIO server that the tests run.
package minio

import _ "github.com/minio/minio"
