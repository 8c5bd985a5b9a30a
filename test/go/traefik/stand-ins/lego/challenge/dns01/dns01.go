// Package dns01 has the settings of a challenge that nobody is asked.
package dns01

import (
	"strings"
	"time"
)

type (
	Options struct{ RecursiveNameservers []string }
	Client  struct{}
	Option  struct{}
)

func NewClient(*Options) *Client                            { return nil }
func SetDefaultClient(*Client)                              {}
func CondOptions(bool, ...Option) Option                    { return Option{} }
func DisableAuthoritativeNssPropagationRequirement() Option { return Option{} }
func DisableRecursiveNSsPropagationRequirement() Option     { return Option{} }
func PropagationWait(time.Duration, bool) Option            { return Option{} }

// UnFqdn is used for every certificate, not for ACME alone.
func UnFqdn(name string) string { return strings.TrimSuffix(name, ".") }
