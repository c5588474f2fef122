package main

import (
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// progress counts on the terminal while something long goes on, and nothing where
// standard error is no terminal.
type progress struct{ bar *progressbar.ProgressBar }

func newProgress(cmd *cobra.Command, what string) *progress {
	f, ok := cmd.ErrOrStderr().(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &progress{}
	}
	return &progress{progressbar.NewOptions64(-1, // how many there are is found on the way
		progressbar.OptionSetWriter(f), progressbar.OptionSetDescription(what), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(),
	)}
}

func (p *progress) add(n int64) {
	if p.bar != nil {
		_ = p.bar.Add64(n) // only shown
	}
}

// done clears the line.
func (p *progress) done() {
	if p.bar != nil {
		_ = p.bar.Clear() // only shown
	}
}
