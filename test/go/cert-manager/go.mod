// The CRDs of cert-manager, against which the cluster tests apply the overlay. A module of its own: only its
// files are read, nothing is built.
module podpass.dev/test/cert-manager

go 1.26.0

require github.com/cert-manager/cert-manager v1.21.2
