package web

import (
	"net/http"
	"strings"

	"github.com/signet-egress/signet/internal/collector/store"
)

// route is what is served at a path by each method; HEAD is GET's.
type route struct {
	path      string
	get, post http.Handler // nil: the method is not taken
}

// routes has every page. Static files are each there by their name: a file server
// lists directories, and fails on names that are no UTF-8.
func (w *Web) routes() http.Handler {
	reading := func(serve func(http.ResponseWriter, *visit) error) http.Handler {
		return w.page(store.ScopeReceiptsRead, serve)
	}
	mux := http.NewServeMux()
	for _, r := range []route{
		{path: "/static/style.css", get: file("static/style.css")},
		{path: "/static/mark.svg", get: file("static/mark.svg")},
		{path: "/login", get: http.HandlerFunc(w.loginPage), post: http.HandlerFunc(w.login)},
		{path: "/logout", post: http.HandlerFunc(w.logout)},
		{path: "/{$}", get: reading(w.overview)},
		{path: "/receipts", get: reading(w.receipts)},
		{path: "/receipts/{id}", get: reading(w.receipt)},
		{path: "/traces/{id}", get: reading(w.trace)},
		{path: "/chains", get: reading(w.chains)},
		{path: "/chains/{id}", get: reading(w.chain)},
		{path: "/log", get: reading(w.log)},
		{path: "/usage", get: reading(w.usage)},
		{path: "/export", get: w.page(store.ScopeExport, w.exportPage), post: w.page(store.ScopeExport, w.export)},
	} {
		mux.Handle(r.path, w.onlyBy(r))
	}
	mux.HandleFunc("/", func(rw http.ResponseWriter, r *http.Request) {
		w.fail(rw, r, nil, &failure{http.StatusNotFound, "There is no such page."})
	})
	return mux
}

func file(name string) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { http.ServeFileFS(rw, r, static, name) })
}

// onlyBy serves a route, and refuses what comes by a method that it does not take.
func (w *Web) onlyBy(route route) http.Handler {
	var allowed []string
	if route.get != nil {
		allowed = append(allowed, http.MethodGet, http.MethodHead)
	}
	if route.post != nil {
		allowed = append(allowed, http.MethodPost)
	}
	allow := strings.Join(allowed, ", ")
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case route.get != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead):
			route.get.ServeHTTP(rw, r)
		case route.post != nil && r.Method == http.MethodPost:
			route.post.ServeHTTP(rw, r)
		default:
			rw.Header().Set("Allow", allow)
			w.fail(rw, r, nil, &failure{http.StatusMethodNotAllowed, "This page takes " + allow + "."})
		}
	})
}
