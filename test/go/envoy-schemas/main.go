// Command envoy-schemas judges configurations with the schemas of Envoy and Istio: fields, types, and the rules that are written
// in the schemas (protoc-gen-validate), in every typed extension too.
//
// It reads one line of JSON for each, {"bootstrap": …} of Envoy or {"mesh": …} of Istio (MeshConfig), and prints one line
// for each, {"ok": true} or {"ok": false, "error": …}.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	bootstrap "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	mesh "istio.io/api/mesh/v1alpha1"
)

type question struct {
	Bootstrap json.RawMessage `json:"bootstrap"`
	Mesh      json.RawMessage `json:"mesh"`
}

type verdict struct {
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<22)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		said := verdict{OK: true}
		if err := judge(in.Bytes()); err != nil {
			said = verdict{Error: err.Error()}
		}
		if err := out.Encode(said); err != nil {
			fmt.Fprintln(os.Stderr, "envoy-schemas:", err)
			os.Exit(1)
		}
	}
}

func judge(line []byte) error {
	var asked question
	if err := json.Unmarshal(line, &asked); err != nil {
		return err
	}
	switch {
	case asked.Bootstrap != nil:
		message := &bootstrap.Bootstrap{}
		if err := protojson.Unmarshal(asked.Bootstrap, message); err != nil {
			return err
		}
		return validate(message)
	case asked.Mesh != nil:
		return protojson.Unmarshal(asked.Mesh, &mesh.MeshConfig{})
	}
	return errors.New("neither a bootstrap nor a mesh")
}

// validate looks into typed extensions, where the generated rules of the message around them end.
func validate(message proto.Message) error {
	if checked, ok := message.(interface{ ValidateAll() error }); ok {
		if err := checked.ValidateAll(); err != nil {
			return err
		}
	}
	return protorange.Range(message.ProtoReflect(), func(values protopath.Values) error {
		value, ok := values.Index(-1).Value.Interface().(protoreflect.Message)
		if !ok {
			return nil
		}
		extension, ok := value.Interface().(*anypb.Any)
		if !ok {
			return nil
		}
		inner, err := extension.UnmarshalNew()
		if err != nil {
			return err
		}
		return validate(inner)
	})
}
