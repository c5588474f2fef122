// Command signet-collector takes the receipts of sidecars, verifies them, keeps
// them and proves what it keeps.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/internal/collector"
)

// exitUnusable is the exit code for arguments and configuration that cannot be
// used; everything else that fails is 1.
const exitUnusable = 2

func main() { os.Exit(run(context.Background(), os.Args[1:])) }

func run(ctx context.Context, args []string) int {
	root := newRootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(root.ErrOrStderr(), "signet-collector:", err)
	unusable := new(unusableError)
	if _, _, unknown := root.Find(args); unknown != nil || errors.As(err, &unusable) || errors.Is(err, collector.ErrDatabase) {
		return exitUnusable
	}
	return 1
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "signet-collector",
		Short:         "Takes the receipts of sidecars, verifies and keeps them, and proves what it keeps",
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version(),
		// Each flag can be set by the environment too.
		PersistentPreRunE: fromEnvironment,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &unusableError{err} })
	root.AddCommand(newServeCommand(), newMigrateCommand(), newTenantCommand(), newChainCommand(), newPruneCommand())
	unusableArgs(root)
	return root
}

// unusableArgs gives refused arguments their exit status.
func unusableArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return &unusableError{err}
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		unusableArgs(sub)
	}
}

// unusableError is about what the command was called with.
type unusableError struct{ error }

func (e *unusableError) Unwrap() error { return e.error }

func version() string {
	info, ok := debug.ReadBuildInfo()
	if ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
