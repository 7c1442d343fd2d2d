package pages_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"

	"github.com/chromedp/chromedp"
	"github.com/pquerna/otp/totp"
)

// everywhere runs a test on a site of its own for each way to reach the pages:
// at the root and under a prefix, with JavaScript and, where all must work
// without it, without.
func everywhere(t *testing.T, f func(t *testing.T, v *visitor)) {
	t.Helper()
	for _, c := range []struct {
		name, mount string
		script      bool
	}{{"root", "", true}, {"prefix", "/keymaster", true}, {"without script", "", false}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f(t, newSite(t, c.mount).visit(t, c.script))
		})
	}
}

// signIn fills in the form of an application's sign-in page.
func (v *visitor) signIn(app, email, plain string) int64 {
	v.t.Helper()
	v.open(v.site.login(app, "&prompt=login"))
	v.fill("email", email)
	v.fill("password", plain)
	return v.press(`form[action$="/login"] button`)
}

// code is what an authenticator app shows. Time goes on first: each code is
// good once.
func (v *visitor) code(secret string) string {
	v.t.Helper()
	v.site.Advance(time.Minute)
	code, err := totp.GenerateCode(secret, v.site.Now())
	if err != nil {
		v.t.Fatal(err)
	}
	return code
}

// answer types a code on the page that asks for it.
func (v *visitor) answer(code string) int64 {
	v.t.Helper()
	v.sees("Two-factor authentication")
	v.fill("code", code)
	return v.press(`form[action$="/login/totp"] button`)
}

func TestSignInByPassword(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, v *visitor) {
		callback := url.QueryEscape(v.site.app.URL + "/other?tab=1")
		v.open(v.site.login("demo", "&state=a%26b&redirect_uri="+callback))
		v.sees("Demo", "Sign in")
		v.fill("email", "jane@example.com")
		v.fill("password", "not the password")
		if got := v.press(`form[action$="/login"] button`); got != 401 {
			t.Errorf("wrong password: got status %d, want 401", got)
		}
		v.sees("The e-mail address or the password is wrong.")
		v.fill("password", password) // the address is still there
		v.press(`form[action$="/login"] button`)
		q := v.arrived("/other")
		if ok, why := v.site.verify(t, q.Get("access_token"), "demo"); !ok || q.Get("tab") != "1" || q.Get("state") != "a&b" || len(q.Get("refresh_token")) != 64 {
			t.Errorf("got %v (%v), want good tokens, tab and state", q, why)
		}
	})
}

func TestFastPath(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, v *visitor) {
		v.signIn("plain", "jane@example.com", password)
		v.signedIn("plain")
		v.open(v.site.login("demo", "")) // enrolled there: no form
		v.signedIn("demo")
		v.open(v.site.login("demo", "&prompt=login"))
		v.sees("Sign in", "Password")
		v.open(v.site.login("second", "")) // not enrolled there
		v.sees("Sign in", "Password")
		v.open("/account")
		v.press(`button[value="sign-out"]`)
		v.sees("You are signed out of this browser.")
		v.open(v.site.login("demo", ""))
		v.sees("Sign in", "Password")
		v.open("/account")
		v.sees("You are not signed in.")
	})
}

func TestSignInByMagicLink(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, v *visitor) {
		v.open(v.site.login("demo", ""))
		v.fill("magic-email", "jane@example.com")
		v.press(`form[action$="/magic-link"] button`)
		v.sees("Check your mail", "If jane@example.com can sign in here, a link is on its way")
		mailed := v.site.link(t, "jane@example.com")
		v.open(mailed)
		v.signedIn("demo")
		v.open(mailed) // used
		v.sees("This sign-in link has expired or was used already.")

		v.open(v.site.login("button", "&prompt=login"))
		v.fill("magic-email", "jane@example.com")
		v.press(`form[action$="/magic-link"] button`)
		v.open(v.site.link(t, "jane@example.com"))
		v.sees("Press the button to go on.")
		v.press("button")
		v.signedIn("button")
	})
}

func TestSignUp(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, v *visitor) {
		v.open(v.site.login("demo", ""))
		v.press(`nav a[href*="/signup"]`)
		v.sees("Create your account", "At least 8 characters.")
		v.fill("name", "Nia New")
		v.fill("email", "nia@example.com")
		v.fill("password", "password1")
		v.press("button")
		v.sees("This password is too easy to guess.")
		v.fill("password", password)
		v.press("button")
		v.signedIn("demo")
		v.open(v.site.link(t, "nia@example.com"))
		v.press("button")
		v.sees("Your e-mail address is confirmed.")
		v.open("/account")
		v.sees("nia@example.com", "Confirmed")

		v.open("/signup?app_id=" + v.site.vars["approval"])
		v.fill("name", "Pia Patient")
		v.fill("email", "pia@example.com")
		v.fill("password", password)
		v.press("button")
		v.sees("Sign in", "Your account is waiting for approval.")
	})
}

func TestInvitation(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, v *visitor) {
		app := "/invite?app_id=" + v.site.vars["members"] + "&code="
		v.open(app + v.site.invited("nia@example.com", "members"))
		v.sees("Accept your invitation", "Members")
		v.press("button") // nobody's account yet
		v.sees("Please give your e-mail address.")
		v.fill("name", "Nia New")
		v.fill("email", "nia@example.com")
		v.press("button")
		v.signedIn("members")

		v.open(app + v.site.invited("outside@example.com", "members"))
		v.press("button")
		v.signedIn("members")
		v.open("/invite?app_id=" + v.site.vars["members"])
		v.fill("code", "WRONG234")
		v.press("button")
		v.sees("This invite code is wrong")
	})
}

func TestForgottenPassword(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, v *visitor) {
		v.signIn("demo", "jane@example.com", password)
		v.open(v.site.login("demo", "&prompt=login"))
		v.press(`nav a[href*="/forgot-password"]`)
		v.fill("email", "jane@example.com")
		v.press("button")
		v.sees("Check your mail", "If there is an account for jane@example.com")
		v.open(v.site.link(t, "jane@example.com"))
		v.fill("password", "short")
		v.press("button")
		v.sees("The password must have at least 8 characters.")
		v.fill("password", "another horse battery")
		v.press("button")
		v.sees("Password changed")
		v.open("/account") // the session has ended
		v.sees("You are not signed in.")
		if got := v.signIn("demo", "jane@example.com", password); got != 401 {
			t.Errorf("old password: got status %d, want 401", got)
		}
		v.fill("password", "another horse battery")
		v.press(`form[action$="/login"] button`)
		v.signedIn("demo")
	})
}

func TestWhoMayNotComeIn(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, v *visitor) {
		for _, c := range []struct{ app, email, want string }{
			{"demo", "sue@example.com", "Your account has been suspended."},
			{"members", "outside@example.com", "You do not have access to this application."},
			{"approval", "outside@example.com", "Your account is waiting for approval."},
		} {
			if got := v.signIn(c.app, c.email, password); got != 403 {
				t.Errorf("%s at %s: got status %d, want 403", c.email, c.app, got)
			}
			v.sees(c.want)
		}
		v.open(v.site.login("demo", "&redirect_uri=https%3A%2F%2Fevil.example%2F"))
		v.sees("an address that is not registered for it")
		v.open("/login?app_id=nonsense")
		v.sees("This application is unknown here")
		v.open("/nothing")
		if v.site.base == v.site.root {
			v.sees("There is no such page.")
		}
		v.open("/login?error=invalid_magic_link")
		v.sees("This sign-in link has expired")
	})
}

// TestSecondFactor goes the way of a person whose application begins to ask for
// two factors: refused, set up on the account page, signed in with both.
func TestSecondFactor(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, v *visitor) {
		v.signIn("strict", "jane@example.com", password)
		v.sees("This application requires two-factor authentication.")
		v.press(`a[href$="/account"]`)
		v.sees("Your application asks for two-factor authentication.")
		v.press(`button[value="totp-setup"]`)
		shown, err := chromedp.Run(v.ctx, chromedp.Text(chromedp.CSS("#secret")))
		if err != nil {
			t.Fatal(err)
		}
		secret := strings.ReplaceAll(shown, " ", "")
		if to := v.attribute(`a[href^="otpauth:"]`, "href"); !strings.Contains(to, "secret="+secret) {
			t.Errorf("the link to the app is %s, want it to hold %s", to, secret)
		}
		v.fill("enable", "000000")
		v.press(`button[value="totp-enable"]`)
		v.sees("That code is wrong", shown)
		v.fill("enable", v.code(secret))
		v.press(`button[value="totp-enable"]`)
		v.sees("Two-factor authentication is on.", "On, with 10 backup codes left.", "Your backup codes")
		backup, err := chromedp.Run(v.ctx, chromedp.Text(chromedp.CSS(".codes code")))
		if err != nil {
			t.Fatal(err)
		}

		v.signIn("strict", "jane@example.com", password)
		if got := v.answer("000000"); got != 401 {
			t.Errorf("wrong code: got status %d, want 401", got)
		}
		v.answer(v.code(secret))
		v.signedIn("strict")
		v.open(v.site.login("demo", "")) // the fast path, by both factors
		v.signedIn("demo")

		v.signIn("demo", "jane@example.com", password)
		v.answer(backup)
		v.signedIn("demo")
		v.open("/account")
		v.sees("On, with 9 backup codes left.")
	})
}

// TestAccount does what else the account page offers.
func TestAccount(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, v *visitor) {
		v.signIn("demo", "jane@example.com", password)
		other := v.site.visit(t, v.script)
		other.signIn("demo", "jane@example.com", password)
		v.open("/account")
		v.sees("Your account", "jane@example.com", "This browser")
		v.do(chromedp.Clear(chromedp.CSS("#name")))
		v.fill("name", `Jane <b>"D."</b>`)
		v.press(`button[value="rename"]`)
		v.sees("Your name is changed.")
		if got := v.attribute("#name", "value"); got != `Jane <b>"D."</b>` {
			t.Errorf("got the name %q", got)
		}
		v.press(`button[name="session"]`)
		v.sees("That session has ended.")
		other.open("/account")
		other.sees("You are not signed in.")

		v.fill("current", "not the password")
		v.fill("new", "another horse battery")
		v.press(`button[value="password"]`)
		v.sees("That is not your current password.")
		v.fill("current", password)
		v.fill("new", "another horse battery")
		v.press(`button[value="password"]`)
		v.sees("Your password is changed")

		// A page that was opened before this browser signed in as somebody
		// else does not change that one's account.
		v.site.User("ann@example.com", "Ann Other", password, client.Client{ID: client.ID(v.site.vars["demo"])})
		token := v.attribute(`input[name="csrf"]`, "value")
		v.signIn("demo", "ann@example.com", password)
		v.open("/account")
		v.sees("ann@example.com")
		if got := v.attribute(`input[name="csrf"]`, "value"); got == token {
			t.Error("the forms of two people have one token")
		}
	})
}

// TestChallengeBehindTheHash: a redirect that owes a second factor carries it
// in the fragment; the script hands it over and clears the address.
func TestChallengeBehindTheHash(t *testing.T) {
	t.Parallel()
	for _, mount := range []string{"", "/keymaster"} {
		t.Run("mount "+mount, func(t *testing.T) {
			t.Parallel()
			v := newSite(t, mount).visit(t, true)
			v.open(v.site.login("demo", ""))
			v.fill("magic-email", "tom@example.com")
			v.press(`form[action$="/magic-link"] button`)
			v.load(chromedp.Navigate(v.site.link(t, "tom@example.com")), chromedp.WaitVisible(chromedp.CSS("#code")))
			if at := v.at(); strings.Contains(at, "totp_session") {
				t.Errorf("the challenge is still in the address: %s", at)
			}
			v.answer(v.code(totpSecret))
			v.signedIn("demo")
		})
	}
}

// TestLogoIsShown: an uploaded logo is stored without the mount, and loaded
// from it.
func TestLogoIsShown(t *testing.T) {
	t.Parallel()
	for _, mount := range []string{"", "/keymaster"} {
		t.Run("mount "+mount, func(t *testing.T) {
			t.Parallel()
			v := newSite(t, mount).visit(t, true)
			v.open(v.site.login("branded", ""))
			height, err := chromedp.Run(v.ctx, chromedp.Evaluate[int](`document.querySelector(".logo").naturalHeight`))
			if err != nil || height != 50 {
				t.Errorf("got a logo of %d pixels (%v), want 50", height, err)
			}
		})
	}
}

// TestViolationsAreSeen keeps the other tests honest: what their browsers
// complain of does come through.
func TestViolationsAreSeen(t *testing.T) {
	t.Parallel()
	v := newSite(t, "").visit(t, true)
	v.open(v.site.login("demo", ""))
	if got := v.complaints(); len(got) != 0 {
		t.Errorf("got %q, want no complaints yet", got)
	}
	_, err := chromedp.Run(v.ctx, chromedp.Evaluate[bool](`(() => {
		const s = document.createElement("script"); s.textContent = "window.ran = true"; document.body.append(s);
		return window.ran === true;
	})()`))
	if err != nil {
		t.Fatal(err)
	}
	if got := v.complaints(); len(got) == 0 || !strings.Contains(got[0], "Content Security Policy") {
		t.Errorf("got %q, want a complaint about the script", got)
	}
}
