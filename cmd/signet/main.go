// Command signet is the sidecar and the operator's tool.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/spf13/cobra"
)

// Exit codes that mean something to scripts; everything else is 1.
const (
	exitUnusable = 2 // input or configuration that cannot be used
	exitDenied   = 3 // check, replay: the policy denies
)

func main() {
	// net/http's client prints what an upstream sends unasked, and as it came; no
	// other part of the program uses this logger.
	log.SetOutput(io.Discard)
	os.Exit(run(context.Background(), os.Args[1:]))
}

func run(ctx context.Context, args []string) int {
	root := newRootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var coded *exitError
	if !errors.As(err, &coded) {
		coded = &exitError{code: 1, err: err}
		if _, _, unknown := root.Find(args); unknown != nil {
			coded.code = exitUnusable
		}
	}
	if coded.err != nil {
		fmt.Fprintln(root.ErrOrStderr(), "signet:", coded.err)
	}
	return coded.code
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "signet",
		Short:         "The egress sidecar for AI agents: decides, pins, carries and receipts what they send",
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version(),
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exit(exitUnusable, err) })
	root.AddCommand(newRunCommand(), newExecCommand(), newDemoCommand(), newVerifyCommand(), newExportCommand(), newShowCommand(), newTailCommand(), newReceiptsCommand(), newKeysCommand(), newJournalCommand(), newCheckCommand(), newDoctorCommand(), newConfigCommand(), newSuggestCommand(), newReplayCommand(), newContractCommand())
	unusableArgs(root)
	return root
}

// unusableArgs gives refused arguments their exit status.
func unusableArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			err := check(c, args)
			if coded := new(exitError); err == nil || errors.As(err, &coded) {
				return err
			}
			return exit(exitUnusable, err)
		}
	}
	for _, sub := range c.Commands() {
		unusableArgs(sub)
	}
}

// exitError carries the exit code that err stands for; a nil err says that all
// was said already.
type exitError struct {
	code int
	err  error
}

func exit(code int, err error) error { return &exitError{code: code, err: err} }

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }
