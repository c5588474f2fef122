package doctor

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// answer is what a client said of one question.
type answer struct {
	missing bool   // it is not installed after all
	reached bool   // somebody answered with an HTTP status
	trusted bool   // to trust: the CA is among its roots
	failed  string // why it could not be asked, or got no answer
	detail  string
}

// ask runs a client that prints STATUS n, ERROR why, TRUSTED, UNTRUSTED or
// MISSING, and reads the first such line.
func (e *examination) ask(ctx context.Context, stdin, program string, args ...string) answer {
	output, err := e.output(ctx, stdin, program, args...)
	for line := range strings.Lines(output) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "STATUS":
			return answer{reached: true}
		case "ERROR":
			return answer{failed: rest}
		case "TRUSTED":
			return answer{trusted: true, detail: rest}
		case "UNTRUSTED":
			return answer{detail: rest}
		case "MISSING":
			return answer{missing: true}
		}
	}
	if err == nil {
		err = errors.New("no answer")
	}
	return answer{failed: err.Error()}
}

func (e *examination) curl(ctx context.Context, program, url string) answer {
	output, err := e.output(ctx, "", program, "--silent", "--show-error", "--max-time", e.seconds(),
		"--output", "/dev/null", "--write-out", `%{response_code}\n`, url)
	for line := range strings.Lines(output) {
		var status int
		if n, _ := fmt.Sscan(line, &status); n == 1 && status != 0 {
			return answer{reached: true}
		}
	}
	if err == nil {
		err = errors.New("no answer")
	}
	return answer{failed: err.Error()}
}

// java compiles a source file, which it wants to be a file.
func (e *examination) java(ctx context.Context, program, url string) answer {
	return e.runJava(ctx, program, "reach", url, e.seconds())
}

func (e *examination) javaRoots(ctx context.Context, program string) answer {
	return e.runJava(ctx, program, "trust", base64.StdEncoding.EncodeToString(e.CA.Raw))
}

func (e *examination) runJava(ctx context.Context, program string, args ...string) answer {
	file, err := os.CreateTemp("", "Doctor*.java")
	if err != nil {
		return answer{failed: err.Error()}
	}
	defer func() { _ = os.Remove(file.Name()) }() // a temporary file
	_, err = file.WriteString(javaSource)
	if err := errors.Join(err, file.Close()); err != nil {
		return answer{failed: err.Error()}
	}
	return e.ask(ctx, "", program, append([]string{file.Name()}, args...)...)
}

// git has no status to show: its error quotes it.
func (e *examination) git(ctx context.Context, program, url string) answer {
	ctx, cancel := context.WithTimeout(ctx, e.Timeout) // it has no limit of its own for connecting
	defer cancel()
	_, err := e.output(ctx, "", program, "-c", "credential.helper=", "ls-remote", url)
	if err == nil {
		return answer{reached: true}
	}
	return answer{reached: gitAnswered.MatchString(err.Error()), failed: err.Error()}
}

// gitAnswered are the ways in which Git says that a server answered, with
// something that is no repository.
var gitAnswered = regexp.MustCompile(`repository '.*' not found|returned error: \d|not valid: is this a git repository|Authentication failed|could not read Username`)

// output runs a client in the agent's environment and returns what it printed;
// the error ends with what it wrote to standard error.
func (e *examination) output(ctx context.Context, stdin, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 4*e.Timeout) // Java compiles first
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // the agent's own clients, found on its PATH
	cmd.Env = append(append([]string(nil), e.Environ...), "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		err = errors.New("no answer in time")
	case err != nil && stderr.Len() > 0:
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), err
}

// clip is the first line of a message, of a length that a line can hold.
func clip(message string) string {
	const longest = 160
	message, _, _ = strings.Cut(message, "\n")
	if len(message) > longest {
		message = strings.ToValidUTF8(message[:longest], "") + "…"
	}
	return message
}
