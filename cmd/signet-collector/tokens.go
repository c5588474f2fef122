package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/internal/collector/store"
)

// tokenLine is a token as it is listed: all that is kept but the digest.
type tokenLine struct {
	ID      string        `json:"id"`
	Scopes  []store.Scope `json:"scopes"`
	Created time.Time     `json:"created"`
	Expires time.Time     `json:"expires,omitzero"` // absent: never
	Revoked time.Time     `json:"revoked,omitzero"` // absent: not
}

func newTenantTokensCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{Use: "tokens NAME", Short: "List a tenant's tokens, the newest first: 1,000 at most", Args: cobra.ExactArgs(1)}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	return withStore(cmd, func(ctx context.Context, kept store.Store, args []string) error {
		if _, err := kept.Tenant(ctx, args[0]); err != nil {
			return tenantError(args[0], err)
		}
		tokens, err := kept.Tokens(ctx, args[0])
		if err != nil {
			return err
		}
		if asJSON {
			return writeTokens(cmd.OutOrStdout(), tokens)
		}
		return tabulateTokens(cmd.OutOrStdout(), tokens)
	})
}

func writeTokens(w io.Writer, tokens []store.Token) error {
	out := json.NewEncoder(w)
	for i := range tokens {
		t := &tokens[i]
		if err := out.Encode(tokenLine{ID: t.ID, Scopes: t.Scopes, Created: t.Created.UTC(), Expires: t.Expires.UTC(), Revoked: t.Revoked.UTC()}); err != nil {
			return err
		}
	}
	return nil
}

func tabulateTokens(w io.Writer, tokens []store.Token) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = io.WriteString(table, "TOKEN\tSCOPES\tCREATED\tEXPIRES\tREVOKED\n") // table keeps its first error for Flush
	for i := range tokens {
		t := &tokens[i]
		scopes := make([]string, len(t.Scopes))
		for n, scope := range t.Scopes {
			scopes[n] = string(scope)
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", t.ID, strings.Join(scopes, ","), t.Created.UTC().Format(time.RFC3339), instant(t.Expires, "never"), instant(t.Revoked, "no"))
	}
	return table.Flush()
}

func instant(t time.Time, absent string) string {
	if t.IsZero() {
		return absent
	}
	return t.UTC().Format(time.RFC3339)
}

// tenantError tells where the name of a tenant that is not there may be found.
func tenantError(name string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("there is no tenant %s; signet-collector tenant list names them", name)
	}
	return err
}
