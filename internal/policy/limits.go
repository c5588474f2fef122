package policy

import (
	"cmp"
	"strconv"
	"strings"
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
	keys := c.mapping(n, "limits", limitKeys)
	if len(keys) == 0 {
		if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
			c.complain(n, "limits is empty; leave the key out, or limit something")
		}
		return nil
	}
	if keys["burst"] != nil && keys["requests_per_second"] == nil {
		c.complain(keys["burst"], "burst needs requests_per_second, which it is a burst of")
	}
	l := &Limits{
		RequestsPerSecond: c.count(keys["requests_per_second"], "requests_per_second"),
		Burst:             c.count(keys["burst"], "burst"),
		Concurrent:        c.count(keys["concurrent"], "concurrent"),
		Tunnels:           c.count(keys["tunnels"], "tunnels"),
		RequestBytes:      c.size(keys["request_bytes"], "request_bytes"),
		ResponseBytes:     c.size(keys["response_bytes"], "response_bytes"),
		TunnelIdle:        c.duration(keys["tunnel_idle"], "tunnel_idle", mostIdle),
		TunnelLifetime:    c.duration(keys["tunnel_lifetime"], "tunnel_lifetime", mostLifetime),
	}
	l.Burst = cmp.Or(l.Burst, l.RequestsPerSecond)
	return l
}

// agentLimits compiles the limits of a file that hold over all rules.
func (c *compiler) agentLimits(n *yaml.Node) {
	switch {
	case n == nil:
	case c.limitsIn != "":
		c.complain(n, "limits are in %s already; set them in one file", c.limitsIn)
	default:
		c.policy.agentLimits, c.limitsIn = c.limits(n), c.path
	}
}

func (c *compiler) count(n *yaml.Node, what string) int {
	if n == nil {
		return 0
	}
	v, err := strconv.Atoi(n.Value)
	if err != nil || n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || v < 1 || v > mostCount {
		c.complain(n, "%s is a whole number from 1 to %d, not %s", what, mostCount, kind(n))
		return 0
	}
	return v
}

// sizeUnits are those of SI and IEC 80000-13.
var sizeUnits = []struct {
	suffix string
	bytes  int64
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"KB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
}

func (c *compiler) size(n *yaml.Node, what string) int64 {
	if n == nil {
		return 0
	}
	digits, unit := n.Value, int64(1)
	for _, u := range sizeUnits {
		if before, ok := strings.CutSuffix(n.Value, u.suffix); ok {
			digits, unit = before, u.bytes
			break
		}
	}
	v, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || n.Kind != yaml.ScalarNode || v < 1 || int64(v) > mostBytes/unit {
		c.complain(n, "%s is a size of at least one byte, such as 500000, 500KB, 10MB or 64MiB, and at most %d GB, not %s", what, int64(mostBytes/1e9), kind(n))
		return 0
	}
	return int64(v) * unit
}

func (c *compiler) duration(n *yaml.Node, what string, most time.Duration) time.Duration {
	if n == nil {
		return 0
	}
	d, err := time.ParseDuration(n.Value)
	if err != nil || n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" || d <= 0 || d > most {
		c.complain(n, "%s is a duration such as 30s, 15m or 8h, of at most %gh, not %s", what, most.Hours(), kind(n))
		return 0
	}
	return d
}
