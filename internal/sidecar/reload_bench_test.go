package sidecar_test

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkReload10000 is one replacement of a policy of ten thousand rules:
// files read, compiled, recorded in the chain and put in force.
func BenchmarkReload10000(b *testing.B) {
	rules := make([]string, 2)
	for generation := range rules {
		var text strings.Builder
		text.WriteString("rules:\n")
		for i := range 10_000 {
			fmt.Fprintf(&text, "  - {name: rule-%[1]d, hosts: [h%[1]d.example.com, \"*.h%[1]d.example.org\"], ports: [443, %[2]d]}\n", i, 1000+generation)
		}
		rules[generation] = text.String()
	}
	r := start(b, rules[0])
	for n := 1; b.Loop(); n++ {
		b.StopTimer()
		r.write(rules[n%2])
		b.StartTimer()
		_, err := r.sidecar.Reload(b.Context())
		must(b, err)
	}
}
