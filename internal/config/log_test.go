package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"unicode"
)

// hostile holds what a peer may put into a host, a path or an error: terminal
// escapes, line breaks, text that runs backwards, text that cannot be seen.
const hostile = "a\x1b[2Jb\r\nc\x00d\x7fe\u0085f\u202eg\u2066h\u200bi\ufeffj\u2028k\U000e0041l\U0001f600m\xffn"

func TestLogsAreSafeToPrint(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		t.Run(format, func(t *testing.T) {
			var b bytes.Buffer
			logger := slog.New(Log{Level: "info", Format: format}.Handler(&b))
			key := strings.Clone(hostile) // no constant, as keys otherwise are
			logger.Info(hostile, key, hostile, "error", errors.New(hostile), "any", map[string]string{hostile: hostile},
				slog.Group(key, "x", fmt.Stringer(text(hostile))))
			logger.With("bound", hostile).WithGroup(hostile).Info("again", "y", hostile)
			out := b.String()
			if n := strings.Count(out, "\n"); n != 2 || !strings.HasSuffix(out, "\n") {
				t.Errorf("%d lines for two records", n)
			}
			for _, r := range strings.ReplaceAll(out, "\n", "") {
				if !unicode.IsPrint(r) {
					t.Errorf("%U is printed as it is", r)
				}
			}
			if !strings.Contains(out, "😀") {
				t.Error("what can be printed was escaped")
			}
		})
	}
}

type text string

func (t text) String() string { return string(t) }

func TestJSONLogsKeepTheirValues(t *testing.T) {
	var b bytes.Buffer
	value := strings.ToValidUTF8(hostile, "\ufffd")
	slog.New(Log{Level: "info", Format: "json"}.Handler(&b)).Info("m", "value", value)
	var record map[string]any
	if err := json.Unmarshal(b.Bytes(), &record); err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	if record["value"] != value {
		t.Errorf("\n got %q\nwant %q", record["value"], value)
	}
}

func TestLevels(t *testing.T) {
	for level, want := range map[string]int{"debug": 4, "info": 3, "warn": 2, "error": 1} {
		var b bytes.Buffer
		logger := slog.New(Log{Level: level, Format: "json"}.Handler(&b))
		logger.Debug("d")
		logger.Info("i")
		logger.Warn("w")
		logger.Error("e")
		if n := strings.Count(b.String(), "\n"); n != want {
			t.Errorf("%s: %d records, want %d", level, n, want)
		}
	}
}

func TestWriteErrorsAreReported(t *testing.T) {
	for _, message := range []string{"plain", hostile} {
		handler := Log{Format: "json"}.Handler(broken{})
		if err := handler.Handle(t.Context(), slog.Record{Message: message}); err == nil {
			t.Errorf("%q: no error", message)
		}
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("closed") }
