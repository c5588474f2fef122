package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/internal/config"
	"github.com/signet-egress/signet/internal/payload"
	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/internal/ruleset"
	"github.com/signet-egress/signet/invariants/facts"
)

func newContractCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "contract", Short: "Try payload contracts, and test them", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return exit(exitUnusable, errors.New("contract needs a command: signet contract test, or signet contract try"))
		},
	}
	cmd.AddCommand(newContractTestCommand(), newContractTryCommand())
	return cmd
}

// contractFlags are what the contract commands load a policy by.
type contractFlags struct{ files configFiles }

func (f *contractFlags) register(cmd *cobra.Command) {
	f.files.register(cmd, "configuration file (YAML), for its policy, agent and max_payload_size")
	cmd.Flags().String("policy", "", "policy directory or file (default: the configuration's)")
}

func (f *contractFlags) load(cmd *cobra.Command) (*bodyTrial, error) {
	c, err := f.files.sources(cmd, map[string]string{"policy": "policy"}).Load()
	if err != nil {
		return nil, exit(exitUnusable, err)
	}
	set, err := loadPolicy(c)
	if err != nil {
		return nil, exit(exitUnusable, err)
	}
	return &bodyTrial{config: c, set: set}, nil
}

// bodyTrial takes bodies through contracts as the sidecar does, without sending
// anything.
type bodyTrial struct {
	config *config.Config
	set    *ruleset.Set
}

// trialRequest is what a body would come with.
type trialRequest struct {
	contract string // "": the one that the request falls under
	method   string
	url      string // "": none is named, and contract is
	body     []byte
	kind     string // Content-Type
	original []byte // the fact that the body is held against; nil: none is known
}

// contract finds what the request is held to.
func (t *bodyTrial) contract(r *trialRequest) (*payload.Contract, policy.Target, error) {
	var target policy.Target
	var fallsUnder *payload.Contract
	if r.url != "" {
		var err error
		if target, err = policy.ParseAbsolute(r.url); err != nil {
			return nil, target, err
		}
		fallsUnder = t.set.Contracts.For(&policy.Request{Target: target, Method: r.method, Agent: t.config.Agent})
	}
	named := t.set.Contracts.Named(r.contract)
	switch {
	case r.contract != "" && named == nil:
		return nil, target, fmt.Errorf("the policy has no contract %s; it has %q", r.contract, t.set.Contracts.Names())
	case r.contract == "" && r.url == "":
		return nil, target, errors.New("neither a contract nor a request is named")
	case r.url != "" && fallsUnder == nil:
		return nil, target, fmt.Errorf("%s %s falls under no contract", r.method, target)
	case named != nil && r.url != "" && named != fallsUnder:
		return nil, target, fmt.Errorf("%s %s falls under contract %s, not %s", r.method, target, fallsUnder.Name, r.contract)
	case named == nil:
		named = fallsUnder
	}
	if !named.Checks() {
		return nil, target, fmt.Errorf("contract %s holds no request to anything: it only captures", named.Name)
	}
	return named, target, nil
}

// run takes the body through its contract. The error is of a request that cannot
// be tried.
func (t *bodyTrial) run(ctx context.Context, r *trialRequest) (*payload.Contract, *payload.Result, error) {
	c, target, err := t.contract(r)
	if err != nil {
		return nil, nil, err
	}
	if r.original != nil && !c.NeedsFact() {
		return nil, nil, fmt.Errorf("contract %s has no original to give: its bodies are held against themselves", c.Name)
	}
	inspector := &payload.Inspector{
		Limit: t.config.MaxPayloadSize, Budget: payload.NewBudget(payload.DefaultBudget), Facts: oneFact(r.original),
	}
	result, err := inspector.Inspect(ctx, c, &payload.Request{
		Body: bytes.NewReader(r.body), Length: int64(len(r.body)), Type: r.kind,
		Tenant: t.config.Tenant, Agent: t.config.Agent, Trace: "trial",
		Method: r.method, Scheme: target.Scheme, Host: target.Host, Path: target.Path,
	})
	return c, result, err
}

// oneFact is the only fact that is known, whatever it is asked for by.
type oneFact []byte

// Lookup implements payload.Facts.
func (f oneFact) Lookup(context.Context, facts.Key) (*facts.Fact, error) {
	if f == nil {
		return nil, nil
	}
	return &facts.Fact{JSON: f, ReceiptID: "trial"}, nil
}

// Remember implements payload.Facts.
func (oneFact) Remember(context.Context, facts.Key, facts.Fact) error {
	return errors.New("a trial remembers nothing")
}
