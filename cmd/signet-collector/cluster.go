package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/internal/collector/enrol"
)

// cluster is the Kubernetes cluster whose service accounts may enrol.
type cluster struct {
	issuer, jwks, ca string
	tenants          map[string]string
}

func (c *cluster) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&c.issuer, "kubernetes-issuer", "", "let service accounts of this cluster enrol, whose tokens have this iss claim and the audience signet")
	flags.StringVar(&c.jwks, "kubernetes-jwks", "", "file or https URL of the cluster's keys, such as https://kubernetes.default.svc/openid/v1/jwks")
	flags.StringVar(&c.ca, "kubernetes-ca", "", "PEM file of the authorities that may have signed that URL's certificate (default: the system's)")
	flags.StringToStringVar(&c.tenants, "kubernetes-tenant", nil, "NAMESPACE=TENANT; a namespace that is not named is a tenant of its own name")
}

// kubernetes is nil where no cluster is named.
func (c *cluster) kubernetes() (*enrol.Kubernetes, error) {
	if c.issuer == "" && c.jwks == "" {
		return nil, nil
	}
	if c.issuer == "" || c.jwks == "" {
		return nil, errors.New("--kubernetes-issuer and --kubernetes-jwks go together")
	}
	keys, err := enrol.ClusterKeys(c.jwks, c.ca)
	if err != nil {
		return nil, err
	}
	return &enrol.Kubernetes{Issuer: c.issuer, Keys: keys, Tenants: c.tenants}, nil
}
