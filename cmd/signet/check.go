package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/internal/config"
	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/internal/ruleset"
	"github.com/signet-egress/signet/internal/sidecar"
	"github.com/signet-egress/signet/resolver"
)

func newCheckCommand() *cobra.Command {
	var files configFiles
	var method string
	var resolve, asJSON bool
	cmd := &cobra.Command{
		Use:   "check [flags] URL...",
		Short: "Say what the policy decides about URLs, without carrying anything",
		Long: `Say what the policy decides about each URL, by which rule and why, as the sidecar
would: for https the tunnel is decided first, and where a rule intercepts it,
the request inside is decided too.

With --resolve the host of a URL that may go is resolved and its addresses are
classified, with the resolver of the configuration. The sidecar's own ports and
addresses, which never open, are known only where it runs.

Exit status: 0 if all are allowed, 3 if any is denied, 2 if the input cannot be
used. In report mode a URL counts as denied where the policy would deny it.`,
		Args: func(_ *cobra.Command, urls []string) error { return exitUnusableURLs(urls) },
		RunE: func(cmd *cobra.Command, urls []string) error {
			c, err := files.sources(cmd, map[string]string{"policy": "policy", "agent": "agent"}).Load()
			if err != nil {
				return exit(exitUnusable, err)
			}
			k, err := newChecker(c, method, resolve)
			if err != nil {
				return exit(exitUnusable, err)
			}
			defer k.close()
			show := showText
			if asJSON {
				show = showJSON
			}
			return k.checkAll(cmd.Context(), cmd.OutOrStdout(), urls, show)
		},
	}
	files.register(cmd, "configuration file (YAML), for its policy, agent and resolver")
	cmd.Flags().String("policy", "", "policy file or directory (default: the configuration's)")
	cmd.Flags().StringVarP(&method, "method", "X", "GET", "method of the request")
	cmd.Flags().String("agent", "", "agent that asks (default: the configuration's)")
	cmd.Flags().BoolVar(&resolve, "resolve", false, "resolve the host and classify its addresses, too")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a URL, each on a line")
	return cmd
}

// exitUnusableURLs refuses arguments that are not meant as URLs; a URL that is
// malformed in any other way is a target that the sidecar would deny.
func exitUnusableURLs(urls []string) error {
	if len(urls) == 0 {
		return exit(exitUnusable, errors.New("check needs a URL, such as https://api.example.com/v1/models"))
	}
	for _, u := range urls {
		if !strings.Contains(u, "://") {
			return exit(exitUnusable, fmt.Errorf("%s is not a URL: write https:// or http:// before the host", strconv.QuoteToASCII(u)))
		}
	}
	return nil
}

// checker decides as the sidecar does.
type checker struct {
	set    *ruleset.Set
	agent  string
	method string
	pins   *resolver.Resolver // nil: names are not resolved
	guard  *resolver.Guard
}

func newChecker(c *config.Config, method string, resolve bool) (*checker, error) {
	set, err := loadPolicy(c)
	if err != nil {
		return nil, err
	}
	k := &checker{set: set, agent: c.Agent, method: method}
	if !resolve {
		return k, nil
	}
	names, err := sidecar.ResolverConfig(c)
	if err != nil {
		return nil, err
	}
	k.guard = resolver.NewGuard(set.Policy.Holes(), nil, nil).WithNAT64(c.Resolver.NAT64)
	k.pins, err = resolver.New(names)
	return k, err
}

func (k *checker) close() {
	if k.pins != nil {
		_ = k.pins.Close() // every lookup has returned
	}
}

// verdict is what check says about one URL. The JSON names are part of the
// command's contract.
type verdict struct {
	URL           string        `json:"url"`
	Method        string        `json:"method"`
	Agent         string        `json:"agent"`
	Allowed       bool          `json:"allowed"`
	Carried       bool          `json:"carried"` // allowed, or report mode lets it pass
	Reason        policy.Reason `json:"reason"`
	Layer         string        `json:"layer,omitempty"` // that denied
	Rule          string        `json:"rule,omitempty"`
	Contract      string        `json:"contract,omitempty"` // that its body is held to
	Pattern       string        `json:"pattern,omitempty"`  // host pattern of the rule
	Tunnel        bool          `json:"tunnel"`             // carried unseen: method and path did not count
	Intercept     bool          `json:"intercept"`          // the TLS connection is terminated, and each request decided
	Mode          policy.Mode   `json:"mode"`
	PolicyVersion string        `json:"policy_version"`
	Addresses     []string      `json:"addresses,omitempty"` // with --resolve
	Flags         []string      `json:"flags,omitempty"`     // names of the patterns that flag it
	Detail        string        `json:"detail,omitempty"`
	Hint          string        `json:"hint,omitempty"`
	Near          []policy.Near `json:"near,omitempty"`     // rules that came close
	NewRule       string        `json:"new_rule,omitempty"` // an entry of rules that would allow it, where no rule has the host
	Change        string        `json:"change,omitempty"`   // what else of the policy decides, in words
}

// checkAll shows a verdict for each URL.
func (k *checker) checkAll(ctx context.Context, w io.Writer, urls []string, show func(io.Writer, *verdict) error) error {
	denied := false
	for _, u := range urls {
		v := k.check(ctx, u)
		denied = denied || !v.Allowed
		if err := show(w, v); err != nil {
			return fmt.Errorf("writing the answer: %w", err)
		}
	}
	if denied {
		return exit(exitDenied, nil)
	}
	return nil
}

func (k *checker) check(ctx context.Context, url string) *verdict {
	v := &verdict{URL: url, Method: k.method, Agent: k.agent, Mode: k.set.Policy.Mode(), PolicyVersion: k.set.Version}
	if target, err := policy.ParseAbsolute(url); err != nil {
		v.deny(policy.TargetMalformed, err)
	} else {
		k.decide(v, target)
		k.resolve(ctx, v, target)
	}
	if !v.Allowed {
		v.Layer, v.Hint = v.Reason.Layer(), v.Reason.Hint()
	}
	return v
}

// explain says what of the policy would have to change. A request inside TLS is
// explained as if it were seen, since the rules that would see it are among
// those that came close.
func (k *checker) explain(v *verdict, request policy.Request) {
	request.Tunnel = false
	switch v.Reason {
	case policy.HostDenied:
		v.Change = fmt.Sprintf("the entry %s of deny lists %q, and beats every rule", v.Rule, v.Pattern)
	case policy.SuspiciousPattern:
		v.Change = fmt.Sprintf("the pattern %s matches: narrow its match, or write action: flag", v.Rule)
	default:
		v.Near = k.set.Policy.Explain(&request)
	}
	if v.Reason == policy.HostNotAllowed && !slices.ContainsFunc(v.Near, hasHost) {
		v.NewRule = policy.NewRule(&request)
	}
}

// decide asks for the tunnel, where there is one, and for the request, where
// Signet would see it.
func (k *checker) decide(v *verdict, target policy.Target) {
	request := policy.Request{Target: target, Method: k.method, Agent: k.agent}
	if target.Scheme == "https" || target.Scheme == "wss" {
		request.Tunnel = true
		outer := k.set.Policy.Decide(&request)
		v.Intercept, v.Tunnel = outer.Intercept, outer.Carries() && !outer.Intercept
		request.Tunnel = !outer.Intercept
	}
	d := k.set.Policy.Decide(&request)
	v.Allowed, v.Carried, v.Reason, v.Rule, v.Pattern, v.Flags = d.Allowed, d.Carries(), d.Reason, d.Rule, d.Pattern, d.Flags
	if c := k.set.Contracts.For(&request); c != nil {
		v.Contract = c.Name
	}
	if !v.Allowed {
		k.explain(v, request)
	}
}

// resolve pins the host as the sidecar would before it connects: not for what is
// denied. Report mode relaxes nothing here.
func (k *checker) resolve(ctx context.Context, v *verdict, target policy.Target) {
	if !v.Carried || k.pins == nil {
		return
	}
	pin, err := k.pins.Pin(ctx, target.Host, target.Port, k.guard)
	if err != nil {
		v.deny(policy.ResolveFailed, err)
		if denied, ok := errors.AsType[*resolver.DeniedError](err); ok {
			v.deny(policy.AddressDenied, err)
			v.Change = openHole(denied)
		}
		return
	}
	for _, a := range pin.Addrs {
		v.Addresses = append(v.Addresses, a.String())
	}
}

// hasHost tells whether a rule lists the host, be it for other agents.
func hasHost(n policy.Near) bool {
	return !slices.ContainsFunc(n.Changes, func(change string) bool { return strings.HasPrefix(change, "hosts: ") })
}

// openHole says which key opens a denied address, where one can.
func openHole(denied *resolver.DeniedError) string {
	hole := netip.PrefixFrom(denied.Addr, denied.Addr.BitLen())
	if !resolver.NewGuard([]netip.Prefix{hole}, nil, nil).Address(denied.Addr).Allowed {
		return "" // it never opens
	}
	return fmt.Sprintf("addresses: {allow: [%q]} would open it", hole)
}

func (v *verdict) deny(reason policy.Reason, why error) {
	v.Allowed, v.Carried, v.Reason, v.Detail = false, false, reason, why.Error()
}

func showJSON(w io.Writer, v *verdict) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func showText(w io.Writer, v *verdict) error {
	word := "denied "
	if v.Allowed {
		word = "allowed"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s\n", word, printable(v.URL))
	indent := strings.Repeat(" ", len(word)+2)
	fmt.Fprintf(&b, "%s%s\n", indent, strings.Join(v.facts(), ", "))
	for _, line := range slices.Concat([]string{v.Detail, v.Hint}, v.remedy()) {
		if line != "" {
			fmt.Fprintf(&b, "%s%s\n", indent, line)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// facts are the parts of the line below a URL.
func (v *verdict) facts() []string {
	var facts []string
	if !v.Allowed {
		facts = append(facts, string(v.Reason), "layer: "+v.Layer)
	}
	if v.Rule != "" {
		facts = append(facts, "rule: "+v.Rule)
	}
	if v.Contract != "" {
		facts = append(facts, "contract: "+v.Contract)
	}
	switch {
	case v.Intercept:
		facts = append(facts, "intercepted")
	case v.Tunnel && v.Allowed:
		facts = append(facts, "opaque tunnel (method and path are not seen)")
	}
	if len(v.Addresses) > 0 {
		facts = append(facts, "addresses: "+strings.Join(v.Addresses, " "))
	}
	if len(v.Flags) > 0 {
		facts = append(facts, "flagged by: "+strings.Join(v.Flags, " "))
	}
	if v.Carried && !v.Allowed {
		facts = append(facts, "carried all the same (report mode)")
	}
	return facts
}

// remedy says what of the policy would have to change, for whoever keeps it.
func (v *verdict) remedy() []string {
	var lines []string
	for _, n := range v.Near {
		near := fmt.Sprintf("rule %s (%s)", n.Rule, n.Pattern)
		if len(n.Changes) == 0 {
			lines = append(lines, near+" has the host; no change of it can allow this request")
			continue
		}
		lines = append(lines, near+" would allow it with")
		for _, change := range n.Changes {
			lines = append(lines, "  "+change)
		}
	}
	if v.NewRule != "" {
		lines = append(lines, "a new rule would allow it:", "  "+v.NewRule)
	}
	return append(lines, v.Change)
}

// printable keeps a URL that could move the terminal's cursor from doing so.
func printable(s string) string {
	for _, r := range s {
		if !strconv.IsPrint(r) {
			return strconv.QuoteToASCII(s)
		}
	}
	return s
}
