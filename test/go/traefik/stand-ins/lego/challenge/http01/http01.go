// Package http01 has the settings of a challenge that nobody is asked.
package http01

import "time"

const PathPrefix = "/.well-known/acme-challenge/"

type Option struct{}

func SetDelay(time.Duration) Option { return Option{} }
