// The CRDs of consumers, against which the cluster tests create what podpass render prints. A module of its own: only
// their files are read, nothing is built.
module podpass.dev/test/consumers

go 1.26.0

require (
	github.com/envoyproxy/gateway v1.9.1
	github.com/traefik/traefik/v3 v3.7.13
	istio.io/api v1.31.1
	sigs.k8s.io/gateway-api v1.6.3
)
