package doctor

import (
	"context"
	_ "embed" // the scripts
	"encoding/base64"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed clients/urllib.py
var urllibScript string

//go:embed clients/requests.py
var requestsScript string

//go:embed clients/node.cjs
var nodeScript string

//go:embed clients/deno.js
var denoScript string

//go:embed clients/Doctor.java
var javaSource string

// client is a program, or a language's library, that agents use.
type client struct {
	name     string
	programs []string // the first on the PATH is asked
	reach    func(e *examination, ctx context.Context, program, url string) answer
	trust    func(e *examination, ctx context.Context, program string) answer
	fix      string // what makes it use the proxy, besides the variables
	trustFix string
}

const (
	unset    = "unset NO_PROXY, and look at its own configuration"
	toBundle = " to a file of the system's roots with the CA appended"
)

var clients = []client{
	{
		name: "curl", programs: []string{"curl"}, fix: "set the variables in lower case, and look at ~/.curlrc", trustFix: "set CURL_CA_BUNDLE" + toBundle,
		reach: (*examination).curl,
		trust: func(e *examination, _ context.Context, _ string) answer {
			return inFiles(e.CA, e.env.get("CURL_CA_BUNDLE"), e.env.get("SSL_CERT_FILE"))
		},
	},
	script("Python urllib", []string{"python3", "python"}, urllibScript, unset, "set SSL_CERT_FILE"+toBundle, "-"),
	script("Python requests", []string{"python3", "python"}, requestsScript, unset, "set REQUESTS_CA_BUNDLE"+toBundle, "-"),
	script("Node", []string{"node", "nodejs"}, nodeScript,
		"set NODE_USE_ENV_PROXY=1 (Node 22.21, 24 or later); before, give undici a ProxyAgent", "set NODE_EXTRA_CA_CERTS to the CA's certificate", "-"),
	{
		name: "Go", fix: unset, trustFix: "set SSL_CERT_FILE" + toBundle,
		reach: func(e *examination, ctx context.Context, _, url string) answer { return e.goProgram(ctx, url) },
		trust: func(e *examination, _ context.Context, _ string) answer { return e.goRoots() },
	},
	{
		name: "Java", programs: []string{"java"}, reach: (*examination).java, trust: (*examination).javaRoots,
		fix:      "set JAVA_TOOL_OPTIONS to -Dhttp.proxyHost=HOST -Dhttp.proxyPort=PORT and the same for https: Java reads no proxy variable",
		trustFix: "import the CA into Java's trust store: keytool -importcert -cacerts",
	},
	{
		name: "Deno", programs: []string{"deno"}, fix: unset, trustFix: "set DENO_CERT to the CA's certificate",
		reach: script("", nil, denoScript, "", "", "run", "--quiet", "--no-prompt", "--allow-net", "-").reach,
		trust: func(e *examination, _ context.Context, _ string) answer {
			return inFiles(e.CA, e.env.get("DENO_CERT"))
		},
	},
	{
		name: "Git", programs: []string{"git"}, fix: "unset http.proxy in Git's configuration: git config --global --unset http.proxy", trustFix: "set GIT_SSL_CAINFO" + toBundle,
		reach: (*examination).git,
		trust: func(e *examination, ctx context.Context, program string) answer {
			configured, _ := e.output(ctx, "", program, "config", "--get", "http.sslCAInfo")
			return inFiles(e.CA, e.env.get("GIT_SSL_CAINFO"), strings.TrimSpace(configured))
		},
	},
}

// script is a client that runs a program of ours, given on standard input.
func script(name string, programs []string, text, fix, trustFix string, args ...string) client {
	ask := func(e *examination, ctx context.Context, program string, more ...string) answer {
		return e.ask(ctx, text, program, append(append([]string(nil), args...), more...)...)
	}
	return client{
		name: name, programs: programs, fix: fix, trustFix: trustFix,
		reach: func(e *examination, ctx context.Context, program, url string) answer {
			return ask(e, ctx, program, "reach", url, e.seconds())
		},
		trust: func(e *examination, ctx context.Context, program string) answer {
			return ask(e, ctx, program, "trust", base64.StdEncoding.EncodeToString(e.CA.Raw))
		},
	}
}

func (e *examination) seconds() string {
	return strconv.Itoa(max(1, int(e.Timeout/time.Second)))
}

// clients asks all at once; the answers keep the order of the table.
func (e *examination) clients(ctx context.Context) (checks []Check, missing []string) {
	results := make([][]Check, len(clients))
	var asked sync.WaitGroup
	for i, c := range clients {
		program := ""
		if len(c.programs) > 0 {
			if program = e.find(c.programs); program == "" {
				continue
			}
		}
		asked.Go(func() { results[i] = e.examine(ctx, c, program) })
	}
	asked.Wait()
	for i, r := range results {
		if len(r) == 0 {
			missing = append(missing, clients[i].name)
		}
		checks = append(checks, r...)
	}
	return e.byGroup(checks), missing
}

// byGroup puts what clients reach before what they trust.
func (e *examination) byGroup(checks []Check) []Check {
	var ordered []Check
	for _, group := range []string{"clients", "trust"} {
		for _, c := range checks {
			if c.Group == group {
				ordered = append(ordered, c)
			}
		}
	}
	if e.CA == nil && e.Probe == nil {
		ordered = append(ordered, Check{
			Group: "trust", Name: "interception CA", Status: Yellow, Detail: "not checked: neither the CA nor a host to probe is named",
			Fix: "where the policy intercepts, name the CA's certificate with --ca or an intercepted host with --probe",
		})
	}
	return ordered
}

// find looks a program up on the agent's PATH.
func (e *examination) find(programs []string) string {
	for _, name := range programs {
		for _, dir := range filepath.SplitList(e.env.get("PATH")) {
			path := filepath.Join(dir, name)
			if info, err := os.Stat(path); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
				return path
			}
		}
	}
	return ""
}

// examine is one client's part of the report; nothing when it is not there.
func (e *examination) examine(ctx context.Context, c client, program string) []Check {
	plain := toProxy(c.reach(e, ctx, program, e.denied["http"]))
	if plain.missing {
		return nil
	}
	secure := toProxy(c.reach(e, ctx, program, e.denied["https"]))
	checks := []Check{e.judgeReach(c, plain, secure)}
	if e.CA != nil {
		checks = append(checks, judgeTrust(c, c.trust(e, ctx, program)))
	}
	if e.Probe != nil {
		checks = append(checks, e.judgeProbe(c, c.reach(e, ctx, program, e.Probe.String())))
	}
	return checks
}

// fromProxy is a refusal of CONNECT in an error's text.
var fromProxy = regexp.MustCompile(`Signet|\b(403|407|429|503)\b`)

// toProxy takes a refused CONNECT for an answer: nobody but a proxy answers for
// an address that nobody has.
func toProxy(a answer) answer {
	a.reached = a.reached || fromProxy.MatchString(a.failed)
	return a
}

func (e *examination) judgeReach(c client, plain, secure answer) Check {
	check := Check{Group: "clients", Name: c.name, Status: Green, Detail: "http and https go to the proxy"}
	switch {
	case plain.reached && secure.reached:
		return check
	case plain.reached:
		check.Status, check.Detail = Red, "https does not go to the proxy: "+clip(secure.failed)
	case secure.reached:
		check.Status, check.Detail = Yellow, "http does not go to the proxy: "+clip(plain.failed)
	default:
		check.Status, check.Detail = Red, "does not go to the proxy: "+clip(secure.failed)
	}
	check.Fix = c.fix
	if e.env.proxy() == nil {
		check.Fix = "set the proxy variables; if that is not enough, " + c.fix
	}
	return check
}

func judgeTrust(c client, a answer) Check {
	check := Check{Group: "trust", Name: c.name, Status: Green, Detail: "the interception CA is among its roots"}
	if a.detail != "" {
		check.Detail += ": " + a.detail
	}
	switch {
	case a.trusted:
		return check
	case a.failed != "":
		check.Status, check.Detail = Yellow, "could not be asked: "+clip(a.failed)
	default:
		check.Status, check.Detail = Red, "the interception CA is not among its roots"
		if a.detail != "" {
			check.Detail += ": " + a.detail
		}
	}
	check.Fix = c.trustFix
	return check
}

func (e *examination) judgeProbe(c client, a answer) Check {
	check := Check{Group: "trust", Name: c.name + " to the probe", Status: Green, Detail: e.Probe.Redacted() + " answers"}
	switch {
	case a.reached:
		return check
	case untrusted(a.failed):
		check.Status, check.Detail, check.Fix = Red, "does not trust the certificate: "+clip(a.failed), c.trustFix
	default:
		check.Status, check.Detail, check.Fix = Red, "no answer: "+clip(a.failed), "see the checks of the proxy and of this client"
	}
	return check
}
