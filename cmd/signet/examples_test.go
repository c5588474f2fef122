package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/signet-egress/signet/internal/config"
	"github.com/signet-egress/signet/internal/ruleset"
)

// The configuration and the policy of the pod manifest are usable as they stand.
func TestKubernetesExample(t *testing.T) {
	manifest, err := os.ReadFile("../../examples/kubernetes/agent.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var first struct {
		Kind string            `yaml:"kind"`
		Data map[string]string `yaml:"data"`
	}
	if err := yaml.NewDecoder(bytes.NewReader(manifest)).Decode(&first); err != nil || first.Kind != "ConfigMap" {
		t.Fatalf("the first document is no ConfigMap: %q, %v", first.Kind, err)
	}
	dir := t.TempDir()
	for name, text := range first.Data {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := config.Load(filepath.Join(dir, "signet.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Base(c.Policy) != "policy.yaml" || len(first.Data) != 2 {
		t.Errorf("policy is %s; the ConfigMap has %d files", c.Policy, len(first.Data))
	}
	if _, err := ruleset.Load(filepath.Join(dir, "policy.yaml")); err != nil {
		t.Error(err)
	}
}
