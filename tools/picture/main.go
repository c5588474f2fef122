// Command picture draws what a terminal would show of its standard input, text
// with SGR colours (ECMA-48), as SVG on its standard output. make picture draws
// the README's picture with it, so that no picture shows what no program wrote.
package main

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"
)

// columns is where the terminal breaks lines: the wider one of the VT100's two.
const columns = 132

// One cell of the grid, in SVG units, at a font size of 14.
const (
	cellWidth  = 8.43
	lineHeight = 20
	margin     = 20
	bar        = 34 // above the first line, for the window's bar
)

// colours are those of the SGR codes that signet uses, on background.
var colours = map[string]string{
	"0": "fill:#d4d8df", "1": "fill:#ffffff;font-weight:bold", "2": "fill:#8b93a1",
	"31": "fill:#f7768e", "32": "fill:#9ece6a", "33": "fill:#e0af68",
}

const background = "#1a1b26"

// run is text in one style, at its column.
type run struct {
	column int
	code   string
	text   string
}

func main() {
	if err := draw(os.Stdout, os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "picture:", err)
		os.Exit(1)
	}
}

func draw(w io.Writer, r io.Reader) error {
	var lines [][]run
	for s := bufio.NewScanner(r); s.Scan(); {
		lines = append(lines, parse(s.Text())...)
	}
	width, height := columns*cellWidth+2*margin, len(lines)*lineHeight+bar+margin
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %d" width="%.0f" height="%d" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" rx="10" fill="%s"/>`+"\n", background)
	for i, fill := range []string{"#f7768e", "#e0af68", "#9ece6a"} {
		fmt.Fprintf(&b, `<circle cx="%d" cy="18" r="5" fill="%s"/>`+"\n", margin+i*18, fill)
	}
	for i, line := range lines {
		if len(line) == 0 {
			continue
		}
		fmt.Fprintf(&b, `<text y="%d" xml:space="preserve">`, bar+(i+1)*lineHeight-5)
		for _, r := range line {
			b.WriteString(r.svg())
		}
		b.WriteString("</text>\n")
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// svg pins the run to its column and width, whatever the font's are.
func (r run) svg() string {
	var text strings.Builder
	_ = xml.EscapeText(&text, []byte(r.text)) // a Builder takes everything
	length := float64(utf8.RuneCountInString(r.text)) * cellWidth
	return fmt.Sprintf(`<tspan x="%.1f" textLength="%.1f" style="%s">%s</tspan>`,
		margin+float64(r.column)*cellWidth, length, colours[r.code], text.String())
}

var (
	sgr = regexp.MustCompile(`\x1b\[([0-9]+)m`)
	gap = regexp.MustCompile(` {2,}`)
)

// parse splits a line into runs: at each change of style, at the spaces between
// columns, and where the terminal breaks it into rows.
func parse(line string) [][]run {
	rows, column, code := make([][]run, 1), 0, "0"
	for {
		text, rest, next := line, "", ""
		if at := sgr.FindStringSubmatchIndex(line); at != nil {
			text, next, rest = line[:at[0]], line[at[2]:at[3]], line[at[1]:]
		}
		for text != "" {
			var word string
			word, text = cut(text, columns-column)
			if strings.TrimSpace(word) != "" {
				rows[len(rows)-1] = append(rows[len(rows)-1], run{column, code, strings.TrimRight(word, " ")})
			}
			if column += utf8.RuneCountInString(word); column == columns {
				rows, column = append(rows, nil), 0
			}
		}
		if next == "" {
			return rows
		}
		code, line = next, rest
	}
}

// cut takes a word, or the gap between two, off text, of at most room cells.
func cut(text string, room int) (word, rest string) {
	end := len(text)
	if at := gap.FindStringIndex(text); at != nil && at[0] == 0 {
		end = at[1]
	} else if at != nil {
		end = at[0]
	}
	if word := []rune(text[:end]); len(word) > room {
		end = len(string(word[:room]))
	}
	return text[:end], text[end:]
}
