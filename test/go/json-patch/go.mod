// What applies patches in the cluster tests, in the version of the API server in ../go.mod.
module podpass.dev/test/json-patch

go 1.26.0

require gopkg.in/evanphx/json-patch.v4 v4.13.0
