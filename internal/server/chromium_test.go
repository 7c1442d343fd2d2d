package server

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"sallyport/internal/surface/dev"
)

// chromiumVariable names the browser to test with. Without it one is looked for,
// and the browser tests are skipped if there is none; with it one must be there.
const chromiumVariable = "SALLYPORT_TEST_CHROMIUM"

func chromium(t *testing.T) string {
	t.Helper()
	names := []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}
	given := os.Getenv(chromiumVariable)
	if given != "" {
		names = []string{given}
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if given != "" {
		t.Fatalf("%s=%s: there is no such program", chromiumVariable, given)
	}
	t.Skipf("no Chromium found and %s is not set: not tested in a browser", chromiumVariable)
	return ""
}

// person is somebody with a browser of their own, at a playground.
type person struct {
	t    *testing.T
	ctx  context.Context
	play Playground
}

// people opens one browser, and in it one that runs scripts and one that runs
// none, each with cookies of its own.
func people(t *testing.T, p Playground) []*person {
	t.Helper()
	alloc, quit := chromedp.NewExecAllocator(context.Background(), chromedp.ExecPath(chromium(t)), chromedp.Headless, chromedp.NoSandbox,
		chromedp.NoFirstRun, chromedp.Flag("disable-gpu", true), chromedp.Flag("no-proxy-server", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("hide-scrollbars", true))
	t.Cleanup(quit)
	shared, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	if err := chromedp.Do(shared); err != nil {
		t.Fatalf("start the browser: %v", err)
	}
	var all []*person
	for _, script := range []bool{true, false} {
		ctx, cancel := chromedp.NewContext(shared, chromedp.WithNewBrowserContext())
		t.Cleanup(cancel)
		ctx, stop := context.WithTimeout(ctx, 10*time.Minute)
		t.Cleanup(stop)
		disabled := emulation.SetScriptExecutionDisabledParams{Value: !script}
		if err := chromedp.Do(ctx, func(ctx context.Context, tab *chromedp.Target) (chromedp.Void, error) {
			_, err := cdp.Call(ctx, tab, emulation.SetScriptExecutionDisabled, disabled)
			return chromedp.Void{}, err
		}); err != nil {
			t.Fatal(err)
		}
		all = append(all, &person{t, ctx, p})
	}
	return all
}

// load runs steps that load a page.
func (p *person) load(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if _, err := chromedp.RunResponse(p.ctx, steps...); err != nil {
		p.t.Fatalf("%v\non the page: %s", err, p.text())
	}
}

func (p *person) open(at string) {
	p.t.Helper()
	p.load(func(ctx context.Context, tab *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, tab, page.Navigate, page.NavigateParams{URL: at})
		return chromedp.Void{}, err
	})
}

func (p *person) press(css string) {
	p.t.Helper()
	p.load(chromedp.Click(chromedp.CSS(css)))
}

func (p *person) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatalf("%v\non the page: %s", err, p.text())
	}
}

func (p *person) text() string {
	s, err := chromedp.Run(p.ctx, chromedp.Text(chromedp.CSS("body")))
	if err != nil {
		return err.Error()
	}
	return s
}

// sees waits until all of the texts are on the page.
func (p *person) sees(texts ...string) {
	p.t.Helper()
	var got string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		got = p.text()
		missing := ""
		for _, want := range texts {
			if !strings.Contains(got, want) {
				missing = want
			}
		}
		if missing == "" {
			return
		}
	}
	p.t.Fatalf("got the page\n%s\nwant it to say %q", got, texts)
}

// provider goes to a provider from the sign-in page that the playground prints,
// whoever is signed in already.
func (p *person) provider(key string) {
	p.t.Helper()
	p.open(p.play.SignIn + "&prompt=login")
	p.press(`a[href*="/oauth/` + key + `/start"]`)
	p.sees("not the real", "Choose an account")
}

// as picks somebody there, after having chosen what the provider then does.
func (p *person) as(id, conduct string) {
	p.t.Helper()
	if conduct != "" {
		p.do(chromedp.SetValue(chromedp.CSS("#conduct"), conduct))
	}
	p.press(`button[name=person][value="` + id + `"]`)
}

// somebodyNew is that, by the address.
func (p *person) somebodyNew(email string) {
	p.t.Helper()
	p.do(chromedp.Click(chromedp.CSS("details.new summary")), chromedp.SetValue(chromedp.CSS("#email"), email))
	p.press(`button[name=person][value=new]`)
}

// signedIn waits until the application was given tokens.
func (p *person) signedIn() {
	p.t.Helper()
	p.sees("Back at the application", "access_token", "refresh_token")
}

// TestDevSignsInWithEveryProvider goes from the printed page to the application
// by each of the fakes, in a browser, with scripts and without.
func TestDevSignsInWithEveryProvider(t *testing.T) {
	t.Parallel()
	s, play := play(t, t.TempDir(), false)
	start(t, s)
	for i, p := range people(t, play) {
		for _, one := range dev.Playable {
			p.provider(one.Key)
			p.somebodyNew(fmt.Sprintf("new.%s.%d@gmail.com", one.Key, i))
			if one.Key == "apple" && i == 1 { // answers by a form, which is sent by hand without scripts
				p.sees("Back to the application")
				p.press("form button")
			}
			p.signedIn()
		}
	}
}

// TestDevSignsInACustomersPeople types the address of somebody whose organization has
// a provider of its own, and opens the set-up of the organization that has none yet;
// nothing of that needs a network.
func TestDevSignsInACustomersPeople(t *testing.T) {
	t.Parallel()
	s, play := play(t, t.TempDir(), false)
	start(t, s)
	for _, p := range people(t, play) {
		p.open(play.SignIn + "&prompt=login")
		p.do(chromedp.SetValue(chromedp.CSS("#email"), "ann@acme.example"))
		p.press(`form[action$="/login/email"] button`)
		p.sees("not the real Acme Corporation", "ann@acme.example", "gina@globex.example")
		p.as("5501", "")
		p.signedIn()
		p.open(play.SignIn + "&prompt=login")
		p.do(chromedp.SetValue(chromedp.CSS("#email"), "bob@acme.example"))
		p.press(`form[action$="/login/email"] button`)
		p.as("5503", "") // whom Acme's provider knows, and may not speak for
		p.sees("an e-mail address that is not one of its own")
		p.open(play.SetUp)
		p.sees("Single sign-on for Globex", "Which identity provider do you use?")
	}
}

// TestDevRecoversFromEveryTrouble has a provider refuse, be late, broken and
// silent, and vouch for nothing; each time the person is told and the next
// attempt works.
func TestDevRecoversFromEveryTrouble(t *testing.T) {
	t.Parallel()
	s, play := play(t, t.TempDir(), false)
	start(t, s)
	const tom, una = "1290381", "7700123"
	for i, p := range people(t, play) {
		for _, c := range []struct {
			conduct string
			says    []string // nothing: it works
		}{
			{"html", []string{"The sign-in did not work."}},
			{"down", []string{"The provider did not answer."}},
			{"throttled", []string{"very busy"}},
			{"signature", []string{"The sign-in did not work."}},
			{"late", nil}, // and a second goes by, after which newer keys are looked for
			{"rotated", nil},
			{"slow", []string{"The provider did not answer."}},
		} {
			if c.conduct == "slow" && i > 0 {
				continue // it takes ten seconds
			}
			p.provider("google")
			p.as(tom, c.conduct)
			if c.says == nil {
				p.signedIn()
				continue
			}
			p.sees(c.says...)
			p.press(`a[href*="/oauth/google/start"]`)
			p.as(tom, "")
			p.signedIn()
		}
		p.provider("github")
		p.press("button[name=deny]")
		p.sees("You did not allow the sign-in.")
		p.press(`a[href*="/oauth/github/start"]`)
		p.as(tom, "")
		p.signedIn()
		// Nobody vouches for Una's address: she is somebody all the same.
		p.provider("corp")
		p.as(una, "")
		p.signedIn()
		// An address that the provider does not vouch for and that is Jane's here
		// is proved first, once.
		p.provider("microsoft")
		p.as("6892396", "")
		if i == 0 {
			p.sees("Connect Microsoft", "jane@example.com")
			p.do(chromedp.SetValue(chromedp.CSS("#password"), devPassword))
			p.press("form[action$='/login'] button")
		}
		p.signedIn()
		p.provider("microsoft")
		p.as("6892396", "")
		p.signedIn()
	}
}

// TestDevPagesFitTheirWindow looks at the playground's pages on a small and on a
// large screen.
func TestDevPagesFitTheirWindow(t *testing.T) {
	t.Parallel()
	s, play := play(t, t.TempDir(), false)
	start(t, s)
	p := people(t, play)[0]
	for _, width := range []int64{320, 390, 1280} {
		size := emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 900, DeviceScaleFactor: 1}
		p.do(func(ctx context.Context, tab *chromedp.Target) (chromedp.Void, error) {
			_, err := cdp.Call(ctx, tab, emulation.SetDeviceMetricsOverride, size)
			return chromedp.Void{}, err
		})
		for _, at := range []string{play.Inbox, play.URL + dev.AppPath + "?code=" + url.QueryEscape(strings.Repeat("x", 300)), ""} {
			if at == "" {
				p.provider("forge")
			} else {
				p.open(at)
			}
			wider, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool]("document.documentElement.scrollWidth > innerWidth"))
			if err != nil || wider {
				t.Errorf("%s at %d pixels is wider than the window (%v)", at, width, err)
			}
		}
	}
}
