package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/tools/txtar"

	"github.com/signet-egress/signet/internal/payload"
)

// contractCase is one file: a body, what it is held against, and what must become
// of it. Its form is that of txtar: a head of key: value lines, and sections.
//
//	# what this is about
//	contract: NAME
//	request: POST https://host/path
//	-- original --      what the fact says; left out where none is known
//	-- input --         the body as the agent sends it
//	-- output --        what is sent, byte for byte; or
//	-- error --         the reason, and below it a line for each violation
//
// The last newline of a section is not part of it.
type contractCase struct {
	path    string
	archive *txtar.Archive
	request trialRequest
	want    outcome
}

// outcome is what becomes of a body: what is sent, or why it is not.
type outcome struct {
	refused bool
	text    string
}

func (o outcome) section() string {
	if o.refused {
		return "error"
	}
	return "output"
}

func readCase(path string) (*contractCase, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c := &contractCase{path: path, archive: txtar.Parse(data)}
	if err := c.head(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := c.sections(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func (c *contractCase) head() error {
	c.request.method = "POST"
	number := 0
	for line := range strings.Lines(string(c.archive.Comment)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch key {
		case "contract":
			c.request.contract = value
		case "request":
			var ok bool
			if c.request.method, c.request.url, ok = strings.Cut(value, " "); !ok {
				return fmt.Errorf("line %d: request is a method and a URL, as in POST https://api.example.com/v1/payments", number)
			}
		case "type":
			c.request.kind = value
		default:
			return fmt.Errorf("line %d: %s is none of contract:, request: and type:; a comment begins with #", number, printable(key))
		}
	}
	return nil
}

func (c *contractCase) sections() error {
	seen := make(map[string]bool)
	for i := range c.archive.Files {
		f := &c.archive.Files[i]
		text := bytes.TrimSuffix(f.Data, []byte("\n"))
		if seen[f.Name] {
			return fmt.Errorf("the section %s is there twice", f.Name)
		}
		seen[f.Name] = true
		switch f.Name {
		case "input":
			c.request.body = text
		case "original":
			c.request.original = text
		case "output", "error":
			c.want = outcome{refused: f.Name == "error", text: string(text)}
		default:
			return fmt.Errorf("the section %s is none of original, input, output and error", printable(f.Name))
		}
	}
	switch {
	case !seen["input"]:
		return errors.New("there is no section input")
	case seen["output"] && seen["error"]:
		return errors.New("there are both output and error: a body is sent or it is not")
	}
	return nil
}

// run says what becomes of the case's body.
func (c *contractCase) run(ctx context.Context, t *bodyTrial) (outcome, error) {
	_, result, err := t.run(ctx, &c.request)
	if err != nil {
		return outcome{}, fmt.Errorf("%s: %w", c.path, err)
	}
	defer result.Release()
	return outcomeOf(result), nil
}

func outcomeOf(r *payload.Result) outcome {
	refusal := r.Refusal
	if refusal == nil {
		return outcome{text: string(r.Body)}
	}
	lines := []string{string(refusal.Reason)}
	for _, v := range refusal.Violations {
		lines = append(lines, v.RuleID+": "+v.Message)
	}
	if len(refusal.Violations) == 0 {
		lines = append(lines, refusal.Detail)
	}
	return outcome{refused: true, text: strings.Join(lines, "\n")}
}

// meets tells whether what became of a body is what was wanted. Of a refusal each
// wanted line is the beginning of one, in their order, so that a reason and the
// ids of rules are enough.
func (o outcome) meets(want outcome) bool {
	if o.refused != want.refused || !o.refused {
		return o == want
	}
	got, lines := strings.Split(o.text, "\n"), strings.Split(want.text, "\n")
	if len(got) < len(lines) || len(lines) > 1 && len(got) > len(lines) {
		return false
	}
	for i, line := range lines {
		if !strings.HasPrefix(got[i], line) {
			return false
		}
	}
	return true
}

// update writes what became of the body into the file.
func (c *contractCase) update(got outcome) error {
	said := func(f txtar.File) bool { return f.Name == "output" || f.Name == "error" }
	c.archive.Files = slices.DeleteFunc(c.archive.Files, said)
	c.archive.Files = append(c.archive.Files, txtar.File{Name: got.section(), Data: []byte(got.text + "\n")})
	return os.WriteFile(c.path, txtar.Format(c.archive), 0o600)
}
