package pages_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"sallyport/internal/enterprise"
	"sallyport/internal/org"
	"sallyport/internal/upstream/upstreamtest"

	"github.com/chromedp/chromedp"
)

// screenshotsVariable names a directory to which the tests of the set-up write what
// they saw, for people to look at.
const screenshotsVariable = "SALLYPORT_TEST_SCREENSHOTS"

// looks takes a picture of the page, as wide as a desk's and a phone's window, and
// checks it at both.
func (v *visitor) looks(name string) {
	v.t.Helper()
	for _, width := range []int64{390, 1280} {
		v.do(chromedp.EmulateViewport(width, 900))
		v.sound()
		dir := os.Getenv(screenshotsVariable)
		if dir == "" || !v.script {
			continue
		}
		png, err := chromedp.Run(v.ctx, chromedp.FullScreenshot(100))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%d.png", name, width)), png, 0o600)
		}
		if err != nil {
			v.t.Fatal(err)
		}
	}
}

// hand is an IT administrator at work: how often they press something, and how many
// fields they fill in.
type hand struct {
	*visitor
	presses, fields int
}

func (h *hand) press(css string) int64 {
	h.t.Helper()
	h.presses++
	return h.visitor.press(css)
}

func (h *hand) fill(id, text string) {
	h.t.Helper()
	h.fields++
	h.visitor.fill(id, text)
}

// picks chooses somebody at the provider.
func (h *hand) picks(p upstreamtest.Person) {
	h.t.Helper()
	h.presses++
	h.visitor.sees("Who are you?")
	h.load(chromedp.Click(chromedp.CSS("#p" + p.ID)))
}

// gina is the IT administrator, and carl has an address that is not the organization's.
var (
	gina = upstreamtest.Person{ID: "6601", Email: "gina@globex.example", EmailVerified: true, GivenName: "Gina", FamilyName: "Globex", Username: "gina"}
	carl = upstreamtest.Person{ID: "6602", Email: "carl@contractor.example", EmailVerified: true, GivenName: "Carl", FamilyName: "Contractor", Username: "carl"}
)

// A customer's IT administrator connects their provider, verifies their domain, tries
// it out, and switches it on, on a phone or at a desk, with scripts or without; then
// one of their people signs in by typing an address.
func TestSetUpByLink(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, v *visitor) {
		h := &hand{visitor: v}
		o := v.site.Org("globex")
		fake, issuer := v.site.Provider(gina, carl)
		fake.Ask = ask
		link, err := v.site.Enterprise.MakeSetupLink(t.Context(), enterprise.Actor{Operator: "admin", Base: v.site.base}, o.ID, enterprise.SetupIn{})
		if err != nil {
			t.Fatal(err)
		}
		v.open(link.URL)
		v.sees("Which identity provider do you use?", "Single sign-on for Org globex")
		v.looks("1-provider")
		h.connects(issuer)
		h.verifies("globex.example")
		h.tries()
		h.switches()
		h.synchronizes()
		if h.presses > 14 || h.fields > 4 {
			t.Errorf("it took %d presses and %d fields, want at most 14 and 4", h.presses, h.fields)
		}
		v.employee(gina)
		v.dead(link, o)
	})
}

// connects is steps 1 to 3.
func (h *hand) connects(issuer string) {
	h.t.Helper()
	h.press(`a[href*="provider=oidc"]`)
	h.sees("Add us to your provider")
	if got := h.attribute("#redirect-uri", "value"); got != h.site.base+"/api/auth/sso/callback" {
		h.t.Errorf("got the redirect URI %s", got)
	}
	h.looks("2-ours")
	h.press("a.button.go")
	h.sees("Connect your provider")
	h.looks("3-theirs")
	h.visitor.fill("issuer", issuer+"/wrong")
	h.visitor.fill("client-id", upstreamtest.ClientID)
	h.visitor.fill("client-secret", upstreamtest.ClientSecret)
	if got := h.visitor.press("form button"); got != 400 {
		h.t.Errorf("a wrong issuer: got status %d, want 400", got)
	}
	h.sees("it does not have what we look for there")
	h.looks("3-theirs-wrong")
	h.visitor.press(`p.foot a[href*="/setup/ours"]`)
	h.visitor.press("a.button.go")
	h.fill("issuer", issuer)
	h.fill("client-id", upstreamtest.ClientID)
	h.fill("client-secret", upstreamtest.ClientSecret)
	h.press("form button")
	h.sees("Your provider is connected.")
}

// verifies is step 4: the record is wrong at first.
func (h *hand) verifies(domain string) {
	h.t.Helper()
	h.looks("4-domain")
	h.fill("domain", domain)
	h.press(`button[name="add"]`)
	h.sees("Not verified")
	h.looks("4-domain-added")
	h.press(`button[name="check"]`)
	h.sees("The record is not there yet.")
	h.site.Names.TXT("_sallyport-challenge."+domain, "sallyport-domain-verification=old")
	h.visitor.press(`button[name="check"]`)
	h.sees("with another value", "sallyport-domain-verification=old")
	h.looks("4-domain-wrong")
	value := h.attribute(`input[id$="-value"]`, "value")
	h.site.Names.TXT("_sallyport-challenge."+domain, value)
	h.press(`button[name="check"]`)
	h.sees("the domain is verified")
	h.looks("4-domain-verified")
	h.press("a.button.go")
}

// tries is step 5: with somebody of another domain first.
func (h *hand) tries() {
	h.t.Helper()
	h.sees("Test signing in")
	h.looks("5-test")
	h.visitor.press("form button.go")
	h.load(chromedp.Click(chromedp.CSS("#p" + carl.ID)))
	h.sees("It does not work yet", "1 thing to mend", "The address is in none of your domains", "carl@contractor.example")
	h.looks("5-test-wrong")
	h.press("form button.go")
	h.picks(gina)
	h.sees("It works", "You came as gina@globex.example", "given_name")
	h.looks("5-test-passed")
	h.press("a.button.go")
}

// switches is step 6.
func (h *hand) switches() {
	h.t.Helper()
	h.sees("Switch it on")
	h.looks("6-on")
	h.press("form button.go")
	h.sees("Single sign-on is on")
	h.looks("6-on-done")
	h.press(`a[href$="/setup/directory"]`)
}

// synchronizes is step 7.
func (h *hand) synchronizes() {
	h.t.Helper()
	h.sees("Directory sync")
	h.press(`button[name="make"]`)
	h.sees("Shown only now", "Revoke")
	h.looks("7-directory")
}

// employee is one of the organization's people, who has no account yet: they type
// their address, and are at the application.
func (v *visitor) employee(p upstreamtest.Person) {
	v.t.Helper()
	v.open(v.site.login("demo", "&state=s"))
	v.looks("8-login")
	v.fill("email", p.Email)
	v.press(`form[action$="/login/email"] button`)
	v.sees("Who are you?")
	v.load(chromedp.Click(chromedp.CSS("#p" + p.ID)))
	v.signedIn("demo")
	v.open("/account")
	v.sees(p.Email, "Confirmed")
}

// dead is the link that was taken back.
func (v *visitor) dead(link enterprise.SetupLink, o org.Org) {
	v.t.Helper()
	err := v.site.Enterprise.EndSetupLink(v.t.Context(), enterprise.Actor{Operator: "admin"}, o.ID, link.ID)
	if err != nil {
		v.t.Fatal(err)
	}
	if got := v.open("/setup/on"); got != 404 {
		v.t.Errorf("a link that was taken back: got status %d, want 404", got)
	}
	v.sees("This link does not work any more")
	v.looks("9-dead")
	if got := v.open("/setup?token=" + url.QueryEscape(link.Secret)); got != 404 {
		v.t.Errorf("got status %d, want 404", got)
	}
}
