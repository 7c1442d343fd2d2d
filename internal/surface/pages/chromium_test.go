package pages_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// chromiumVariable names the browser to test with. Without it one is looked for,
// and the browser tests are skipped if there is none; with it one must be there.
const chromiumVariable = "SALLYPORT_TEST_CHROMIUM"

// chromium is the path of the browser, "" if there is none.
func chromium() string {
	names := []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}
	if given := os.Getenv(chromiumVariable); given != "" {
		names = []string{given}
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// browser is the one browser of this test binary, started when it is first
// wanted. Its context has no end: the browser lives as long.
var browser = sync.OnceValues(func() (context.Context, error) {
	alloc, quit := chromedp.NewExecAllocator(context.Background(), chromedp.ExecPath(chromium()), chromedp.Headless, chromedp.NoSandbox,
		chromedp.NoFirstRun, chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-quic", true), chromedp.Flag("no-proxy-server", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("hide-scrollbars", true))
	ctx, cancel := chromedp.NewContext(alloc)
	quitBrowser = func() { cancel(); quit() }
	return ctx, chromedp.Do(ctx)
})

var quitBrowser = func() {}

func TestMain(m *testing.M) {
	code := m.Run()
	quitBrowser()
	os.Exit(code)
}

// visitor is a person with a browser of their own: other cookies than anybody's.
type visitor struct {
	t      *testing.T
	ctx    context.Context
	site   *site
	script bool

	mu        sync.Mutex
	documents map[string]bool // the pages that were asked for
	wrong     []string        // what the browser complained of
}

// visit opens a browser on a site. Without script, pages run none. Whatever the
// browser complains of fails the test when it ends.
func (s *site) visit(t *testing.T, script bool) *visitor {
	t.Helper()
	switch given := os.Getenv(chromiumVariable); {
	case chromium() != "":
	case given != "":
		t.Fatalf("%s=%s: there is no such program", chromiumVariable, given)
	default:
		t.Skipf("no Chromium found and %s is not set: not tested in a browser", chromiumVariable)
	}
	shared, err := browser()
	if err != nil {
		t.Fatalf("start %s: %v", chromium(), err)
	}
	v := &visitor{t: t, site: s, script: script, documents: map[string]bool{}}
	ctx, cancel := chromedp.NewContext(shared, chromedp.WithNewBrowserContext(), chromedp.WithListener(v.listen))
	t.Cleanup(cancel)
	disabled := emulation.SetScriptExecutionDisabledParams{Value: !script}
	if err := chromedp.Do(ctx, func(ctx context.Context, tab *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, tab, emulation.SetScriptExecutionDisabled, disabled)
		return chromedp.Void{}, err
	}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(ctx, 5*time.Minute)
	t.Cleanup(stop)
	v.ctx = ctx
	t.Cleanup(func() {
		for _, complaint := range v.complaints() {
			t.Errorf("the browser complains: %s", complaint)
		}
	})
	return v
}

// complaints takes what was wrong so far. That a page came with a status of its
// own, such as 401, is not.
func (v *visitor) complaints() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := v.wrong
	v.wrong = nil
	return all
}

func (v *visitor) listen(ev any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch ev := ev.(type) {
	case *network.EventRequestWillBeSent:
		if ev.Type == network.ResourceTypeDocument {
			v.documents[ev.Request.URL] = true
		}
	case *log.EventEntryAdded:
		e := ev.Entry
		if e.Level == log.EntryLevelVerbose || e.Level == log.EntryLevelInfo || e.Source == log.EntrySourceNetwork && v.documents[e.URL] {
			return
		}
		v.wrong = append(v.wrong, fmt.Sprintf("%s %s: %s (%s)", e.Source, e.Level, e.Text, e.URL))
	case *runtime.EventConsoleAPICalled:
		v.wrong = append(v.wrong, fmt.Sprintf("console.%s", ev.Type))
	case *runtime.EventExceptionThrown:
		v.wrong = append(v.wrong, "exception: "+ev.ExceptionDetails.Text)
	}
}

// do runs steps that load no page.
func (v *visitor) do(steps ...chromedp.Action[chromedp.Void]) {
	v.t.Helper()
	if err := chromedp.Do(v.ctx, steps...); err != nil {
		v.t.Fatalf("%v\non the page: %s", err, v.text())
	}
}

// load runs steps that load a page, and returns its status.
func (v *visitor) load(steps ...chromedp.Action[chromedp.Void]) int64 {
	v.t.Helper()
	resp, err := chromedp.RunResponse(v.ctx, steps...)
	if err != nil {
		v.t.Fatalf("%v\non the page: %s", err, v.text())
	}
	v.sound()
	return resp.Status
}

// open goes to a page of the site, or to an absolute address.
func (v *visitor) open(at string) int64 {
	v.t.Helper()
	if strings.HasPrefix(at, "/") {
		at = v.site.base + at
	}
	return v.load(func(ctx context.Context, tab *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, tab, page.Navigate, page.NavigateParams{URL: at})
		return chromedp.Void{}, err
	})
}

// fill types into a field.
func (v *visitor) fill(id, text string) {
	v.t.Helper()
	v.do(chromedp.SendKeys(chromedp.CSS("#"+id), text))
}

// press clicks a button or a link, and waits for the page that it leads to.
func (v *visitor) press(css string) int64 {
	v.t.Helper()
	return v.load(chromedp.Click(chromedp.CSS(css)))
}

// until repeats a look at the page until it shows what is wanted: a page that
// was loaded may stand there a moment later only.
func (v *visitor) until(look func() error) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.ctx, time.Minute)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := look()
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			v.t.Fatal(err)
		}
	}
}

// text is what a person reads on the page.
func (v *visitor) text() string {
	s, err := chromedp.Run(v.ctx, chromedp.Text(chromedp.CSS("body")))
	if err != nil {
		return err.Error()
	}
	return s
}

// sees fails unless all of the texts are on the page.
func (v *visitor) sees(texts ...string) {
	v.t.Helper()
	v.until(func() error {
		got := v.text()
		for _, want := range texts {
			if !strings.Contains(got, want) {
				return fmt.Errorf("got the page\n%s\nwant it to say %q", got, want)
			}
		}
		return nil
	})
}

// attribute is an attribute of an element that must be there.
func (v *visitor) attribute(css, name string) (value string) {
	v.t.Helper()
	v.until(func() error {
		got, err := chromedp.Run(v.ctx, chromedp.Attributes(chromedp.CSS(css)))
		value = got[name]
		return err
	})
	return value
}

// at is the address of the page.
func (v *visitor) at() string {
	v.t.Helper()
	at, err := chromedp.Run(v.ctx, chromedp.Location())
	if err != nil {
		v.t.Fatal(err)
	}
	return at
}

// arrived fails unless the browser is at the application's page, and returns
// the query that it came with.
func (v *visitor) arrived(path string) (q url.Values) {
	v.t.Helper()
	v.until(func() (err error) {
		query, ok := strings.CutPrefix(v.at(), v.site.app.URL+path)
		if !ok {
			return fmt.Errorf("got to %s, want the application's %s%s\n%s", v.at(), v.site.app.URL, path, v.text())
		}
		q, err = url.ParseQuery(strings.TrimPrefix(query, "?"))
		return err
	})
	return q
}

// signedIn fails unless the browser came to the application with good tokens.
func (v *visitor) signedIn(app string) {
	v.t.Helper()
	q := v.arrived("/callback")
	if ok, why := v.site.verify(v.t, q.Get("access_token"), app); !ok {
		v.t.Fatalf("the access token is not good: %s", why)
	}
	if len(q.Get("refresh_token")) != 64 {
		v.t.Fatalf("got the refresh token %q, want 64 digits", q.Get("refresh_token"))
	}
}

// sound checks what must hold for every page of ours, by a script of the test's
// own: one heading, a name for each field and button, no id twice, and nothing
// wider than the window.
func (v *visitor) sound() {
	v.t.Helper()
	if !v.script {
		return
	}
	v.until(func() error {
		if !strings.HasPrefix(v.at(), v.site.root) {
			return nil
		}
		got, err := chromedp.Run(v.ctx, chromedp.Evaluate[[]string](soundScript))
		if err == nil && len(got) > 0 {
			err = fmt.Errorf("%s: %q", v.at(), got)
		}
		return err
	})
}

const soundScript = `(() => {
	const wrong = [], all = s => [...document.querySelectorAll(s)];
	if (document.documentElement.lang !== "en") wrong.push("no language");
	if (all("h1").length !== 1) wrong.push(all("h1").length + " headings");
	for (const e of all("input:not([type=hidden]):not(.hidden)"))
		if (!e.labels.length) wrong.push("no label: " + e.outerHTML);
	for (const e of all("button, a"))
		if (!(e.ariaLabel || e.textContent).trim()) wrong.push("no name: " + e.outerHTML);
	const ids = all("[id]").map(e => e.id);
	for (const id of new Set(ids)) if (ids.indexOf(id) !== ids.lastIndexOf(id)) wrong.push("twice: #" + id);
	for (const e of all("[aria-describedby]"))
		if (!document.getElementById(e.getAttribute("aria-describedby"))) wrong.push("described by nothing: " + e.outerHTML);
	if (document.documentElement.scrollWidth > innerWidth) wrong.push("wider than the window");
	return wrong;
})()`
