package peers

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a child process at the head of a process group of its own, so that
// it is ended with all that it started.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed once it was waited for
	err  error         // of Wait; read after done

	mu    sync.Mutex
	lines []string
	moved chan struct{} // closed and replaced at each line
}

// StartProcess starts cmd. Its standard error, and its standard output too
// unless the caller has taken it, are kept by line for Line and Output. A user
// and capabilities that cmd.SysProcAttr names are kept.
func StartProcess(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, done: make(chan struct{}), moved: make(chan struct{})}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	reader, writer := io.Pipe()
	if cmd.Stdout == nil {
		cmd.Stdout = writer
	}
	cmd.Stderr = writer
	if err := cmd.Start(); err != nil {
		_ = writer.Close()
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		p.keep(reader)
	}()
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
		_ = writer.Close()
		<-read
	}()
	return p, nil
}

func (p *Process) keep(output io.Reader) {
	lines := bufio.NewReader(output)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			p.mu.Lock()
			p.lines = append(p.lines, strings.TrimSuffix(line, "\n"))
			close(p.moved)
			p.moved = make(chan struct{})
			p.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

// PID is the process's, and its group's, id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Output is all that was written so far.
func (p *Process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

// Line waits for the first line of the output that match takes. It fails when
// the process ends without one, or with ctx.
func (p *Process) Line(ctx context.Context, match func(line string) bool) (string, error) {
	for from := 0; ; {
		// Read before the lines are: what was written before the end counts.
		ended := p.ended()
		p.mu.Lock()
		lines, moved := p.lines, p.moved
		p.mu.Unlock()
		for ; from < len(lines); from++ {
			if match(lines[from]) {
				return lines[from], nil
			}
		}
		if ended {
			return "", fmt.Errorf("%s ended (%s) without the line that was waited for; it wrote:\n%s", p.cmd.Path, p.cmd.ProcessState, p.Output())
		}
		select {
		case <-moved:
		case <-p.done:
		case <-ctx.Done():
			return "", fmt.Errorf("wait for a line of %s: %w; it wrote:\n%s", p.cmd.Path, ctx.Err(), p.Output())
		}
	}
}

func (p *Process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Signal goes to the process alone, as from an orchestrator.
func (p *Process) Signal(signal syscall.Signal) error {
	if err := p.cmd.Process.Signal(signal); err != nil {
		return fmt.Errorf("send %v to %s: %w", signal, p.cmd.Path, err)
	}
	return nil
}

// Kill ends the whole group with SIGKILL and waits for the process.
func (p *Process) Kill() {
	if !p.ended() {
		_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
	}
	<-p.done
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait returns when the process has ended: nil for exit status 0, an
// *exec.ExitError for another.
func (p *Process) Wait() error {
	<-p.done
	return p.err
}

// Ready returns when url answers 200, and fails as soon as the process ends.
func (p *Process) Ready(ctx context.Context, url string) error {
	transport := &http.Transport{DisableKeepAlives: true}
	client := &http.Client{Transport: transport}
	const pace = 5 * time.Millisecond
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		err := ready(ctx, client, url)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.done:
			return fmt.Errorf("%s ended (%s) before it was ready; it wrote:\n%s", p.cmd.Path, p.cmd.ProcessState, p.Output())
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w; it wrote:\n%s", url, errors.Join(ctx.Err(), err), p.Output())
		}
	}
}

func ready(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("make a readiness request: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10))
		return fmt.Errorf("%s: %s", response.Status, bytes.TrimSpace(body))
	}
	return nil
}
