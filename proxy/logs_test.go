package proxy_test

import (
	"encoding/json"
	"log/slog"
	"strings"

	"github.com/signet-egress/signet/internal/testkit"
)

// logBuffer keeps what was logged, as JSON lines.
type logBuffer struct{ testkit.Log }

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(l, nil)) }

// lines are the entries with that message.
func (l *logBuffer) lines(msg string) []map[string]any {
	var out []map[string]any
	for line := range strings.Lines(l.String()) {
		var entry map[string]any
		if json.Unmarshal([]byte(line), &entry) == nil && entry["msg"] == msg {
			out = append(out, entry)
		}
	}
	return out
}
