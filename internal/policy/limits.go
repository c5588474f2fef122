package policy

import (
	"cmp"
	"time"

	"go.yaml.in/yaml/v3"
)

// Limits bound what one agent may use; zero is no limit. They hold in report
// mode too.
type Limits struct {
	RequestsPerSecond int           // exchanges begun in a second, in the long run
	Burst             int           // exchanges begun at once; at least 1 where RequestsPerSecond is set
	Concurrent        int           // exchanges under way, opaque tunnels included
	Tunnels           int           // CONNECT tunnels open, intercepted ones included
	RequestBytes      int64         // of one exchange, agent to upstream
	ResponseBytes     int64         // of one exchange, upstream to agent
	TunnelIdle        time.Duration // without a byte either way
	TunnelLifetime    time.Duration // from the CONNECT on
}

// The hard maxima. What is larger is a slip of the pen, and is refused so that
// it does not pass for a limit.
const (
	mostCount    = 1_000_000
	mostBytes    = 1_000_000_000_000_000
	mostIdle     = 24 * time.Hour
	mostLifetime = 30 * 24 * time.Hour
)

// limits compiles the value of a limits key; nil where there is none, or where
// it is wrong.
func (c *compiler) limits(n *yaml.Node) *Limits {
	if n == nil {
		return nil
	}
	keys := c.Mapping(n, "limits", limitKeys)
	if len(keys) == 0 {
		if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
			c.Complain(n, "limits is empty; leave the key out, or limit something")
		}
		return nil
	}
	if keys["burst"] != nil && keys["requests_per_second"] == nil {
		c.Complain(keys["burst"], "burst needs requests_per_second, which it is a burst of")
	}
	l := &Limits{
		RequestsPerSecond: c.Count(keys["requests_per_second"], "requests_per_second", mostCount),
		Burst:             c.Count(keys["burst"], "burst", mostCount),
		Concurrent:        c.Count(keys["concurrent"], "concurrent", mostCount),
		Tunnels:           c.Count(keys["tunnels"], "tunnels", mostCount),
		RequestBytes:      c.Size(keys["request_bytes"], "request_bytes", mostBytes),
		ResponseBytes:     c.Size(keys["response_bytes"], "response_bytes", mostBytes),
		TunnelIdle:        c.Duration(keys["tunnel_idle"], "tunnel_idle", mostIdle),
		TunnelLifetime:    c.Duration(keys["tunnel_lifetime"], "tunnel_lifetime", mostLifetime),
	}
	l.Burst = cmp.Or(l.Burst, l.RequestsPerSecond)
	return l
}

// agentLimits compiles the limits of a file that hold over all rules.
func (c *compiler) agentLimits(n *yaml.Node) {
	switch {
	case n == nil:
	case c.limitsIn != "":
		c.Complain(n, "limits are in %s already; set them in one file", c.limitsIn)
	default:
		c.policy.agentLimits, c.limitsIn = c.limits(n), c.Path()
	}
}
