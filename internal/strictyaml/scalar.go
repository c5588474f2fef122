package strictyaml

import (
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Count returns a whole number from 1 to most, 0 with a complaint for anything
// else. An absent one is 0 without one.
func (r *Reader) Count(n *yaml.Node, what string, most int) int {
	if n == nil {
		return 0
	}
	v, err := strconv.Atoi(n.Value)
	if err != nil || n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || v < 1 || v > most {
		r.Complain(n, "%s is a whole number from 1 to %d, not %s", what, most, Kind(n))
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

// Size returns a number of bytes from 1 to most, which is written with a unit or
// without; 0 as Count does.
func (r *Reader) Size(n *yaml.Node, what string, most int64) int64 {
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
	if err != nil || n.Kind != yaml.ScalarNode || v < 1 || int64(v) > most/unit {
		r.Complain(n, "%s is a size of at least one byte, such as 500000, 500KB, 10MB or 64MiB, and at most %s, not %s", what, sizeText(most), Kind(n))
		return 0
	}
	return int64(v) * unit
}

// Duration returns a time that is above 0 and at most most; 0 as Count does.
func (r *Reader) Duration(n *yaml.Node, what string, most time.Duration) time.Duration {
	if n == nil {
		return 0
	}
	d, err := time.ParseDuration(n.Value)
	if err != nil || n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" || d <= 0 || d > most {
		r.Complain(n, "%s is a duration such as 30s, 15m or 8h, of at most %gh, not %s", what, most.Hours(), Kind(n))
		return 0
	}
	return d
}

// sizeText writes a limit in gigabytes, or in the unit that fits.
func sizeText(n int64) string {
	for _, u := range []struct {
		name  string
		bytes int64
	}{{"GB", 1e9}, {"MiB", 1 << 20}, {"MB", 1e6}} {
		if n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + " " + u.name
		}
	}
	return strconv.FormatInt(n, 10) + " bytes"
}
