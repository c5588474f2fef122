package policy

import "testing"

func TestDecide(t *testing.T) {
	p, err := Compile([]File{{Path: "p.yaml", Data: []byte(`
version: 1
rules:
  - name: openai
    hosts: [api.openai.com, "*.openai.azure.com"]
    methods: [GET, POST]
    paths: ["/v1/**"]
    intercept: true
`)}})
	if err != nil {
		t.Fatal(err)
	}
	tgt, err := ParseAuthority("api.OPENAI.com:443")
	if err != nil {
		t.Fatal(err)
	}
	if d := p.Decide(&Request{Target: tgt, Tunnel: true}); !d.Allowed || !d.Intercept || d.Rule != "openai" {
		t.Errorf("%+v", d)
	}
}
