package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/internal/collector/store"
)

func newTenantCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "tenant", Short: "Tenants and their tokens"}
	cmd.AddCommand(newTenantCreateCommand(), newTenantListCommand(), newTenantQuotaCommand(), newTenantRetentionCommand(), newTenantTokenCommand(), newTenantTokensCommand(), newTenantRotateCommand(), newTenantRevokeCommand())
	return cmd
}

// withStore is a command that works on the store and is done.
func withStore(cmd *cobra.Command, work func(ctx context.Context, kept store.Store, args []string) error) *cobra.Command {
	var s settings
	s.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		kept, err := s.open(cmd.Context())
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, kept.Close()) }()
		return work(cmd.Context(), kept, args)
	}
	return cmd
}

var tenantName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func newTenantCreateCommand() *cobra.Command {
	var quota quotaFlag
	cmd := &cobra.Command{Use: "create NAME", Short: "Create a tenant", Args: cobra.ExactArgs(1)}
	cmd.Flags().Var(&quota, "quota", "what the tenant may keep, such as 10GiB; records beyond it wait at its sidecars")
	return withStore(cmd, func(ctx context.Context, kept store.Store, args []string) error {
		if !tenantName.MatchString(args[0]) {
			return &unusableError{fmt.Errorf("%q is not 1 to 64 letters, digits, dots, dashes and underscores", args[0])}
		}
		if err := kept.CreateTenant(ctx, store.Tenant{Name: args[0], Created: time.Now()}); err != nil || quota == 0 {
			return err
		}
		return kept.SetQuota(ctx, args[0], int64(quota))
	})
}

func newTenantTokenCommand() *cobra.Command {
	var scopes []string
	var lifetime time.Duration
	cmd := &cobra.Command{
		Use: "token NAME", Short: "Make a token for a tenant, and print it once", Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringSliceVar(&scopes, "scope", []string{string(store.ScopeReceiptsRead)}, "what the token may be used for: receipts.read, export, billing.read, admin, enroll")
	cmd.Flags().DurationVar(&lifetime, "expires", 90*24*time.Hour, "how long the token is valid; 0: for ever")
	return withStore(cmd, func(ctx context.Context, kept store.Store, args []string) error {
		granted, err := parseScopes(scopes)
		if err != nil {
			return err
		}
		return printToken(ctx, cmd, kept, args[0], granted, lifetime)
	})
}

func newTenantRotateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "rotate NAME TOKEN-ID", Short: "Replace a token by a new one with the same scopes, and print it once", Args: cobra.ExactArgs(2),
	}
	return withStore(cmd, func(ctx context.Context, kept store.Store, args []string) error {
		tokens, err := kept.Tokens(ctx, args[0])
		if err != nil {
			return err
		}
		i := slices.IndexFunc(tokens, func(t store.Token) bool { return t.ID == args[1] })
		if i < 0 {
			return noToken(args[0], args[1])
		}
		var lifetime time.Duration
		if old := tokens[i]; !old.Expires.IsZero() {
			lifetime = old.Expires.Sub(old.Created)
		}
		if err := printToken(ctx, cmd, kept, args[0], tokens[i].Scopes, lifetime); err != nil {
			return err
		}
		return kept.RevokeToken(ctx, args[0], args[1], time.Now())
	})
}

func newTenantRevokeCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "revoke NAME TOKEN-ID", Short: "End a token, and the sessions that were begun with it", Args: cobra.ExactArgs(2)}
	return withStore(cmd, func(ctx context.Context, kept store.Store, args []string) error {
		err := kept.RevokeToken(ctx, args[0], args[1], time.Now())
		if errors.Is(err, store.ErrNotFound) {
			return noToken(args[0], args[1])
		}
		return err
	})
}

func noToken(tenant, id string) error {
	return fmt.Errorf("tenant %s has no token %s; signet-collector tenant tokens %s names those that it has", tenant, id, tenant)
}

func parseScopes(names []string) ([]store.Scope, error) {
	var scopes []store.Scope
	for _, name := range names {
		if !slices.Contains(store.Scopes(), store.Scope(name)) {
			return nil, &unusableError{fmt.Errorf("%q is no scope; there are %v", name, store.Scopes())}
		}
		scopes = append(scopes, store.Scope(name))
	}
	return scopes, nil
}

// printToken makes a token of 256 random bits. Only its SHA-256 is kept; the
// prefix lets scanners for leaked secrets find it.
func printToken(ctx context.Context, cmd *cobra.Command, kept store.Store, tenant string, scopes []store.Scope, lifetime time.Duration) error {
	secret, id := make([]byte, 32), make([]byte, 6)
	_, _ = rand.Read(secret) // never fails (crypto/rand)
	_, _ = rand.Read(id)
	text := "signet_" + base64.RawURLEncoding.EncodeToString(secret)
	t := store.Token{ID: hex.EncodeToString(id), Tenant: tenant, Digest: sha256.Sum256([]byte(text)), Scopes: scopes, Created: time.Now()}
	if lifetime > 0 {
		t.Expires = t.Created.Add(lifetime)
	}
	if err := kept.AddToken(ctx, t); err != nil {
		return tenantError(tenant, err)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "token %s of tenant %s, which is shown this once:\n", t.ID, tenant)
	fmt.Fprintln(cmd.OutOrStdout(), text)
	return nil
}
