// Command vault is the JWT auth method of Vault without the rest of Vault: its own plugin, with a storage in memory.
//
// It reads one JSON line for each request from stdin, {"path": "config", "data": {…}}, as `vault write` sends it to the
// mount, and prints one JSON line for each answer, in the same order.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	jwtauth "github.com/hashicorp/vault-plugin-auth-jwt"
	"github.com/hashicorp/vault/sdk/logical"
)

type request struct {
	Path string         `json:"path"`
	Data map[string]any `json:"data"`
}

type answer struct {
	Error    string   `json:"error,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	Auth     *auth    `json:"auth,omitempty"`
}

type auth struct {
	DisplayName string            `json:"display_name"`
	Alias       string            `json:"alias"`
	Policies    []string          `json:"policies"`
	Metadata    map[string]string `json:"metadata"`
	TTL         float64           `json:"ttl"`
	MaxTTL      float64           `json:"max_ttl"`
}

func main() {
	version := flag.Bool("version", false, "print the version of the plugin")
	flag.Parse()
	if *version {
		fmt.Println(versionOf("github.com/hashicorp/vault-plugin-auth-jwt"))
		return
	}
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "vault:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	storage := &logical.InmemStorage{}
	backend, err := jwtauth.Factory(ctx, &logical.BackendConfig{
		Logger:      hclog.NewNullLogger(),
		System:      &logical.StaticSystemView{DefaultLeaseTTLVal: time.Hour, MaxLeaseTTLVal: 24 * time.Hour},
		StorageView: storage,
	})
	if err != nil {
		return err
	}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		var asked request
		if err := json.Unmarshal(in.Bytes(), &asked); err != nil {
			return err
		}
		if err := out.Encode(write(ctx, backend, storage, asked)); err != nil {
			return err
		}
	}
	return in.Err()
}

// As Vault's core does it: what does not exist yet is created.
func write(ctx context.Context, backend logical.Backend, storage logical.Storage, asked request) answer {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	wish := &logical.Request{
		Operation:  logical.CreateOperation,
		Path:       asked.Path,
		Data:       asked.Data,
		Storage:    storage,
		Connection: &logical.Connection{RemoteAddr: "127.0.0.1"},
	}
	looked, exists, err := backend.HandleExistenceCheck(ctx, wish)
	if err != nil {
		return answer{Error: err.Error()}
	}
	if !looked || exists {
		wish.Operation = logical.UpdateOperation
	}
	response, err := backend.HandleRequest(ctx, wish)
	switch {
	case err != nil:
		return answer{Error: err.Error()}
	case response == nil:
		return answer{}
	case response.IsError():
		return answer{Error: response.Error().Error()}
	}
	found := answer{Warnings: response.Warnings}
	if given := response.Auth; given != nil {
		found.Auth = &auth{
			DisplayName: given.DisplayName,
			Alias:       given.Alias.Name,
			Policies:    given.Policies,
			Metadata:    given.Metadata,
			TTL:         given.TTL.Seconds(),
			MaxTTL:      given.MaxTTL.Seconds(),
		}
	}
	return found
}

func versionOf(module string) string {
	info, _ := debug.ReadBuildInfo()
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return strings.TrimPrefix(dependency.Version, "v")
		}
	}
	return "unknown"
}
