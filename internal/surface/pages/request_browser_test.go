package pages_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// The code challenge of RFC 7636 Appendix B, and its verifier.
const (
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)

// authorize is the address that an application sends a browser to.
func (s *site) authorize(app, scope, more string) string {
	return "/oauth2/authorize?response_type=code&client_id=" + s.vars[app] + "&redirect_uri=" + url.QueryEscape(s.app.URL+"/callback") +
		"&scope=" + url.QueryEscape(scope) + "&state=a%26b&code_challenge=" + challenge + "&code_challenge_method=S256" + more
}

// redeem gives the application's code in for tokens.
func (s *site) redeem(t *testing.T, app, code string) map[string]any {
	t.Helper()
	form := url.Values{
		"grant_type": {"authorization_code"}, "client_id": {s.vars[app]}, "code": {code}, "redirect_uri": {s.app.URL + "/callback"}, "code_verifier": {verifier},
	}
	if app == "asking" {
		form.Set("client_secret", appSecret)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.base+"/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := new(http.Client).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

// granted fails unless the browser came back to the application with a code that
// is good for tokens, and with nothing else.
func (v *visitor) granted(app string) {
	v.t.Helper()
	q := v.arrived("/callback")
	if q.Get("state") != "a&b" || q.Get("iss") != v.site.base || q.Get("access_token") != "" || len(q) != 3 {
		v.t.Errorf("got %v, want a code, state and iss", q)
	}
	if out := v.site.redeem(v.t, app, q.Get("code")); out["id_token"] == nil || out["access_token"] == nil {
		v.t.Fatalf("got %v for the code, want tokens", out)
	}
}

// password fills in the form that is shown.
func (v *visitor) password(email string) int64 {
	v.t.Helper()
	if v.attribute("#email", "value") == "" {
		v.fill("email", email)
	}
	v.fill("password", password)
	return v.press(`form[action$="/login"] button`)
}

func TestAuthorizeByPassword(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, v *visitor) {
		v.open(v.site.authorize("demo", "openid email", "&login_hint=jane@example.com"))
		v.sees("Demo", "Sign in")
		v.fill("password", "not the password")
		if got := v.press(`form[action$="/login"] button`); got != 401 {
			t.Errorf("wrong password: got status %d, want 401", got)
		}
		v.sees("The e-mail address or the password is wrong.")
		v.password("jane@example.com")
		v.granted("demo")

		v.open(v.site.authorize("demo", "openid", "")) // signed in: no page at all
		v.granted("demo")
		v.site.Advance(time.Minute)
		v.open(v.site.authorize("demo", "openid", "&prompt=login"))
		v.sees("You are signed in as jane@example.com. Please sign in once more to go on.")
		v.password("jane@example.com")
		v.granted("demo")
	})
}

func TestAuthorizeWithTwoFactors(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, v *visitor) {
		v.open(v.site.authorize("strict", "openid", ""))
		v.password("tom@example.com")
		if got := v.answer("000000"); got != 401 {
			t.Errorf("wrong code: got status %d, want 401", got)
		}
		v.answer(v.code(totpSecret))
		v.granted("strict")
		v.open(v.site.authorize("demo", "openid", ""))
		v.granted("demo")
	})
}

// A person whose application wants a second factor sets it up on the way, and
// comes back to where they were going.
func TestAuthorizeSettingASecondFactorUp(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, v *visitor) {
		v.open(v.site.authorize("strict", "openid", ""))
		v.password("jane@example.com")
		v.sees("This application requires two-factor authentication.")
		v.press(`a[href*="/account?request="]`)
		v.press(`button[value="totp-setup"]`)
		secret, err := chromedp.Run(v.ctx, chromedp.Text(chromedp.CSS("#secret")))
		if err != nil {
			t.Fatal(err)
		}
		secret = strings.ReplaceAll(secret, " ", "")
		v.fill("enable", v.code(secret))
		v.press(`button[value="totp-enable"]`)
		v.sees("Two-factor authentication is on.", "Go on to Strict")
		v.press(`a[href*="/login?request="]`)
		v.password("jane@example.com")
		v.answer(v.code(secret))
		v.granted("strict")
	})
}

func TestAuthorizeByMagicLink(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, v *visitor) {
		for _, email := range []string{"nora@example.com", "tom@example.com"} {
			v.open(v.site.authorize("demo", "openid", "&prompt=login"))
			v.do(chromedp.Clear(chromedp.CSS("#magic-email"))) // it holds who is signed in
			v.fill("magic-email", email)
			v.press(`form[action$="/magic-link"] button`)
			v.sees("Check your mail")
			v.open(v.site.link(t, email))
			v.sees("Press the button to go on.")
			v.press("button")
			if email == "tom@example.com" { // the second factor, without a script, too
				v.answer(v.code(totpSecret))
			}
			v.granted("demo")
			v.site.Advance(time.Minute)
		}
	})
}

func TestAuthorizeBySignUp(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, v *visitor) {
		v.open(v.site.authorize("demo", "openid", ""))
		v.press(`nav a[href*="/signup"]`)
		v.sees("Create your account")
		v.fill("name", "Nia New")
		v.fill("email", "nia@example.com")
		v.fill("password", "password1")
		v.press("button")
		v.sees("This password is too easy to guess.")
		v.fill("password", password)
		v.press("button")
		v.granted("demo")
	})
}

func TestAuthorizeAfterAForgottenPassword(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, v *visitor) {
		v.open(v.site.authorize("demo", "openid", ""))
		v.press(`nav a[href*="/forgot-password"]`)
		v.fill("email", "jane@example.com")
		v.press("button")
		v.open(v.site.link(t, "jane@example.com"))
		v.fill("password", "short")
		v.press("button")
		v.sees("The password must have at least 8 characters.")
		v.fill("password", "another horse battery")
		v.press("button")
		v.sees("Password changed", "Sign in to Demo")
		v.press("a.button")
		v.fill("email", "jane@example.com")
		v.fill("password", "another horse battery")
		v.press(`form[action$="/login"] button`)
		v.granted("demo")
	})
}

// TestConsent goes the way of a person whom an application asks: refused,
// allowed, remembered, asked for more, for another account, and taken away.
func TestConsent(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, v *visitor) {
		v.open(v.site.authorize("asking", "openid email", ""))
		v.password("jane@example.com")
		v.sees("Allow access?", "Calendar & Co asks for access to your account.", "jane@example.com", "See your e-mail address")
		v.press(`button[value="deny"]`)
		if q := v.arrived("/callback"); q.Get("error") != "access_denied" || q.Get("state") != "a&b" || q.Has("code") {
			t.Errorf("refused: got %v, want access_denied", q)
		}
		v.open(v.site.authorize("asking", "openid email", ""))
		v.press(`button[value="allow"]`)
		v.granted("asking")
		v.open(v.site.authorize("asking", "openid email", "")) // remembered
		v.granted("asking")

		v.open(v.site.authorize("asking", "openid email calendar:read offline_access", ""))
		v.sees("Use calendar:read", "Keep this access while you are away", "What it has already: know you when you come back, see your e-mail address.")
		v.press(`.who a`)
		v.sees("You are signed in as jane@example.com.")
		v.do(chromedp.Clear(chromedp.CSS("#email")))
		v.password("outside@example.com")
		v.sees("outside@example.com", "Know you when you come back")
		v.press(`button[value="allow"]`)
		v.granted("asking")

		v.open("/account")
		v.sees("Applications with access", "Calendar & Co", "Use calendar:read")
		v.press(`button[aria-label="Take access away from Calendar & Co"]`)
		v.sees("That application no longer has access.")
		v.open(v.site.authorize("asking", "openid email", ""))
		v.sees("Allow access?")
		v.press(`.hint a`)
		v.sees("Your account")
	})
}

// TestPagesCannotBeFramed: another site that shows a page of ours in its own,
// under something worth a click, shows nothing (RFC 9700 §4.16).
func TestPagesCannotBeFramed(t *testing.T) {
	t.Parallel()
	v := newSite(t, "").visit(t, true)
	v.open(v.site.authorize("asking", "openid", ""))
	v.password("jane@example.com")
	v.sees("Allow access?")
	for _, at := range []string{v.at(), v.site.base + "/account", v.site.base + v.site.login("demo", "&prompt=login")} {
		v.open(v.site.app.URL + "/callback")
		if _, err := chromedp.Run(v.ctx, chromedp.Evaluate[bool](fmt.Sprintf(
			`(() => { const f = document.createElement("iframe"); f.src = %q; document.body.append(f); return true })()`, at))); err != nil {
			t.Fatal(err)
		}
		v.until(func() error {
			if got := strings.Join(v.complaints(), "\n"); !strings.Contains(got, "frame-ancestors") {
				return fmt.Errorf("%s: the browser says %q, want that it may not be framed", at, got)
			}
			return nil
		})
	}
}
