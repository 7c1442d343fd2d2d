package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// chromiumVariable names the browser to test with.
const chromiumVariable = "SALLYPORT_TEST_CHROMIUM"

// browser is a real one, with a person in front of it.
type browser struct {
	t   *testing.T
	ctx context.Context
}

// newBrowser starts a browser with no cookies. Without one the test is skipped,
// unless one must be there.
func newBrowser(t *testing.T) browser {
	t.Helper()
	path := os.Getenv(chromiumVariable)
	if path == "" {
		var err error
		if path, err = exec.LookPath("chromium"); err != nil {
			t.Skipf("set %s to test in a browser", chromiumVariable)
		}
	}
	alloc, quit := chromedp.NewExecAllocator(context.Background(), chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox,
		chromedp.NoFirstRun, chromedp.Flag("disable-gpu", true), chromedp.Flag("no-proxy-server", true), chromedp.Flag("disable-dev-shm-usage", true))
	t.Cleanup(quit)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	ctx, stop := context.WithTimeout(ctx, 5*time.Minute)
	t.Cleanup(stop)
	return browser{t, ctx}
}

// another is the same program with somebody else in front of it: it has none of the
// cookies.
func (b browser) another() browser {
	b.t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	b.t.Cleanup(cancel)
	return browser{b.t, ctx}
}

// open goes to an address.
func (b browser) open(at string) {
	b.t.Helper()
	if _, err := chromedp.RunResponse(b.ctx, func(ctx context.Context, tab *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, tab, page.Navigate, page.NavigateParams{URL: at})
		return chromedp.Void{}, err
	}); err != nil {
		b.t.Fatalf("open %s: %v", at, err)
	}
}

// click presses what a selector finds, and waits for nothing.
func (b browser) click(css string) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, chromedp.Click(chromedp.CSS(css))); err != nil {
		b.t.Fatalf("click %s at %s: %v\n%s", css, b.at(), err, b.text())
	}
}

// fill types into a field.
func (b browser) fill(css, text string) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, chromedp.SendKeys(chromedp.CSS(css), text)); err != nil {
		b.t.Fatalf("fill %s: %v", css, err)
	}
}

// at is the address of the page.
func (b browser) at() string {
	at, err := chromedp.Run(b.ctx, chromedp.Location())
	if err != nil {
		b.t.Fatal(err)
	}
	return at
}

// text is what a person reads.
func (b browser) text() string {
	s, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.body ? document.body.innerText : ""`))
	if err != nil {
		return ""
	}
	return s
}

// until repeats a look at the page until it is as wanted.
func (b browser) until(look func() error) {
	b.t.Helper()
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if err = look(); err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.t.Fatalf("%v\nat %s\n%s", err, b.at(), b.text())
}

// sees fails unless all texts are on the page.
func (b browser) sees(texts ...string) {
	b.t.Helper()
	b.until(func() error {
		got := b.text()
		for _, want := range texts {
			if !strings.Contains(got, want) {
				return fmt.Errorf("want it to say %q", want)
			}
		}
		return nil
	})
}
