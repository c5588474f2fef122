package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	Pattern       string        `json:"pattern,omitempty"` // host pattern of the rule
	Tunnel        bool          `json:"tunnel"`            // carried unseen: method and path did not count
	Intercept     bool          `json:"intercept"`         // the TLS connection is terminated, and each request decided
	Mode          policy.Mode   `json:"mode"`
	PolicyVersion string        `json:"policy_version"`
	Addresses     []string      `json:"addresses,omitempty"` // with --resolve
	Detail        string        `json:"detail,omitempty"`
	Hint          string        `json:"hint,omitempty"`
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

// decide asks for the tunnel, where there is one, and for the request, where
// Signet would see it.
func (k *checker) decide(v *verdict, target policy.Target) {
	request := policy.Request{Target: target, Method: k.method, Agent: k.agent}
	if target.Scheme == "https" || target.Scheme == "wss" {
		request.Tunnel = true
		outer := k.set.Policy.Decide(&request)
		v.Intercept, v.Tunnel = outer.Intercept, outer.Carries() && !outer.Intercept
		if !outer.Intercept {
			v.set(outer)
			return
		}
		request.Tunnel = false
	}
	v.set(k.set.Policy.Decide(&request))
}

func (v *verdict) set(d policy.Decision) {
	v.Allowed, v.Carried, v.Reason, v.Rule, v.Pattern = d.Allowed, d.Carries(), d.Reason, d.Rule, d.Pattern
}

// resolve pins the host as the sidecar would before it connects: not for what is
// denied. Report mode relaxes nothing here.
func (k *checker) resolve(ctx context.Context, v *verdict, target policy.Target) {
	if !v.Carried || k.pins == nil {
		return
	}
	pin, err := k.pins.Pin(ctx, target.Host, target.Port, k.guard)
	if err != nil {
		reason := policy.ResolveFailed
		if _, ok := errors.AsType[*resolver.DeniedError](err); ok {
			reason = policy.AddressDenied
		}
		v.deny(reason, err)
		return
	}
	for _, a := range pin.Addrs {
		v.Addresses = append(v.Addresses, a.String())
	}
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
	for _, line := range []string{v.Detail, v.Hint} {
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
	switch {
	case v.Intercept:
		facts = append(facts, "intercepted")
	case v.Tunnel && v.Allowed:
		facts = append(facts, "opaque tunnel (method and path are not seen)")
	}
	if len(v.Addresses) > 0 {
		facts = append(facts, "addresses: "+strings.Join(v.Addresses, " "))
	}
	if v.Carried && !v.Allowed {
		facts = append(facts, "carried all the same (report mode)")
	}
	return facts
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
