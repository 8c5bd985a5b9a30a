// Package certificate has what Traefik writes of and asks for a certificate.
package certificate

import (
	"time"

	"github.com/go-acme/lego/v5/certcrypto"
)

type Resource struct {
	ID                      string
	Domains                 []string
	PrivateKey, Certificate []byte
}

type ObtainRequest struct {
	Domains                 []string
	EmailAddresses          []string
	KeyType                 certcrypto.KeyType
	Bundle, MustStaple      bool
	PreferredChain, Profile string
	EnableCommonName        bool
	NotBefore, NotAfter     time.Time
}

type RenewOptions struct {
	Bundle, MustStaple      bool
	PreferredChain, Profile string
	EmailAddresses          []string
	EnableCommonName        bool
}
