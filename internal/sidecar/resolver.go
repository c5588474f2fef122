package sidecar

import (
	"github.com/signet-egress/signet/internal/config"
	"github.com/signet-egress/signet/resolver"
)

// ResolverConfig is how a sidecar of this configuration resolves names. Its
// NAT64 prefixes belong to the Guard.
func ResolverConfig(c *config.Config) (resolver.Config, error) {
	roots, err := loadRoots(c.TLS.ExtraRoots)
	if err != nil {
		return resolver.Config{}, err
	}
	r := resolver.Config{
		Upstreams: c.Resolver.Upstreams, Roots: roots, RequireAD: c.Resolver.DNSSEC == config.RequireAD,
		Timeout: c.Resolver.Timeout, CacheSize: c.Resolver.CacheSize,
	}
	for _, h := range c.Resolver.Hosts {
		r.Hosts = append(r.Hosts, resolver.Host(h))
	}
	for _, z := range c.Resolver.Zones {
		r.Zones = append(r.Zones, resolver.Zone{
			Suffix: z.Suffix, Upstreams: z.Upstreams, RequireAD: z.DNSSEC == config.RequireAD, Holes: z.Addresses.Allow,
		})
	}
	return r, nil
}
