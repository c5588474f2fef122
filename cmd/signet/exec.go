package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/signet-egress/signet/internal/sidecar"
)

// Exit codes of a command that was not run, as shells and env(1) have them.
const (
	exitNotExecutable = 126
	exitNotFound      = 127
	exitSignalled     = 128 // and the signal's number
)

func newExecCommand() *cobra.Command {
	var (
		o      privateOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "exec [flags] -- COMMAND [ARGUMENT]...",
		Short: "Run a command behind a sidecar of its own",
		Long: `Run a command behind a private sidecar on a free loopback port, with the proxy
and CA variables set that ordinary clients read, and show at its end what it
reached. A command that ignores these variables is not held back: this is
cooperation, not containment.

Without a policy everything is carried and listed as what would be denied, so
that a first run shows what the command reaches; only special addresses
(loopback, private networks, cloud metadata) stay closed.

The receipts stay in a directory of the user's, $XDG_STATE_HOME/signet/exec or
~/.local/state/signet/exec, with the log of the last run. Each of its numbered
directories is one chain, which one run at a time continues; runs at the same
time take the next free number. --data names a directory instead.

Of a configuration file, listen, metrics_listen, admin_socket, data and
shutdown_timeout do not count.

Signals are passed on, and the exit status is the command's: 128 and the signal's
number if a signal ended it, 127 if it was not found, 126 if it could not be run;
2 if the configuration cannot be used. If the receipts do not verify it is 1.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return exit(exitUnusable, errors.New("no command is given; write it behind --, as in: signet exec -- curl https://example.com/"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBehindSidecar(cmd, &o, asJSON, args)
		},
	}
	cmd.Flags().SetInterspersed(false) // flags after the command are the command's
	o.files.register(cmd, "configuration file (YAML)")
	cmd.Flags().StringVar(&o.policy, "policy", "", "policy file or directory; without one nothing is denied that a rule could allow")
	cmd.Flags().StringVar(&o.data, "data", "", "data directory, instead of a free one of the user's")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write the summary as JSON, to standard error still")
	return cmd
}

func runBehindSidecar(cmd *cobra.Command, o *privateOptions, asJSON bool, args []string) error {
	path, err := exec.LookPath(args[0])
	if err != nil {
		return notRun(args[0], err)
	}
	ctx := context.WithoutCancel(cmd.Context())
	p, err := startPrivate(ctx, o)
	if err != nil {
		return err
	}
	defer p.release()
	env, err := p.environment(os.Environ())
	if err != nil {
		return errors.Join(err, p.stop())
	}
	child := exec.CommandContext(ctx, path, args[1:]...) //nolint:gosec // to run what the user names is what exec is for
	child.Args[0] = args[0]
	child.Env = env
	child.Stdin, child.Stdout, child.Stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	status, err := supervise(child)
	stopped := p.stop()
	if err != nil {
		return errors.Join(err, stopped)
	}
	s := summarize(ctx, p.dir)
	s.Command, s.ExitStatus, s.Mode = args, status, p.mode
	if err := errors.Join(stopped, s.write(cmd.ErrOrStderr(), asJSON)); err != nil {
		return err
	}
	if s.Error != "" {
		return exit(1, nil) // the summary has told
	}
	if status != 0 {
		return exit(status, nil)
	}
	return nil
}

// environment writes the bundle of certificates, and returns base with what
// leads a client to the sidecar.
func (p *privateSidecar) environment(base []string) ([]string, error) {
	bundle := p.path("bundle.pem")
	if err := p.sidecar.WriteBundle(bundle, base); err != nil {
		return nil, fmt.Errorf("writing the certificates to trust: %w", err)
	}
	return sidecar.AgentEnvironment(base, "http://"+p.sidecar.Addr().String(), bundle), nil
}

// supervise runs the child to its end, passing signals on, and returns its exit
// status as a shell would. From then on to the end of the process those signals
// do nothing: what is left to do is short, and what the run has done is evidence.
func supervise(child *exec.Cmd) (status int, err error) {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	if err := child.Start(); err != nil {
		return 0, notRun(child.Args[0], err)
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	for {
		select {
		case s := <-signals:
			if !fromTerminal(s) {
				_ = child.Process.Signal(s) // an error says that the child has ended
			}
		case err := <-ended:
			return statusOf(child.ProcessState, err)
		}
	}
}

// fromTerminal tells a signal that a key has caused: the terminal has sent it to
// the child too, which is in the same process group.
func fromTerminal(s os.Signal) bool {
	if s != syscall.SIGINT && s != syscall.SIGQUIT {
		return false
	}
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false // there is no terminal
	}
	defer func() { _ = tty.Close() }() // only asked
	foreground, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && foreground == unix.Getpgrp()
}

func statusOf(state *os.ProcessState, err error) (int, error) {
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		return 0, fmt.Errorf("waiting for the command: %w", err)
	}
	if w, ok := state.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return exitSignalled + int(w.Signal()), nil
	}
	return state.ExitCode(), nil
}

// notRun is a command that could not be started.
func notRun(name string, err error) error {
	code := exitNotExecutable
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		code = exitNotFound
	}
	var why *exec.Error
	if errors.As(err, &why) {
		err = why.Err
	}
	return exit(code, fmt.Errorf("running %s: %w", printable(name), err))
}
