package sidecar

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"github.com/signet-egress/signet/internal/config"
	"github.com/signet-egress/signet/internal/ruleset"
	"github.com/signet-egress/signet/proxy"
	"github.com/signet-egress/signet/receipts"
)

// Source reads configuration and policy again, the same way as at the start. The
// policy that is in force comes back as it is where its files have not changed.
type Source func(current *ruleset.Set) (*config.Config, *ruleset.Set, error)

// Reloaded is what a reload did.
type Reloaded struct {
	PolicyVersion string `json:"policy_version"`
	Changed       bool   `json:"changed"`
	Cut           int    `json:"cut"` // tunnels that the new policy does not allow
}

// reloading is the state of reloads: what is in force, and the last failure.
type reloading struct {
	source Source
	files  []string // followed
	level  *slog.LevelVar

	mu     sync.Mutex // one reload at a time
	config *config.Config
	policy *ruleset.Set
	failed error // why the newest files are not in force; nil if they are
	at     time.Time
}

// Reload replaces policy and the reloadable part of the configuration (agents,
// log level) by what the files hold now. Everything is built and checked first;
// on an error what was in force stays. An exchange keeps the snapshot that it
// began with; tunnels that the new one would not allow are cut.
func (s *Sidecar) Reload(_ context.Context) (Reloaded, error) {
	r := &s.reloading
	r.mu.Lock()
	defer r.mu.Unlock()
	done, err := s.reload()
	if err != nil && (r.failed == nil || err.Error() != r.failed.Error()) {
		s.log.Error("reload failed: what was in force stays", "error", err.Error())
	}
	switch {
	case err != nil:
		s.metrics.Policy.LoadFailed(err)
	case r.failed != nil: // the files are as before the mistake
		s.metrics.Policy.Current()
	}
	r.failed = err
	return done, err
}

// describe says what is in force since when, and why nothing newer is.
func (r *reloading) describe() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := fmt.Sprintf("configuration and policy in force since %s\n", r.at.UTC().Format(time.RFC3339))
	if r.failed != nil {
		text += fmt.Sprintf("reload failed, what was in force stays: %v\n", r.failed)
	}
	return text
}

// reload does the work of Reload; r.mu is held.
func (s *Sidecar) reload() (Reloaded, error) {
	r := &s.reloading
	if r.source == nil {
		return Reloaded{}, errors.New("this sidecar cannot reload: nothing says from where")
	}
	c, set, err := r.source(r.policy)
	if err != nil {
		return Reloaded{}, err
	}
	old := s.snapshot.Load()
	if set.Version == old.Version && reflect.DeepEqual(c, r.config) {
		return Reloaded{PolicyVersion: old.Version}, nil
	}
	if needRestart(r.config, c) {
		s.log.Warn("some of the settings that changed take effect at the next start only")
	}
	next, err := s.newSnapshot(c, set)
	if err != nil {
		return Reloaded{}, err
	}
	if err := s.authority.Renew(set.Policy.InterceptedHosts()); err != nil {
		return Reloaded{}, fmt.Errorf("renewing the interception CA: %w", err)
	}
	if err := s.recordPosture(old, next); err != nil {
		return Reloaded{}, err
	}
	s.snapshot.Store(next)
	r.config, r.policy, r.at = c, set, time.Now()
	r.level.Set(c.Log.Least())
	s.upstreams.Retire(next.Version)
	cut := s.proxy.Revalidate()
	s.metrics.Policy.Loaded(next.Version, string(set.Policy.Mode()), r.at)
	s.log.Info("reloaded", "policy_version", next.Version, "mode", string(set.Policy.Mode()), "tunnels_cut", cut)
	return Reloaded{PolicyVersion: next.Version, Changed: true, Cut: cut}, nil
}

// newSnapshot is what exchanges are decided by under c and set.
func (s *Sidecar) newSnapshot(c *config.Config, set *ruleset.Set) (*proxy.Snapshot, error) {
	guard, err := s.newGuard(set)
	if err != nil {
		return nil, err
	}
	return &proxy.Snapshot{
		Policy: set.Policy, Version: set.Version, Guard: guard, Agents: agentsOf(c), Contracts: contracts{set.Contracts, s.inspector},
	}, nil
}

// recordPosture puts a change of policy, and of mode, into the chain.
func (s *Sidecar) recordPosture(old, next *proxy.Snapshot) error {
	var errs []error
	posture := func(name, value string) {
		errs = append(errs, s.journal.Event(&receipts.Event{
			Event: receipts.EventPosture, Posture: &receipts.Posture{Name: name, Value: value},
		}))
	}
	if old.Version != next.Version {
		posture("policy", next.Version)
	}
	if old.Policy.Mode() != next.Policy.Mode() {
		posture("mode", string(next.Policy.Mode()))
	}
	return errors.Join(errs...)
}

// needRestart reports whether a and b differ in what a reload does not replace.
func needRestart(a, b *config.Config) bool {
	fixed := func(c *config.Config) config.Config {
		f := *c
		f.Policy, f.AllowedHosts, f.Agents, f.Log.Level = "", nil, nil, ""
		return f
	}
	return !reflect.DeepEqual(fixed(a), fixed(b))
}
