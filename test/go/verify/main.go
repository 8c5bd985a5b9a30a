// Command verify judges ID tokens with nothing but an issuer URL, the way a relying party written in
// Go would: github.com/coreos/go-oidc finds the keys through OpenID Connect Discovery.
//
// It reads one token per line from stdin and prints one JSON line per token, in the same order.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

type verdict struct {
	OK      bool            `json:"ok"`
	Subject string          `json:"subject,omitempty"`
	Claims  json.RawMessage `json:"claims,omitempty"`
	Error   string          `json:"error,omitempty"`
}

func main() {
	issuer := flag.String("issuer", "", "issuer URL; keys are found through its discovery document")
	audience := flag.String("audience", "", "audience the tokens must name")
	ca := flag.String("ca", "", "PEM file with the certificates that vouch for the issuer's server (default: the system's)")
	algorithms := flag.String("algorithms", "", "algorithms to accept, with commas (default: those of the discovery document)")
	version := flag.Bool("version", false, "print the version of go-oidc")
	flag.Parse()
	if *version {
		fmt.Println(versionOf("github.com/coreos/go-oidc/v3"))
		return
	}
	// An empty client ID is a mistake, and go-oidc would report it once per token instead of here.
	if *issuer == "" || *audience == "" || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "usage: verify --issuer URL --audience AUD [--ca FILE] [--algorithms LIST] < tokens")
		os.Exit(2)
	}
	if err := run(*issuer, *audience, *ca, *algorithms); err != nil {
		fmt.Fprintln(os.Stderr, "verify:", err)
		os.Exit(1)
	}
}

func run(issuer, audience, ca, algorithms string) error {
	client, err := httpClient(ca)
	if err != nil {
		return err
	}
	ctx := oidc.ClientContext(context.Background(), client)
	// A discovery failure (unreachable, other issuer named in the document) concerns every token. It is
	// answered token by token all the same, so that a caller reads refusals in one way only.
	provider, discoveryErr := oidc.NewProvider(ctx, issuer)
	var verifier *oidc.IDTokenVerifier
	if discoveryErr == nil {
		verifier = provider.VerifierContext(ctx, &oidc.Config{
			ClientID:             audience,
			SupportedSigningAlgs: strings.FieldsFunc(algorithms, func(r rune) bool { return r == ',' }),
		})
	}

	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		raw := strings.TrimSpace(in.Text())
		if raw == "" {
			continue
		}
		v := verdict{}
		if discoveryErr != nil {
			v.Error = discoveryErr.Error()
		} else {
			v = judge(ctx, verifier, raw)
		}
		if err := out.Encode(v); err != nil {
			return err
		}
	}
	return in.Err()
}

func judge(ctx context.Context, verifier *oidc.IDTokenVerifier, raw string) verdict {
	token, err := verifier.Verify(ctx, raw)
	if err != nil {
		return verdict{Error: err.Error()}
	}
	var claims json.RawMessage
	if err := token.Claims(&claims); err != nil {
		return verdict{Error: err.Error()}
	}
	return verdict{OK: true, Subject: token.Subject, Claims: claims}
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

func httpClient(ca string) (*http.Client, error) {
	client := &http.Client{Timeout: 10 * time.Second}
	if ca == "" {
		return client, nil
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no PEM certificate", ca)
	}
	client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	return client, nil
}
