// Package config is the sidecar's process configuration: where it comes from,
// what its defaults and limits are, and what is wrong with it. Nothing else in
// the project knows viper.
//
// The Config struct is the manual: docs/configuration.md is made from its
// comments and tags.
package config

import (
	"net/netip"
	"time"
)

// Config is the content of signet.yaml after flags and environment were laid
// over it. The tag default is in the form that the environment uses; min and max
// are inclusive, and what a limit protects stands in the field's comment.
type Config struct {
	// Where the proxy accepts connections: an IP address, localhost, or nothing
	// before the colon for every interface; port 0 takes a free one. Loopback,
	// since agents of one pod share it and nobody else reaches it.
	Listen string `mapstructure:"listen" default:"127.0.0.1:3128" unit:"host:port"`

	// Where /metrics, /healthz and /readyz are served, or off. On every interface,
	// since Prometheus and the kubelet come from outside of the pod; never on the
	// proxy's own port, where agents could read it.
	MetricsListen string `mapstructure:"metrics_listen" default:":9464" unit:"host:port"`

	// The Unix socket through which operators' commands read a running sidecar, or
	// off. By default admin.sock in data, so that a command finds it there. At most
	// 107 bytes, which is what the kernel takes.
	AdminSocket string `mapstructure:"admin_socket" unit:"path"`

	// The directory of what must survive a restart: journal, keys, CA. One sidecar
	// has it at a time. Local disk, since locks and fsync must mean what they say.
	Data string `mapstructure:"data" default:"/var/lib/signet" unit:"path"`

	// The policy: a YAML file, or a directory of them. There is none by default,
	// and nothing that a guess could open: without one signet run refuses to start.
	Policy string `mapstructure:"policy" unit:"path"`

	// The hosts that may be reached, in place of a policy, for those who need no
	// more: each as rules write it, for https on port 443, or with a port, for http
	// and https on it. Set beside policy it is an error, since neither would win.
	AllowedHosts []string `mapstructure:"allowed_hosts" unit:"list of hosts"`

	// The receipts' signing key, Ed25519 in PKCS#8 PEM, mode 0600. By default
	// key.pem in data, made at the first start; set it where a secret store hands
	// out keys.
	Key string `mapstructure:"key" unit:"path"`

	// Whose traffic this is, as receipts, metrics and invoices name it. 1 to 64
	// letters, digits, dots, dashes and underscores.
	Tenant string `mapstructure:"tenant" default:"default" unit:"name"`

	// Which agent this is, as policies and receipts name it. Same form.
	Agent string `mapstructure:"agent" default:"default" unit:"name"`

	// The agents that share this sidecar, told apart by API keys: a list of {name,
	// keys: [{id, sha256}]}. With this list every request needs a key, in
	// Proxy-Authorization, and agent is no longer used. Receipts name the key by its
	// id. Signet knows a key by its SHA-256 alone, so that this file is no secret;
	// make keys of at least 128 random bits, since a short one could be guessed.
	Agents []Agent `mapstructure:"agents" unit:"list of agents"`

	Journal  Journal  `mapstructure:"journal"`
	Resolver Resolver `mapstructure:"resolver"`
	TLS      TLS      `mapstructure:"tls"`
	Model    Model    `mapstructure:"model"`

	Checkpoints Checkpoints `mapstructure:"checkpoints"`
	Collector   Collector   `mapstructure:"collector"`

	Log      Log      `mapstructure:"log"`
	Timeouts Timeouts `mapstructure:"timeouts"`

	// The largest body that is read whole to be inspected; above it a request that
	// must be inspected is refused, not passed. Payload contracts inspect; all
	// bodies that they hold at one time have 64 MiB together.
	MaxPayloadSize int `mapstructure:"max_payload_size" default:"10000000" min:"1" max:"67108864" unit:"bytes"`

	// How long a stopping sidecar waits for exchanges under way before it cuts
	// them. 30 seconds, as long as Kubernetes waits by default; set the pod's
	// terminationGracePeriodSeconds a little longer.
	ShutdownTimeout time.Duration `mapstructure:"shutdown_timeout" default:"30s" min:"1s" max:"10m" unit:"duration"`
}

// Agent is one of several agents, and how it is told from the others.
type Agent struct {
	Name string   `mapstructure:"name"`
	Keys []APIKey `mapstructure:"keys"` // several while one replaces another
}

// APIKey is one key of an agent.
type APIKey struct {
	ID     string `mapstructure:"id"`
	SHA256 Digest `mapstructure:"sha256"`
}

// Journal is how much evidence is kept, in what form, and on how much disk.
type Journal struct {
	// How many bytes of records go into one sealed file, before compression, which
	// leaves about a fifth to a third. About twice as much is in journal.db, whose file
	// grows to that and stays there.
	SealSize int `mapstructure:"seal_size" default:"16000000" min:"10000" max:"1000000000" unit:"bytes"`

	// How old the oldest record in journal.db becomes before it is sealed, also where
	// that makes a small file. A day, so that a backup of sealed files lacks at most
	// that.
	SealAge time.Duration `mapstructure:"seal_age" default:"24h" min:"1s" max:"8760h" unit:"duration"`

	// How long a sealed file is kept after its newest record. Nothing younger is ever
	// removed where there is no collector. A year, since audits look back that far.
	RetentionAge time.Duration `mapstructure:"retention_age" default:"8760h" min:"1m" max:"876000h" unit:"duration"`

	// How many bytes of sealed files are kept of what a collector has acknowledged.
	// What it has not is kept whatever its size, and so is everything where there is no
	// collector.
	RetentionSize int `mapstructure:"retention_size" default:"6000000000" min:"10000" max:"1000000000000000" unit:"bytes"`

	// From how many bytes on the disk, journal.db and sealed files together, the
	// journal warns: in the log, on /readyz?verbose and by a metric. At least
	// retention_size.
	HighWater int `mapstructure:"high_water" default:"8000000000" min:"10000" max:"1000000000000000" unit:"bytes"`

	// How many bytes on the disk the journal takes at most, give or take a sealed
	// file. There egress is denied
	// with JOURNAL_UNAVAILABLE, exchanges under way still finish, and it goes on by
	// itself when records are pruned. At least high_water; less than the volume, or
	// its end is the mark.
	HardMark int `mapstructure:"hard_mark" default:"10000000000" min:"8000000" max:"1000000000000000" unit:"bytes"`
}

// Collector is where receipts are shipped to.
type Collector struct {
	// The collector, or nothing: receipts then stay here alone. A name is resolved
	// as an agent's would be, and pinned; a name of one label is never resolved.
	Address string `mapstructure:"address" unit:"host:port"`

	// The authorities, in PEM, that may have signed the collector's certificate; no
	// others count. Needed with address: a collector is never taken on trust. The
	// file is ca.pem in the collector's data directory.
	CAFile string `mapstructure:"ca_file" unit:"path"`

	// The token that the chain enrols with, once: one of scope enroll that
	// signet-collector tenant token has made, or a Kubernetes service-account token
	// for the audience signet. It is read when it is needed, so that it may be
	// rotated. Needed with address.
	TokenFile string `mapstructure:"token_file" unit:"path"`

	// Blocks of addresses that the collector may have though they are not public,
	// such as a cluster's services (10.96.0.0/12) or 127.0.0.0/8. They are open to
	// Signet itself alone, never to agents.
	Addresses []netip.Prefix `mapstructure:"addresses" unit:"list of prefixes"`

	// How long a stop waits for the collector to take what is left, the clean stop
	// among it. What it has not taken by then is shipped after the next start.
	DrainTimeout time.Duration `mapstructure:"drain_timeout" default:"5s" min:"1s" max:"5m" unit:"duration"`
}

// Resolver is how names become addresses.
type Resolver struct {
	// The recursive resolvers to ask, in order: udp://IP:PORT (port 53 may be left
	// out), tls://IP:PORT?name=NAME (DNS over TLS, 853) or
	// https://IP:PORT/dns-query?name=NAME (DNS over HTTPS, 443). By IP, since a
	// resolver's own name would have to be resolved; NAME is what its certificate
	// must be for, by default the IP address. One that leaves three questions in a
	// row without an answer is passed over for 30 seconds. By default those of
	// /etc/resolv.conf, without its search domains.
	Upstreams []string `mapstructure:"upstreams" unit:"list of URLs"`

	// Suffixes whose names have resolvers of their own, such as those of a
	// cluster, or addresses of their own that are open: a list of {suffix,
	// upstreams, dnssec, addresses: {allow}}. addresses.allow opens blocks as a
	// policy's does, but only to names under the suffix. The longest suffix counts;
	// what a zone leaves out is as for all names.
	Zones []Zone `mapstructure:"zones" unit:"list of zones"`

	// off, or require-ad: refuse an answer that the upstream has not marked as
	// validated (the AD bit), and so every name that is not signed. Signet itself
	// validates nothing: the bit is worth what the path to the upstream is, so
	// require it over tls:// and https://, or of a resolver on loopback. It does not
	// count for a zone with upstreams of its own, which has its own key.
	DNSSEC string `mapstructure:"dnssec" default:"off" unit:"off or require-ad"`

	// The prefixes by which this network translates IPv6 to IPv4 (Pref64, RFC 6052:
	// 32, 40, 48, 56, 64 or 96 bits). An address within one is judged as the IPv4
	// address inside. A prefix that is not listed here, other than the well-known
	// 64:ff9b::/96, cannot be told from any other addresses.
	NAT64 []netip.Prefix `mapstructure:"nat64" unit:"list of IPv6 prefixes"`

	// Names with fixed addresses, which no upstream is asked about, for closed
	// networks and development. Their addresses are classified like any other
	// answer. A list of {name, addresses}, not a map, since a name holds dots.
	Hosts []Host `mapstructure:"hosts" unit:"list of hosts"`

	// How long one lookup takes at most, with all its tries. Agents wait for it,
	// and a resolver that has not answered in 5 seconds will not.
	Timeout time.Duration `mapstructure:"timeout" default:"5s" min:"100ms" max:"30s" unit:"duration"`

	// How many names are remembered, the least recently used leaving first. Agents
	// talk to tens of hosts; the bound is for one that walks a wildcard.
	CacheSize int `mapstructure:"cache_size" default:"4096" min:"1" max:"1048576" unit:"names"`
}

// Zone is what differs for names under a suffix.
type Zone struct {
	Suffix    string    `mapstructure:"suffix"`
	Upstreams []string  `mapstructure:"upstreams"`
	DNSSEC    string    `mapstructure:"dnssec"`
	Addresses Addresses `mapstructure:"addresses"`
}

// Addresses are blocks that are open to a zone's names, with the exceptions that
// are always closed.
type Addresses struct {
	Allow []netip.Prefix `mapstructure:"allow"`
}

// Host is a name with fixed addresses.
type Host struct {
	Name      string       `mapstructure:"name"`
	Addresses []netip.Addr `mapstructure:"addresses"`
}

// Checkpoints are the heads of the chain that are signed and kept beside it, so
// that records cut off its end show, up to the newest.
type Checkpoints struct {
	// After how many new records the head of the chain is signed anew. What follows
	// the newest checkpoint could be cut off unseen; one takes 290 bytes and one
	// fsync, which no exchange waits for.
	Records int `mapstructure:"records" default:"10000" min:"1" max:"1000000" unit:"records"`

	// After how long it is, if there is a new record at all.
	Interval time.Duration `mapstructure:"interval" default:"1m" min:"1s" max:"24h" unit:"duration"`
}

// TLS is what is trusted upstream, and what intercepted clients trust.
type TLS struct {
	// PEM files of certificates that upstreams may chain to, besides the system's
	// roots. They are added; nothing turns verification off.
	ExtraRoots []string `mapstructure:"extra_roots" unit:"list of paths"`

	CA CA `mapstructure:"ca"`
}

// CA is the operator's interception CA.
type CA struct {
	// The certificate of the interception CA, PEM. It must be allowed to issue an
	// intermediate (path length 1 or more). By default ca.pem in data, made at the
	// first start, so that no key is ever shared between installations.
	Cert string `mapstructure:"cert" unit:"path"`

	// Its key, PEM, not readable by others; with cert or not at all.
	Key string `mapstructure:"key" unit:"path"`
}

// Model is asked to repair malformed bodies, where a contract says so.
type Model struct {
	// The root of an endpoint with OpenAI's chat completions, such as
	// https://api.openai.com/v1. By default there is none, and nothing is asked. It
	// need not be in the policy: what goes there is Signet's own, with receipts that
	// say so, and never a value of a body.
	URL string `mapstructure:"url" unit:"URL"`

	// The model, as the endpoint names it.
	Name string `mapstructure:"name" unit:"name"`

	// A file that holds the endpoint's API key. By default the key is taken from the
	// environment, OPENAI_API_KEY.
	KeyFile string `mapstructure:"key_file" unit:"path"`

	// Blocks of special addresses in which the endpoint may be, as addresses.allow
	// of a policy has them, and for the endpoint alone.
	Addresses []netip.Prefix `mapstructure:"addresses" unit:"list of address ranges"`

	// The most tokens (fallback units) that repair may use in a calendar month of
	// UTC. A body that would need more is refused with FU_QUOTA_EXCEEDED, before the
	// model is asked. 0 asks nothing: a budget is the operator's to give.
	MonthlyTokens int `mapstructure:"monthly_tokens" default:"0" min:"0" max:"1000000000000" unit:"tokens"`
}

// Log is what is logged, to standard error.
type Log struct {
	// The least severe level that is logged: debug, info, warn or error. info has
	// one line when an exchange is decided and one when it is closed.
	Level string `mapstructure:"level" default:"info" unit:"level"`

	// json or text. JSON, since pods' logs are read by machines first.
	Format string `mapstructure:"format" default:"json" unit:"format"`
}

// Timeouts bound every state that a peer can hold Signet in. None can be turned
// off: a state without an end is how a proxy is exhausted.
type Timeouts struct {
	// A request's whole head, and the agent's TLS handshake in an intercepted
	// tunnel. Agents are local and send at once; who is slower holds a connection.
	RequestHeader time.Duration `mapstructure:"request_header" default:"10s" min:"100ms" max:"1m" unit:"duration"`

	// One TCP connection to an upstream. A host that is up answers within one
	// retransmission, 3 seconds.
	Dial time.Duration `mapstructure:"dial" default:"5s" min:"100ms" max:"30s" unit:"duration"`

	// The TLS handshake with an upstream.
	TLSHandshake time.Duration `mapstructure:"tls_handshake" default:"10s" min:"100ms" max:"1m" unit:"duration"`

	// The first bytes of a tunnel, up to the end of the ClientHello. A client that
	// asked for a tunnel has them ready.
	ClientHello time.Duration `mapstructure:"client_hello" default:"5s" min:"100ms" max:"30s" unit:"duration"`

	// From the end of a request to the head of its answer. Models think for
	// minutes before the first byte.
	ResponseHeader time.Duration `mapstructure:"response_header" default:"10m" min:"100ms" max:"1h" unit:"duration"`

	// A stream or tunnel on which no byte moves, and a connection between requests.
	// Longer than agents pause, shorter than middleboxes forget.
	Idle time.Duration `mapstructure:"idle" default:"15m" min:"1s" max:"24h" unit:"duration"`
}
