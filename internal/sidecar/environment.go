package sidecar

import (
	"slices"
	"strings"
)

// proxyVariables name the proxy. Some clients read one case only.
var proxyVariables = []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"}

// directVariables list what is reached without the proxy.
var directVariables = []string{"NO_PROXY", "no_proxy"}

// otherProxies would lead clients past this proxy.
var otherProxies = []string{"ALL_PROXY", "all_proxy", "FTP_PROXY", "ftp_proxy"}

// bundleVariables name a file of certificates to trust, instead of a client's
// own, or for Node besides.
var bundleVariables = []string{
	"SSL_CERT_FILE",       // OpenSSL, Go
	"CURL_CA_BUNDLE",      // curl
	"REQUESTS_CA_BUNDLE",  // Python's requests
	"NODE_EXTRA_CA_CERTS", // Node
	"DENO_CERT",           // Deno
	"GIT_SSL_CAINFO",      // Git
	"PIP_CERT",            // pip
	"AWS_CA_BUNDLE",       // AWS's command line and SDKs
}

const nodeUsesProxy = "NODE_USE_ENV_PROXY" // Node 24 and later

// AgentEnvironment is base with what makes an ordinary client use the proxy at
// proxyURL for all but loopback, and trust the certificates in the file bundle.
// What base says of that is replaced.
func AgentEnvironment(base []string, proxyURL, bundle string) []string {
	steering := slices.Concat(proxyVariables, directVariables, otherProxies, bundleVariables, []string{nodeUsesProxy})
	env := slices.DeleteFunc(slices.Clone(base), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(steering, name)
	})
	for _, name := range proxyVariables {
		env = append(env, name+"="+proxyURL)
	}
	for _, name := range directVariables {
		env = append(env, name+"=localhost,127.0.0.1,::1")
	}
	for _, name := range bundleVariables {
		env = append(env, name+"="+bundle)
	}
	return append(env, nodeUsesProxy+"=1")
}
