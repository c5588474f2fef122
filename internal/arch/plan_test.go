package arch

const module = "github.com/signet-egress/signet"

// room is one package of the floor plan and the arrows that may leave it. What
// is not listed may not be imported; the standard library may, but for outside.
type room struct {
	own     []string // packages of this module, by their folder
	modules []string // roots of third-party packages
	outside []string // packages of the standard library that do not belong here
	tests   []string // what its tests may import besides, own folders and third-party roots
}

// plan is the floor plan, one line a package. Interfaces live with their
// consumer: policy, resolver, receipts and config do not know each other, and
// only the wiring knows everyone.
var plan = map[string]room{
	// The wiring.
	"cmd/signet": {
		own: []string{
			"internal/config", "internal/doctor", "internal/durable", "internal/lifecycle", "internal/payload", "internal/policy", "internal/rollout", "internal/ruleset", "internal/sidecar", "invariants/facts", "receipts", "receipts/bundle", "receipts/checkpoint", "receipts/journal", "receipts/logproof", "resolver",
			"internal/testkit/peers", // the demo is made of the test peers
		},
		modules: []string{"github.com/google/uuid", "github.com/schollz/progressbar/v3", "github.com/spf13/cobra", "golang.org/x/mod/sumdb", "golang.org/x/sys/unix", "golang.org/x/term", "golang.org/x/tools/txtar"},
		tests:   []string{"go.yaml.in/yaml/v3", "internal/testkit/witnesses"},
	},
	"cmd/signet-collector": {
		own:     []string{"internal/collector", "internal/collector/enrol", "internal/collector/pki", "internal/collector/redis", "internal/collector/retention", "internal/collector/store", "internal/collector/witness", "internal/lifecycle"},
		modules: []string{"github.com/dustin/go-humanize", "github.com/schollz/progressbar/v3", "github.com/spf13/cobra", "github.com/spf13/pflag", "golang.org/x/term"},
	},
	"internal/sidecar": {
		own: []string{
			"internal/config", "internal/durable", "internal/metrics", "internal/payload", "internal/policy", "internal/ruleset", "internal/ship",
			"invariants/facts", "proxy", "proxy/mitm", "repair", "repair/openai", "receipts", "receipts/journal", "resolver",
		},
		modules: []string{"github.com/fsnotify/fsnotify", "golang.org/x/sync"},
	},

	"internal/ship": {
		own:     []string{"internal/api", "internal/durable", "receipts", "receipts/journal"},
		modules: []string{"github.com/cenkalti/backoff/v5", "github.com/klauspost/compress/zstd", "golang.org/x/sync", "google.golang.org/grpc"},
		tests: []string{
			"internal/collector", "internal/collector/pki", "internal/collector/store", "internal/collector/store/sqlite", "internal/testkit/chains",
		},
	},

	// The pipeline.
	"proxy": {
		own:     []string{"internal/policy", "proxy/framing", "proxy/http1", "proxy/mitm", "receipts", "resolver"},
		modules: []string{"github.com/google/uuid", "golang.org/x/net/http", "golang.org/x/sys/unix", "golang.org/x/time/rate"},
		tests: []string{
			"github.com/coder/websocket", "golang.org/x/net/http2", "golang.org/x/sync",
			"internal/ruleset", "receipts/journal",
		},
	},
	"proxy/framing": {own: []string{"internal/policy"}, outside: []string{"net", "os", "os/exec", "syscall"}},
	"proxy/http1":   {own: []string{"proxy/framing"}, modules: []string{"golang.org/x/net/http"}},
	"proxy/mitm": {
		own:     []string{"internal/durable", "internal/keyfile"},
		modules: []string{"golang.org/x/sync", "golang.org/x/time/rate"},
	},

	// What it asks, and where the evidence goes.
	"internal/policy": {
		own:     []string{"internal/strictyaml"},
		modules: []string{"go.yaml.in/yaml/v3", "golang.org/x/net/idna", "golang.org/x/net/publicsuffix"},
		outside: []string{"io/fs", "net", "net/http", "os", "os/exec", "syscall"},
	},
	"internal/ruleset": {
		own:     []string{"internal/payload", "internal/policy", "internal/strictyaml"},
		modules: []string{"github.com/gowebpki/jcs"},
		outside: []string{"net", "net/http"},
	},
	"invariants": {
		own:     []string{"internal/jsonx"}, // what rules look at
		modules: []string{"cel.dev/cel-go", "github.com/cockroachdb/apd/v3", "golang.org/x/text/unicode/norm"},
		outside: []string{"io/fs", "net", "net/http", "os", "os/exec", "syscall"},
		tests:   []string{"golang.org/x/text/currency"},
	},
	"internal/payload": {
		own: []string{"internal/jsonx", "internal/policy", "internal/strictyaml", "invariants", "invariants/facts", "repair"},
		modules: []string{
			"github.com/andybalholm/brotli", "github.com/cockroachdb/apd/v3", "github.com/go-json-experiment/json/jsontext",
			"github.com/klauspost/compress", "github.com/santhosh-tekuri/jsonschema/v6", "go.yaml.in/yaml/v3", "golang.org/x/text",
		},
		outside: []string{"io/fs", "net", "net/http", "os", "os/exec", "syscall"},
		tests:   []string{"github.com/gowebpki/jcs"},
	},
	"invariants/facts": {
		own:     []string{"internal/boltfile", "internal/durable"},
		modules: []string{"go.etcd.io/bbolt"},
		outside: []string{"net", "net/http"},
	},
	"resolver": {
		modules: []string{"github.com/miekg/dns"},
	},
	"resolver/internal/gen": {outside: []string{"net", "net/http"}},
	"receipts": {
		modules: []string{"github.com/gowebpki/jcs"},
		outside: []string{"net", "net/http", "os", "os/exec", "syscall"},
	},
	"receipts/bundle": {
		own:     []string{"receipts", "receipts/checkpoint", "receipts/logproof"},
		modules: []string{"github.com/klauspost/compress/flate", "golang.org/x/mod/sumdb/note"},
		outside: []string{"net", "net/http", "os", "os/exec", "syscall"},
		tests:   []string{"github.com/gowebpki/jcs", "golang.org/x/mod/sumdb", "internal/testkit/witnesses"},
	},
	"receipts/checkpoint": {
		own:     []string{"receipts"},
		modules: []string{"golang.org/x/mod/sumdb/note"},
		outside: []string{"net", "net/http", "os", "os/exec", "syscall"},
	},
	"receipts/logproof": {
		modules: []string{"golang.org/x/mod/sumdb"},
		outside: []string{"net", "net/http", "os", "os/exec", "syscall"},
		tests:   []string{"internal/testkit/witnesses"},
	},
	"receipts/journal": {
		own:     []string{"internal/boltfile", "internal/durable", "internal/keyfile", "receipts", "receipts/checkpoint"},
		modules: []string{"github.com/google/uuid", "github.com/klauspost/compress/gzip", "go.etcd.io/bbolt"},
		outside: []string{"net", "net/http"},
	},

	"repair": {
		own:     []string{"internal/jsonx"},
		modules: []string{"github.com/kaptinlin/jsonrepair"},
		outside: []string{"net", "net/http", "os", "os/exec", "syscall"},
	},
	"repair/openai": {
		own:     []string{"internal/jsonx", "repair"},
		modules: []string{"github.com/openai/openai-go/v3", "github.com/sony/gobreaker/v2"},
		outside: []string{"net", "os", "os/exec", "syscall"},
	},

	// What operators do with the evidence.
	"internal/rollout": {
		own:     []string{"internal/policy", "receipts"},
		modules: []string{"golang.org/x/net/publicsuffix"},
		outside: []string{"os", "os/exec", "syscall"},
	},

	// The collector. Only its wiring knows which store it has.
	"internal/collector": {
		own: []string{
			"internal/api", "internal/collector/access", "internal/collector/audit", "internal/collector/budget", "internal/collector/cache", "internal/collector/enrol", "internal/collector/httpapi", "internal/collector/ingest", "internal/collector/merkle",
			"internal/collector/pki", "internal/collector/redis", "internal/collector/retention", "internal/collector/store", "internal/collector/store/postgres", "internal/collector/store/sqlite", "internal/collector/web", "internal/collector/witness", "internal/keyfile", "internal/metrics",
		},
		modules: []string{"golang.org/x/sync", "google.golang.org/grpc"},
		tests:   []string{"github.com/klauspost/compress/zstd", "github.com/redis/go-redis/v9", "golang.org/x/net/http2", "internal/collector/download", "internal/collector/store/storetest", "internal/testkit/chains", "internal/testkit/stores", "internal/testkit/witnesses", "receipts", "receipts/bundle", "receipts/logproof"},
	},
	"internal/collector/ingest": {
		own:     []string{"internal/api", "internal/collector/pki", "internal/collector/store", "receipts"},
		modules: []string{"github.com/google/uuid", "github.com/klauspost/compress/zstd", "google.golang.org/grpc"},
	},
	"internal/collector/access": {own: []string{"internal/collector/store"}},
	"internal/collector/audit": {
		own:     []string{"internal/collector/merkle", "internal/collector/store", "receipts", "receipts/bundle"},
		modules: []string{"github.com/google/uuid"},
		outside: []string{"net", "net/http"},
		tests:   []string{"internal/collector/store/storetest", "internal/metrics", "internal/testkit/chains", "internal/testkit/stores"},
	},
	"internal/collector/cursor": {
		own:     []string{"internal/collector/store"},
		modules: []string{"github.com/google/uuid"},
		outside: []string{"net", "net/http"},
	},
	"internal/collector/budget": {modules: []string{"golang.org/x/time/rate"}},
	"internal/collector/cache": {
		own:     []string{"internal/collector/store", "receipts"},
		modules: []string{"github.com/maypok86/otter/v2"},
		tests:   []string{"internal/collector/store/sqlite", "internal/testkit/chains"},
	},
	"internal/collector/redis": {
		own:     []string{"internal/collector/budget"},
		modules: []string{"github.com/go-redis/redis_rate/v10", "github.com/redis/go-redis/v9", "github.com/sony/gobreaker/v2"},
	},
	"internal/collector/download": {},
	"internal/collector/retention": {
		own:   []string{"internal/collector/store"},
		tests: []string{"internal/collector/store/storetest", "internal/testkit/chains", "internal/testkit/stores"},
	},
	"internal/collector/enrol": {
		own:     []string{"internal/api", "internal/collector/access", "internal/collector/pki", "internal/collector/store", "receipts"},
		modules: []string{"github.com/go-jose/go-jose/v4", "github.com/google/uuid", "google.golang.org/grpc"},
		tests:   []string{"internal/collector/budget", "internal/collector/store/sqlite", "internal/testkit/chains"},
	},
	"internal/collector/httpapi": {
		own: []string{
			"internal/collector/access", "internal/collector/audit", "internal/collector/cursor", "internal/collector/download", "internal/collector/merkle", "internal/collector/store",
			"receipts", "receipts/logproof",
		},
		modules: []string{"golang.org/x/mod/sumdb"},
		tests: []string{
			"internal/collector/budget", "internal/collector/store/storetest", "internal/metrics", "internal/testkit/chains", "internal/testkit/stores", "internal/testkit/witnesses", "receipts/bundle",
			"github.com/santhosh-tekuri/jsonschema/v6", "go.yaml.in/yaml/v3",
		},
	},
	"internal/collector/merkle": {
		own:     []string{"internal/collector/store", "receipts/logproof"},
		modules: []string{"golang.org/x/mod/sumdb"},
		outside: []string{"net", "net/http"},
	},
	"internal/collector/witness": {
		own:     []string{"internal/collector/merkle", "internal/collector/store", "receipts/logproof"},
		modules: []string{"github.com/google/uuid", "golang.org/x/mod/sumdb", "golang.org/x/sync"},
		tests:   []string{"internal/collector/store/storetest", "internal/metrics", "internal/testkit/chains", "internal/testkit/peers", "internal/testkit/stores", "internal/testkit/witnesses", "modernc.org/sqlite"},
	},
	"internal/collector/web": {
		own: []string{
			"internal/collector/access", "internal/collector/audit", "internal/collector/cursor", "internal/collector/download", "internal/collector/merkle", "internal/collector/store",
			"receipts", "receipts/bundle", "receipts/logproof",
		},
		modules: []string{"golang.org/x/mod/sumdb"},
		tests: []string{
			"internal/collector/budget", "internal/collector/store/storetest", "internal/metrics", "internal/testkit/chains", "internal/testkit/stores", "internal/testkit/witnesses", "github.com/chromedp",
		},
	},
	"internal/collector/pki": {own: []string{"internal/durable", "internal/keyfile"}},
	"internal/collector/store": {
		own:     []string{"receipts"},
		modules: []string{"github.com/google/uuid"},
		outside: []string{"database/sql", "net", "net/http", "os"},
	},
	"internal/collector/store/relation": {
		own:     []string{"internal/collector/store", "receipts"},
		modules: []string{"github.com/google/uuid"},
	},
	"internal/collector/store/sqlite": {
		own:     []string{"internal/collector/store", "internal/collector/store/relation"},
		modules: []string{"github.com/pressly/goose/v3", "modernc.org/sqlite"},
		tests:   []string{"internal/collector/store/storetest"},
	},
	"internal/collector/store/postgres": {
		own:     []string{"internal/collector/store", "internal/collector/store/relation"},
		modules: []string{"github.com/jackc/pgx/v5", "github.com/pressly/goose/v3"},
		tests:   []string{"internal/collector/store/storetest", "internal/testkit/chains", "receipts"},
	},
	"internal/collector/store/storetest": {own: []string{"internal/collector/store", "internal/collector/store/relation", "internal/testkit/chains", "receipts"}},

	// Leaves.
	"internal/api":       {modules: []string{"google.golang.org/grpc", "google.golang.org/protobuf"}},
	"internal/lifecycle": {modules: []string{"github.com/KimMachineGun/automemlimit"}},
	"internal/boltfile": {
		outside: []string{"net", "net/http"},
	},
	"internal/config": {
		modules: []string{"github.com/spf13/viper", "github.com/subosito/gotenv", "go.yaml.in/yaml/v3"},
	},
	"internal/doctor": {
		modules: []string{"golang.org/x/net/http/httpproxy", "golang.org/x/sys/unix"},
	},
	"internal/durable": {
		modules: []string{"golang.org/x/sys/unix"},
		outside: []string{"net", "net/http"},
	},
	"internal/keyfile": {
		own:     []string{"internal/durable"},
		outside: []string{"net", "net/http"},
	},
	"internal/strictyaml": {
		modules: []string{"go.yaml.in/yaml/v3"},
		outside: []string{"io/fs", "net", "net/http", "os", "os/exec", "syscall"},
	},
	"internal/jsonx": {
		modules: []string{"github.com/go-json-experiment/json/jsontext"},
		outside: []string{"net", "net/http", "os", "os/exec", "syscall"},
	},
	"internal/metrics": {
		modules: []string{"github.com/prometheus/client_golang"},
	},

	// Tests only, and the demo.
	"internal/arch":               {},
	"internal/testkit":            {own: []string{"internal/testkit/peers"}},
	"internal/testkit/goldenfile": {},
	"internal/testkit/chains":     {own: []string{"receipts"}, modules: []string{"github.com/google/uuid"}, outside: []string{"testing"}},
	"internal/testkit/stores": {
		own: []string{
			"internal/collector/store", "internal/collector/store/postgres", "internal/collector/store/sqlite", "internal/testkit/chains", "internal/testkit/peers",
		},
		modules: []string{"go.uber.org/goleak"},
	},
	"internal/testkit/witnesses": {modules: []string{"golang.org/x/mod/sumdb"}, outside: []string{"testing"}},
	"internal/testkit/peers":     {modules: []string{"github.com/coder/websocket", "github.com/miekg/dns"}, outside: []string{"testing"}},
	"test/bench": {
		own: []string{
			"internal/config", "internal/metrics", "internal/ruleset", "internal/sidecar", "internal/testkit/peers",
			"proxy", "proxy/mitm", "receipts", "receipts/journal", "resolver",
		},
		modules: []string{"golang.org/x/sync"},
	},
	"test/supply":      {},
	"test/containment": {tests: []string{"golang.org/x/sys/unix"}},
	"test/e2e":         {tests: []string{"github.com/coder/websocket", "go.etcd.io/bbolt", "golang.org/x/net/http2", "internal/policy", "receipts", "receipts/journal"}},
}

// everyTest is what any test may import.
var everyTest = []string{"internal/testkit", "internal/testkit/goldenfile", "go.uber.org/goleak", "pgregory.net/rapid"}

// neverLinked are roots that cmd/signet does not reach by any path: the stores,
// the payment provider and the orchestrator belong to the other binaries, and
// package testing to none.
var neverLinked = []string{
	"github.com/jackc/pgx", "github.com/redis", "github.com/stripe", "modernc.org/sqlite",
	"k8s.io", "helm.sh", "testing",
}
