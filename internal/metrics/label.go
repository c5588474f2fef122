package metrics

import (
	"slices"
	"strconv"
)

// Meanings says what values each label takes, for documentation.
func Meanings() map[string]string {
	return map[string]string{
		"api_key":      "id of the API key that selected the agent; empty without one",
		"cache_type":   "`pin` (names to addresses), `leaf` (certificates of intercepted hosts)",
		"class":        "address class that was refused or led to, such as `private-use`, `loopback` or `metadata`",
		"contract":     "name of a payload contract",
		"direction":    "`up` (agent to upstream), `down`",
		"endpoint":     "`http` (absolute-form), `connect`, `inner` (within an intercepted tunnel)",
		"fact":         "name of a fact, as a contract has it",
		"go_version":   "of the Go toolchain",
		"hop":          "place in the trace: `1`, `2-5`, `6-20`, `21-100`, `101+`",
		"host":         "host pattern of the policy's rule, never a raw name; `none` where no rule matched",
		"key_type":     "`ed25519`, `p256`",
		"limit_type":   "`requests`, `concurrent`, `tunnels`, `request_bytes`, `response_bytes`, `tunnel_lifetime`",
		"pattern":      "name of a pattern of the policy",
		"mode":         "of a tunnel: `opaque`, `intercept`, `websocket`; of a policy: `enforce`, `report`",
		"method":       "of a request: `GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE`, `OPTIONS`, `CONNECT`, or `OTHER`; of a repair: `local`, `model`",
		"operation":    "of the journal: `begin` (an intent), `append` (a record), `commit`; of keys: `sign`, `mint`",
		"backend":      "`bbolt`",
		"payload_type": "what a contract took the body for; empty without one",
		"cause":        "why a stream to the collector ended: `unreachable`, `credential`, `quota`, `refused`, `rollback`, `gap`, `other`",
		"reason":       "a reason code, such as `HEL_HOST_NOT_ALLOWED`",
		"result":       "`ok` or what went wrong: of a lookup `not-found`, `timeout`, `failed`; of a query `refused` (an error code, or no AD bit where it is required), `timeout`, `failed`; of a fact `missing`, `failed`; elsewhere `failed`",
		"rule":         "id of a rule of a contract",
		"source_type":  "what a contract took the body for; empty where it does not say",
		"stage":        "of an inspection: `read`, `decode`, `parse`, `repair`, `schema`, `original`, `transform`, `target`, `rules`, `cid`",
		"status_code":  "of the upstream's answer, `100` to `599`; `none` for a tunnel and where no answer came",
		"target_type":  "what a contract turned the body into; empty without one",
		"tenant":       "from the configuration",
		"upstream":     "a DNS upstream, from the configuration",
		"verdict":      "`denied`; `allowed` (through a hole)",
		"version":      "of the program, or of the policy as in receipts",
	}
}

const (
	none  = "none"
	other = "OTHER"
)

// method bounds a method, which peers choose.
func method(m string) string {
	if slices.Contains([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT"}, m) {
		return m
	}
	return other
}

// host is a rule's host pattern.
func host(pattern string) string {
	if pattern == "" {
		return none
	}
	return pattern
}

// status bounds a status code, which upstreams choose.
func status(code int) string {
	if code < 100 || code > 599 {
		return none
	}
	return strconv.Itoa(code)
}

// hop buckets a place in a trace, whose length agents choose.
func hop(n int64) string {
	switch {
	case n <= 1:
		return "1"
	case n <= 5:
		return "2-5"
	case n <= 20:
		return "6-20"
	case n <= 100:
		return "21-100"
	default:
		return "101+"
	}
}

// result bounds an error, whose text is anything.
func result(err error) string {
	if err != nil {
		return "failed"
	}
	return "ok"
}
