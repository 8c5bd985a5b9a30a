// Package lego has a client of ACME that cannot be made.
package lego

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"time"

	"github.com/go-acme/lego/v5/acme"
	"github.com/go-acme/lego/v5/certificate"
	"github.com/go-acme/lego/v5/challenge"
	"github.com/go-acme/lego/v5/challenge/dns01"
	"github.com/go-acme/lego/v5/challenge/http01"
	"github.com/go-acme/lego/v5/challenge/tlsalpn01"
	"github.com/go-acme/lego/v5/registration"
)

const DirectoryURLLetsEncrypt = "https://acme.invalid/directory"

var errNone = errors.New("there is no ACME in this build")

type Config struct {
	CADirURL, UserAgent string
	Certificate         struct{ Timeout time.Duration }
	HTTPClient          *http.Client
}

type Client struct {
	Challenge    challenges
	Certificate  certificates
	Registration registrations
}

func NewConfig(any) *Config                                 { return &Config{} }
func NewClient(*Config) (*Client, error)                    { return nil, errNone }
func CreateCertPool([]string, bool) (*x509.CertPool, error) { return nil, errNone }

type challenges struct{}

func (challenges) SetDNS01Provider(challenge.Provider, ...dns01.Option) error         { return errNone }
func (challenges) SetHTTP01Provider(challenge.Provider, ...http01.Option) error       { return errNone }
func (challenges) SetTLSALPN01Provider(challenge.Provider, ...tlsalpn01.Option) error { return errNone }

type certificates struct{}

func (certificates) Obtain(context.Context, certificate.ObtainRequest) (*certificate.Resource, error) {
	return nil, errNone
}

func (certificates) Renew(context.Context, certificate.Resource, *certificate.RenewOptions) (*certificate.Resource, error) {
	return nil, errNone
}

type registrations struct{}

func (registrations) Register(context.Context, registration.RegisterOptions) (*acme.ExtendedAccount, error) {
	return nil, errNone
}

func (registrations) RegisterWithExternalAccountBinding(context.Context, registration.RegisterEABOptions) (*acme.ExtendedAccount, error) {
	return nil, errNone
}
