package config

import (
	"io"
	"log/slog"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Handler writes logs to w in the configured form. What peers chose (hosts,
// paths, error texts) reaches w without control characters and without
// characters that reorder or hide text on a terminal: escaped, never dropped.
func (l Log) Handler(w io.Writer) slog.Handler { return l.HandlerAt(w, l.Least()) }

// HandlerAt is Handler with a level that may change.
func (l Log) HandlerAt(w io.Writer, level slog.Leveler) slog.Handler {
	options := &slog.HandlerOptions{Level: level}
	if l.Format == "text" {
		return slog.NewTextHandler(w, options) // quotes what is not printable
	}
	return slog.NewJSONHandler(&escaper{w}, options)
}

// Least is the least severe level that is logged.
func (l Log) Least() slog.Level {
	var level slog.Level
	// Checked at Load; the zero value is info.
	_ = level.UnmarshalText([]byte(l.Level))
	return level
}

// escaper escapes what is not printable in JSON, where it can only stand within
// strings. slog's handler writes one record at a time and leaves everything from
// U+007F on as it is, but for U+2028 and U+2029.
type escaper struct{ w io.Writer }

func (e *escaper) Write(record []byte) (int, error) {
	if plain(record) {
		return e.w.Write(record)
	}
	escaped := make([]byte, 0, len(record)+32)
	for rest := record; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		if r < 0x7f || unicode.IsPrint(r) && r != utf8.RuneError {
			escaped = append(escaped, rest[:size]...)
		} else {
			escaped = appendEscape(escaped, r)
		}
		rest = rest[size:]
	}
	if _, err := e.w.Write(escaped); err != nil {
		return 0, err
	}
	return len(record), nil
}

func plain(record []byte) bool {
	for _, b := range record {
		if b >= 0x7f {
			return false
		}
	}
	return true
}

func appendEscape(dst []byte, r rune) []byte {
	if high, low := utf16.EncodeRune(r); high != unicode.ReplacementChar {
		return appendEscape(appendEscape(dst, high), low)
	}
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'u', digits[r>>12&15], digits[r>>8&15], digits[r>>4&15], digits[r&15])
}
