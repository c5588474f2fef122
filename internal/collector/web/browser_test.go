package web_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/signet-egress/signet/internal/testkit/stores"
	"github.com/signet-egress/signet/receipts/bundle"
)

// patience is for a browser on a machine with much else to do.
const patience = 3 * time.Minute

// chromium is a tab of a headless Chromium, and what it complained about.
type chromium struct {
	t          *testing.T
	ctx        context.Context
	downloads  string
	complaints []string
	foreign    []string // requests that did not go to the pages' own host
}

func startChromium(t *testing.T, base string) *chromium {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("chromium is missing; test/install installs it")
		}
		t.Skip("chromium is missing; install it (test/packages)")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(patience),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	c := &chromium{t: t, ctx: ctx, downloads: t.TempDir()}
	chromedp.ListenTarget(ctx, func(event any) {
		switch e := event.(type) {
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError || e.Entry.Level == log.LevelWarning {
				c.complaints = append(c.complaints, e.Entry.Text+" "+e.Entry.URL)
			}
		case *network.EventRequestWillBeSent:
			if !strings.HasPrefix(e.Request.URL, base) && !strings.HasPrefix(e.Request.URL, "data:") {
				c.foreign = append(c.foreign, e.Request.URL)
			}
		}
	})
	c.run(network.Enable(), log.Enable(),
		browser.SetDownloadBehavior(browser.SetDownloadBehaviorBehaviorAllowAndName).WithDownloadPath(c.downloads).WithEventsEnabled(true))
	return c
}

func (c *chromium) run(actions ...chromedp.Action) {
	c.t.Helper()
	if err := chromedp.Run(c.ctx, actions...); err != nil {
		c.t.Fatal(err)
	}
}

// picture keeps a screenshot where SIGNET_SCREENSHOTS names a directory (docs/images
// has some of them), and makes sure that the page can be used at this width.
func (c *chromium) picture(name string, width int64, dark bool) {
	c.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	var overflow, cut int64
	var png []byte
	c.run(
		emulation.SetDeviceMetricsOverride(width, 900, 1, false),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
		chromedp.Evaluate(`document.documentElement.scrollWidth - document.documentElement.clientWidth`, &overflow),
		chromedp.Evaluate(`Math.max(0, ...Array.from(document.querySelectorAll(".scroll"), box => box.scrollWidth - box.clientWidth))`, &cut),
		chromedp.FullScreenshot(&png, 100),
	)
	if overflow > 0 {
		c.t.Errorf("%s is %d pixels wider than %d", name, overflow, width)
	}
	if cut > 0 {
		c.t.Errorf("%s has a table that is cut by %d pixels at %d", name, cut, width)
	}
	if dir := os.Getenv("SIGNET_SCREENSHOTS"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
			c.t.Error(err)
		}
	}
}

// A person logs in, sees what was denied, finds a receipt and its proof, and takes
// a bundle home that verifies.
func TestInABrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes its time")
	}
	s := newSite(t, stores.SQLite(t))
	chain := s.traffic("acme")
	s.cosign("acme", asked, s.now)
	c := startChromium(t, s.server.URL)
	c.run(
		chromedp.Navigate(s.server.URL+"/"),
		chromedp.WaitVisible("#token"),
		chromedp.SendKeys("#token", "acme-token\r"),
		chromedp.WaitVisible("svg.plot.broad"),
	)
	c.picture("overview", 1080, false)
	c.picture("overview-dark", 1080, true)
	c.picture("overview-400", 400, false)

	var first string
	c.run(
		chromedp.Click(`.bars a`), // the reason that denied most
		chromedp.WaitVisible("tbody .denied"),
		chromedp.Navigate(s.server.URL+"/receipts"),
		chromedp.SetValue(`input[name="host"]`, "api.example"),
		chromedp.Click(`.filter button`),
		chromedp.WaitVisible(`input[value="api.example"]`),
	)
	c.picture("receipts", 1080, false)
	c.picture("receipts-400", 400, true)
	c.run(
		chromedp.AttributeValue(`tbody a`, "href", &first, nil),
		chromedp.Click(`tbody a`),
		chromedp.WaitVisible(".proved"),
	)
	c.picture("receipt", 1080, false)
	c.picture("receipt-400", 400, false)
	c.run(chromedp.Navigate(s.server.URL+"/log"), chromedp.WaitVisible("table"))
	c.picture("log", 1080, false)
	c.picture("log-400", 400, true)
	c.keyboard()
	c.takeBundle(s, chain.ID)
	if len(c.complaints) > 0 || len(c.foreign) > 0 {
		t.Errorf("the browser complains of %q, and asked elsewhere for %q", c.complaints, c.foreign)
	}
}

// keyboard wants the first Tab to lead to the content.
func (c *chromium) keyboard() {
	c.t.Helper()
	var focused string
	c.run(
		chromedp.Evaluate(`document.activeElement.blur()`, nil),
		chromedp.KeyEvent("\t"),
		chromedp.Evaluate(`document.activeElement.getAttribute("href")`, &focused),
	)
	if focused != "#main" {
		c.t.Errorf("the first Tab leads to %q", focused)
	}
}

func (c *chromium) takeBundle(s *site, chain string) {
	c.t.Helper()
	done := make(chan string, 1)
	chromedp.ListenTarget(c.ctx, func(event any) {
		if e, ok := event.(*browser.EventDownloadProgress); ok && e.State == browser.DownloadProgressStateCompleted {
			done <- e.GUID
		}
	})
	c.run(
		chromedp.Navigate(s.server.URL+"/export?chain="+chain),
		chromedp.WaitVisible(`select[name="profile"]`),
	)
	c.picture("export-400", 400, false)
	c.run(
		chromedp.SetValue(`input[name="from"]`, "2026-11-23T00:00"),
		chromedp.SetValue(`input[name="to"]`, "2026-11-24T00:00"),
		chromedp.Click(`main button`),
	)
	var name string
	select {
	case name = <-done:
	case <-c.ctx.Done():
		c.t.Fatal("the browser downloaded nothing")
	}
	file, err := os.Open(filepath.Join(c.downloads, name))
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		c.t.Fatal(err)
	}
	r, err := bundle.Open(file, info.Size())
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := r.Verify(nil, func(int) {}); err != nil {
		c.t.Error(err)
	}
	if r.Manifest().Chain != chain || r.Manifest().Tenant != "acme" {
		c.t.Errorf("the bundle is of chain %s of %s", r.Manifest().Chain, r.Manifest().Tenant)
	}
}
