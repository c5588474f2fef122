package sidecar

import (
	"github.com/signet-egress/signet/internal/config"
	"github.com/signet-egress/signet/proxy"
)

// agentsOf are the agents that the configuration tells apart by API keys.
func agentsOf(c *config.Config) proxy.Agents {
	var keys []proxy.APIKey
	for _, a := range c.Agents {
		for _, k := range a.Keys {
			keys = append(keys, proxy.APIKey{ID: k.ID, Agent: a.Name, SHA256: k.SHA256})
		}
	}
	return proxy.NewAgents(keys)
}
