// Command cap judges tokens with nothing but an issuer URL, with the library that Vault judges them with:
// github.com/hashicorp/cap finds the keys through OpenID Connect Discovery.
//
// It reads one token per line from stdin and prints one JSON line per token, in the same order.
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

	"github.com/hashicorp/cap/jwt"
)

type verdict struct {
	OK      bool           `json:"ok"`
	Subject string         `json:"subject,omitempty"`
	Claims  map[string]any `json:"claims,omitempty"`
	Error   string         `json:"error,omitempty"`
}

func main() {
	issuer := flag.String("issuer", "", "issuer URL; keys are found through its discovery document")
	audience := flag.String("audience", "", "audience the tokens must name")
	ca := flag.String("ca", "", "PEM file with the certificates that vouch for the issuer's server (default: the system's)")
	algorithms := flag.String("algorithms", "", "algorithms to accept, with commas, as Vault's jwt_supported_algs (default: RS256)")
	version := flag.Bool("version", false, "print the version of cap")
	flag.Parse()
	if *version {
		fmt.Println(versionOf("github.com/hashicorp/cap"))
		return
	}
	// Without an audience cap would not look at it.
	if *issuer == "" || *audience == "" || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "usage: cap --issuer URL --audience AUD [--ca FILE] [--algorithms LIST] < tokens")
		os.Exit(2)
	}
	if err := run(*issuer, *audience, *ca, *algorithms); err != nil {
		fmt.Fprintln(os.Stderr, "cap:", err)
		os.Exit(1)
	}
}

func run(issuer, audience, ca, algorithms string) error {
	ctx := context.Background()
	var pem []byte
	if ca != "" {
		var err error
		if pem, err = os.ReadFile(ca); err != nil {
			return err
		}
	}
	keys, err := jwt.NewOIDCDiscoveryKeySet(ctx, issuer, string(pem))
	if err != nil {
		return err
	}
	validator, err := jwt.NewValidator(keys)
	if err != nil {
		return err
	}
	expected := jwt.Expected{Issuer: issuer, Audiences: []string{audience}}
	for _, name := range strings.FieldsFunc(algorithms, func(r rune) bool { return r == ',' }) {
		expected.SigningAlgorithms = append(expected.SigningAlgorithms, jwt.Alg(name))
	}

	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		raw := strings.TrimSpace(in.Text())
		if raw == "" {
			continue
		}
		if err := out.Encode(judge(ctx, validator, raw, expected)); err != nil {
			return err
		}
	}
	return in.Err()
}

func judge(ctx context.Context, validator *jwt.Validator, raw string, expected jwt.Expected) verdict {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	claims, err := validator.Validate(ctx, raw, expected)
	if err != nil {
		return verdict{Error: err.Error()}
	}
	subject, _ := claims["sub"].(string)
	return verdict{OK: true, Subject: subject, Claims: claims}
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
