package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/subosito/gotenv"
)

// maxEnvFile bounds a .env file; what is larger is a wrong path.
const maxEnvFile = 64 << 10

// envFile is a .env file: variables as shells write them, NAME=value on a line.
type envFile struct {
	path   string
	values map[string]string
	lines  map[string]int
}

// readEnvFile reads a .env file. Variables that are not Signet's may stand in
// it; one of Signet's that is not known is a mistake, since the file is written
// by hand.
func readEnvFile(path string) (*envFile, []*KeyError, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxEnvFile+1))
	if err != nil {
		return nil, nil, err
	}
	if len(data) > maxEnvFile {
		return nil, nil, fmt.Errorf("%s: is larger than %d bytes, and hardly a .env file", path, maxEnvFile)
	}
	e := &envFile{path: path, lines: make(map[string]int)}
	if e.values, err = gotenv.StrictParse(bytes.NewReader(data)); err != nil {
		return nil, nil, fmt.Errorf("%s:%d: is not NAME=value, or its quotes do not close", path, firstBad(data))
	}
	return e, e.locate(data), nil
}

// firstBad is the line that the parser fails at, which it does not say. The
// lines before it parse by themselves; those of a value on several lines do not.
func firstBad(data []byte) int {
	good, read := 0, 0
	for n, end := 1, 0; end < len(data); n++ {
		if i := bytes.IndexByte(data[end:], '\n'); i >= 0 {
			end += i + 1
		} else {
			end = len(data)
		}
		if _, err := gotenv.StrictParse(bytes.NewReader(data[:end])); err == nil {
			good, read = n, end
		}
	}
	rest := data[read:]
	blank := len(rest) - len(bytes.TrimLeft(rest, "\r\n\t "))
	return good + 1 + bytes.Count(rest[:blank], []byte("\n"))
}

var assignment = regexp.MustCompile(`(?m)^[ \t]*(?:export[ \t]+)?([\w.]+)[ \t]*[=:]`)

// locate finds the line of each variable, and variables that no setting has.
func (e *envFile) locate(data []byte) []*KeyError {
	known := make(map[string]bool)
	var names []string
	for _, k := range keys() {
		known[k.env()] = true
		names = append(names, k.env())
	}
	var problems []*KeyError
	for _, at := range assignment.FindAllSubmatchIndex(data, -1) {
		name := string(data[at[2]:at[3]])
		line := 1 + bytes.Count(data[:at[2]], []byte("\n"))
		switch {
		case e.lines[name] != 0 && known[name]:
			problems = append(problems, e.problem(name, line, "is set twice; keep one"))
		case strings.HasPrefix(name, "SIGNET_") && !known[name]:
			problems = append(problems, e.problem(name, line, unknownVariable(name, names)))
		}
		e.lines[name] = line
	}
	return problems
}

func (e *envFile) problem(name string, line int, what string) *KeyError {
	return &KeyError{Key: name, Source: fmt.Sprintf("%s:%d", e.path, line), Err: errors.New(what)}
}

func unknownVariable(name string, names []string) string {
	best, least := "", max(2, len(name)/4)+1
	for _, n := range names {
		if d := distance(name, n); d < least {
			best, least = n, d
		}
	}
	if best == "" {
		return "is no setting of Signet's"
	}
	return "is no setting of Signet's; did you mean " + best + "?"
}

// lookup returns a variable's value and where it stands; "" where it is not set.
func (e *envFile) lookup(name string) (value, source string) {
	if e == nil || e.values[name] == "" {
		return "", ""
	}
	return e.values[name], fmt.Sprintf("%s:%d", e.path, e.lines[name])
}
