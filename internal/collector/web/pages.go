package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

//go:embed templates
var templates embed.FS

// pages are the parsed templates, each page with the frame around it.
type pages struct{ byName map[string]*template.Template }

var pageNames = []string{"problem", "login", "overview", "receipts", "receipt", "trace", "chains", "chain", "log", "usage", "export"}

func parsePages() (*pages, error) {
	p := &pages{make(map[string]*template.Template)}
	functions := template.FuncMap{
		"count": count, "size": size, "when": when, "short": short, "millis": millis, "dict": dict, "segment": url.PathEscape, "witness": witnessName,
	}
	for _, name := range pageNames {
		t, err := template.New("frame.html").Funcs(functions).ParseFS(templates, "templates/frame.html", "templates/parts.html", "templates/"+name+".html")
		if err != nil {
			return nil, fmt.Errorf("parse the page %s: %w", name, err)
		}
		p.byName[name] = t
	}
	return p, nil
}

// render sends a page whole, or nothing.
func (p *pages) render(w http.ResponseWriter, status int, name string, f frame) error {
	var b bytes.Buffer
	if err := p.byName[name].Execute(&b, f); err != nil {
		return fmt.Errorf("render the page %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // a browser that left is no concern of ours
	return nil
}

// frame is what is around a page.
type frame struct {
	Title  string
	Tenant string // "": nobody is logged in
	Path   string
	Page   any
}

func (w *Web) frame(v *visit, title string, page any) frame {
	f := frame{Title: title, Page: page}
	if v != nil {
		f.Tenant, f.Path = v.tenant, v.URL.Path
	}
	return f
}

func (w *Web) show(rw http.ResponseWriter, v *visit, name, title string, page any) error {
	return w.pages.render(rw, http.StatusOK, name, w.frame(v, title, page))
}

// count writes a number with a thin space between groups of three.
func count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "−", digits[1:]
	}
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteRune('\u202f')
		}
		b.WriteRune(d)
	}
	return sign + b.String()
}

// size writes bytes with three digits and a decimal unit.
func size(n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}
	i, scale := 0, int64(1)
	for n/scale >= 1000 && i < len(units)-1 {
		i, scale = i+1, scale*1000
	}
	whole, tenth := n/scale, n%scale*10/scale
	if i == 0 || whole >= 100 {
		return fmt.Sprintf("%d %s", whole, units[i])
	}
	return fmt.Sprintf("%d.%d %s", whole, tenth, units[i])
}

// when writes a time in UTC; "never" for none.
func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// millis writes microseconds as milliseconds.
func millis(us int64) string { return fmt.Sprintf("%d.%03d ms", us/1000, us%1000) }

// short is enough of a digest or an id to tell it from others on a page.
func short(s string) string {
	s = strings.TrimPrefix(s, "sha256:")
	if len(s) > 13 {
		return s[:12] + "…"
	}
	return s
}

// dict makes a map of a template's arguments: name, value, name, value.
func dict(pairs ...any) (map[string]any, error) {
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: %v is not a name", pairs[i])
		}
		m[name] = pairs[i+1]
	}
	return m, nil
}
