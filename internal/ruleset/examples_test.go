package ruleset

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/policy"
)

const examples = "../../examples/policies"

// exampleTable says for each example what it must allow and deny: "METHOD URL".
var exampleTable = map[string]struct{ allow, deny []string }{
	"starter.yaml": {
		[]string{"GET https://api.openai.com/v1/models", "POST https://api.openai.com/v1/responses", "GET https://pypi.org/simple/", "GET https://files.pythonhosted.org/x", "GET https://registry.npmjs.org/@a%2fb"},
		[]string{"DELETE https://api.openai.com/v1/files/1", "GET https://api.openai.com/", "GET http://api.openai.com/v1/models", "GET https://pastebin.com/", "GET https://webhook.site/x", "GET https://x.ngrok.io/", "GET https://example.com/"},
	},
	"openai.yaml": {
		[]string{"POST https://api.openai.com/v1/chat/completions", "GET wss://api.openai.com/v1/realtime?model=x", "GET https://eu.api.openai.com/v1/models", "DELETE https://api.openai.com/v1/files/file-1"},
		[]string{"GET https://api.openai.com/dashboard", "GET https://openai.com/v1/", "GET https://api.openai.com.evil.example/v1/", "GET https://x.api.openai.com/v1/", "PUT https://api.openai.com/v1/x", "GET https://api.openai.com:8443/v1/models"},
	},
	"anthropic.yaml": {
		[]string{"POST https://api.anthropic.com/v1/messages", "POST https://api.anthropic.com/v1/messages/count_tokens", "GET https://api.anthropic.com/v1/models"},
		[]string{"GET https://anthropic.com/", "GET https://console.anthropic.com/v1/x", "GET https://api.anthropic.com/"},
	},
	"google-gemini.yaml": {
		[]string{
			"POST https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:generateContent?key=k", "POST https://generativelanguage.googleapis.com/upload/v1beta/files",
			"GET wss://generativelanguage.googleapis.com/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent",
			"POST https://us-central1-aiplatform.googleapis.com/v1/projects/your-project/locations/us-central1/publishers/google/models/gemini-2.5-pro:generateContent", "POST https://oauth2.googleapis.com/token",
		},
		[]string{"GET https://storage.googleapis.com/bucket/x", "GET https://drive.googleapis.com/", "POST https://us-central1-aiplatform.googleapis.com/v1/projects/other/locations/x", "GET https://oauth2.googleapis.com/tokeninfo"},
	},
	"mistral.yaml": {
		[]string{"POST https://api.mistral.ai/v1/chat/completions", "POST https://codestral.mistral.ai/v1/fim/completions"},
		[]string{"GET https://mistral.ai/", "GET https://chat.mistral.ai/v1/x"},
	},
	"azure-openai.yaml": {
		[]string{"POST https://your-resource.openai.azure.com/openai/deployments/d/chat/completions?api-version=x", "POST https://login.microsoftonline.com/your-tenant-id/oauth2/v2.0/token"},
		[]string{"POST https://other.openai.azure.com/openai/deployments/d/chat/completions", "POST https://login.microsoftonline.com/common/oauth2/v2.0/token", "GET https://x.blob.core.windows.net/"},
	},
	"aws-bedrock.yaml": {
		[]string{
			"POST https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-3-5-sonnet-20241022-v2%3A0/invoke",
			"POST https://bedrock-runtime.eu-central-1.amazonaws.com/model/arn%3Aaws%3Abedrock%3Aeu-central-1%3A1%3Ainference-profile%2Fx/converse-stream", "POST https://sts.us-west-2.amazonaws.com/",
		},
		[]string{"GET https://s3.amazonaws.com/bucket", "PUT https://bucket.s3.us-east-1.amazonaws.com/x", "POST https://bedrock-runtime.s3.amazonaws.com/x", "POST https://bedrock.us-east-1.amazonaws.com/", "GET http://169.254.169.254/latest/meta-data/"},
	},
	"other-models.yaml": {
		[]string{"POST https://api.cohere.com/v2/chat", "POST https://api.deepseek.com/chat/completions", "POST https://api.groq.com/openai/v1/chat/completions", "POST https://openrouter.ai/api/v1/chat/completions", "POST https://api.together.xyz/v1/chat/completions", "POST https://api.x.ai/v1/chat/completions"},
		[]string{"GET https://openrouter.ai/settings", "GET https://x.ai/", "GET https://api.groq.com/", "POST https://api.openai.com/v1/responses"},
	},
	"github.yaml": {
		[]string{
			"GET https://github.com/golang/go.git/info/refs?service=git-upload-pack", "POST https://github.com/golang/go/git-upload-pack", "POST https://github.com/your-org/repo.git/git-receive-pack",
			"GET https://raw.githubusercontent.com/golang/go/master/README.md", "GET https://github.com/o/r/releases/download/v1/x.tar.gz", "GET https://api.github.com/repos/golang/go/issues", "POST https://api.github.com/repos/your-org/repo/issues",
		},
		[]string{
			"POST https://github.com/golang/go.git/git-receive-pack", "POST https://github.com/your-org/../evil/r/git-receive-pack", "POST https://api.github.com/gists", "POST https://api.github.com/repos/evil/repo/issues", "POST https://api.github.com/repos/your-org/..%2fevil/repo/issues",
			"GET https://gist.github.com/", "GET https://github.com/login", "GET https://evil.github.io/", "POST https://raw.githubusercontent.com/x", "POST https://uploads.github.com/repos/evil/r/releases/1/assets",
		},
	},
	"gitlab.yaml": {
		[]string{"GET https://gitlab.com/your-group/p.git/info/refs?service=git-upload-pack", "POST https://gitlab.com/your-group/sub/p.git/git-receive-pack", "GET https://gitlab.com/api/v4/projects/1/issues"},
		[]string{"POST https://gitlab.com/other/p.git/git-receive-pack", "POST https://gitlab.com/api/v4/projects/1/issues", "GET https://gitlab.com/api/v4/projects/your-group%2Fp", "POST https://gitlab.com/your-group/../other/p.git/git-receive-pack", "GET https://x.gitlab.io/"},
	},
	"bitbucket.yaml": {
		[]string{"GET https://bitbucket.org/your-workspace/r/info/refs", "POST https://bitbucket.org/your-workspace/r/git-receive-pack", "GET https://api.bitbucket.org/2.0/repositories/your-workspace/r"},
		[]string{"POST https://bitbucket.org/other/r/git-receive-pack", "POST https://api.bitbucket.org/2.0/snippets", "GET https://api.bitbucket.org/2.0/repositories/other/r"},
	},
	"npm.yaml": {
		[]string{"GET https://registry.npmjs.org/left-pad", "GET https://registry.npmjs.org/@types%2fnode", "POST https://registry.npmjs.org/-/npm/v1/security/advisories/bulk"},
		[]string{"PUT https://registry.npmjs.org/left-pad", "GET https://www.npmjs.com/", "GET http://registry.npmjs.org/left-pad"},
	},
	"pypi.yaml": {
		[]string{"GET https://pypi.org/simple/requests/", "GET https://files.pythonhosted.org/packages/x"},
		[]string{"POST https://upload.pypi.org/legacy/", "GET https://test.pypi.org/simple/", "GET https://pypi.python.org/simple/"},
	},
	"go.yaml": {
		[]string{"GET https://proxy.golang.org/golang.org/x/net/@v/list", "GET https://sum.golang.org/lookup/x"},
		[]string{"GET https://golang.org/", "GET https://evil.example/?go-get=1"},
	},
	"crates.yaml": {
		[]string{"GET https://index.crates.io/se/rd/serde", "GET https://static.crates.io/crates/serde/serde-1.0.0.crate"},
		[]string{"PUT https://crates.io/api/v1/crates/new", "GET https://docs.rs/"},
	},
	"maven.yaml": {
		[]string{"GET https://repo.maven.apache.org/maven2/x", "GET https://repo1.maven.org/maven2/x"},
		[]string{"PUT https://oss.sonatype.org/x", "GET http://repo1.maven.org/maven2/x"},
	},
	"debian.yaml": {
		[]string{"GET http://deb.debian.org/debian/pool/main/g/g%2b%2b/x_1.0~rc1.deb", "HEAD http://security.ubuntu.com/ubuntu/", "GET https://deb.debian.org/debian/dists/stable/InRelease"},
		[]string{"POST http://deb.debian.org/", "GET http://deb.debian.org:8080/", "GET http://debian.org/", "GET https://archive.ubuntu.com/"},
	},
	"deny-drop-boxes.yaml": {
		nil,
		[]string{"GET https://pastebin.com/", "POST https://x.ngrok-free.app/", "GET http://hidden.onion/", "POST https://gist.github.com/", "PUT https://transfer.sh/x"},
	},
}

// decide decides as at run time: an https request goes through a tunnel, and is
// seen only where a rule intercepts it.
func decide(t *testing.T, p *policy.Policy, in string) policy.Decision {
	t.Helper()
	method, url, _ := strings.Cut(in, " ")
	target, err := policy.ParseAbsolute(url)
	if err != nil {
		t.Fatalf("%s: %v", in, err)
	}
	r := policy.Request{Target: target, Method: method, Agent: "agent"}
	if target.Scheme == "https" || target.Scheme == "wss" {
		r.Tunnel = true
		if outer := p.Decide(&r); !outer.Intercept {
			return outer
		}
		r.Tunnel = false
	}
	return p.Decide(&r)
}

func TestExamples(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(examples, "*.yaml"))
	if err != nil || len(files) != len(exampleTable) {
		t.Fatalf("%d examples, %d in the table, %v", len(files), len(exampleTable), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, ok := exampleTable[filepath.Base(file)]
			if !ok {
				t.Fatal("is not in the table")
			}
			p := load(t, file).Policy
			for _, in := range want.allow {
				if d := decide(t, p, in); !d.Allowed {
					t.Errorf("%s: denied, %+v", in, d)
				}
			}
			for _, in := range want.deny {
				if d := decide(t, p, in); d.Allowed {
					t.Errorf("%s: allowed, %+v", in, d)
				}
			}
		})
	}
}

// TestExamplesTogether: the directory as a whole is a policy too, and what one
// file denies no other allows.
func TestExamplesTogether(t *testing.T) {
	p := load(t, examples).Policy
	for _, in := range exampleTable["deny-drop-boxes.yaml"].deny {
		if d := decide(t, p, in); d.Reason != policy.HostDenied {
			t.Errorf("%s: %+v", in, d)
		}
	}
}
