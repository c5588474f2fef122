package main

import (
	"errors"

	"github.com/signet-egress/signet/internal/config"
	"github.com/signet-egress/signet/internal/ruleset"
)

var errNoPolicy = errors.New("no policy is named: set policy in the configuration file, SIGNET_POLICY or --policy (an empty file denies everything), or allow hosts by SIGNET_ALLOWED_HOSTS")

// loadPolicy loads what the configuration decides by: a policy, or a list of
// hosts. Where it has neither the error is errNoPolicy.
func loadPolicy(c *config.Config) (*ruleset.Set, error) { return reloadPolicy(c, nil) }

// reloadPolicy is loadPolicy where current is in force; nil for none.
func reloadPolicy(c *config.Config, current *ruleset.Set) (*ruleset.Set, error) {
	switch {
	case c.Policy != "":
		return current.Reload(c.Policy)
	case len(c.AllowedHosts) > 0:
		return ruleset.FromHosts(c.AllowedHosts)
	}
	return nil, errNoPolicy
}
