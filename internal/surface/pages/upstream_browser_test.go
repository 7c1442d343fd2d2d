package pages_test

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"sallyport/internal/upstream/upstreamtest"
)

// by goes to an upstream from the page that shows it, and picks who signs in; ""
// refuses.
func (v *visitor) by(upstream, who string) {
	v.t.Helper()
	v.press(`.ways a[href*="/oauth/` + upstream + `/start"]`)
	v.pick(who)
}

// pick answers an upstream's page.
func (v *visitor) pick(who string) {
	v.t.Helper()
	v.sees("Who are you?")
	if who == "" {
		v.press("#deny")
		return
	}
	v.press("#p" + people[who].ID)
}

// TestSignInByUpstream is a new person's way, and their second; refused, and a
// provider that is away.
func TestSignInByUpstream(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, v *visitor) {
		v.open(v.site.login("social", "&state=a%26b"))
		v.by("google", "")
		v.sees("You did not allow the sign-in.", "Continue with Google")
		v.site.abroad["google"].Behave(upstreamtest.Throttled)
		v.by("google", "nia")
		v.sees("The provider is very busy just now.")
		v.site.abroad["google"].Behave(upstreamtest.None)
		v.by("google", "nia")
		v.signedIn("social")
		if got := v.arrived("/callback").Get("state"); got != "a&b" {
			t.Errorf("got the state %q", got)
		}
		v.open(v.site.login("social", "&prompt=login"))
		v.by("corp", "nia")
		v.signedIn("social")
		v.open("/account")
		v.sees("nia@example.com", "Connected accounts", "Google", "Example Corp")
	})
}

// TestProveAndConnect: an address that the provider does not vouch for connects
// nothing until its owner signs in, here with a password, a link and a code.
func TestProveAndConnect(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, v *visitor) {
		v.open(v.site.login("social", ""))
		v.by("github", "claimant")
		v.sees("Connect GitHub", "You signed in to GitHub as jane@example.com.", "Do not connect")
		v.press(`nav a[href*="/login"]`)
		v.sees("Sign in", "Continue with GitHub")
		v.by("github", "claimant")
		v.fill("password", "not the password")
		v.press(`form[action$="/login"] button`)
		v.sees("The e-mail address or the password is wrong.", "Sign in and connect")
		v.fill("password", password)
		v.press(`form[action$="/login"] button`)
		v.signedIn("social")
		v.open("/account")
		v.sees("GitHub", "Disconnect")

		w := v.site.visit(t, v.script)
		w.open(w.site.login("social", ""))
		w.by("github", "tomclaim")
		w.press(`form[action$="/magic-link"] button`)
		w.sees("Check your mail")
		if !v.script {
			return // the redirect of a link carries the challenge behind the "#"
		}
		w.load(chromedp.Navigate(w.site.link(t, "tom@example.com")), chromedp.WaitVisible(chromedp.CSS("#code")))
		w.answer(w.code(totpSecret))
		w.signedIn("social")
		w.open("/account")
		w.sees("tom@example.com", "GitHub", "Disconnect")
	})
}

// TestConnectAndDisconnect is the account page: connected with another address,
// refused, disconnected, and the last way in, which stays.
func TestConnectAndDisconnect(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, v *visitor) {
		v.signIn("social", "jane@example.com", password)
		v.open("/account")
		v.press(`button[aria-label="Connect Google"]`)
		v.pick("una")
		v.sees("Google is connected.", "una@example.com")
		if text, ok := v.site.Mail("jane@example.com"); !ok || !strings.Contains(text, "You can now also sign in to your Sallyport account with Google") {
			t.Errorf("got the mail %q", text)
		}
		v.site.Advance(6 * time.Minute)
		v.open("/account")
		v.fill("connect-proof", "not the password")
		v.press(`button[aria-label="Connect GitHub"]`)
		v.sees("That is not your current password.")
		v.fill("connect-proof", password)
		v.press(`button[aria-label="Connect GitHub"]`)
		v.pick("")
		v.sees("You did not allow the sign-in.")
		v.fill("connect-proof", password)
		v.press(`button[aria-label="Disconnect Google"]`)
		v.sees("The account is disconnected.")
		if text, ok := v.site.Mail("jane@example.com"); !ok || !strings.Contains(text, "Google no longer signs you in") {
			t.Errorf("got the mail %q", text)
		}

		w := v.site.visit(t, v.script)
		w.open(w.site.login("only", ""))
		w.by("github", "una")
		w.signedIn("only")
		w.open("/account")
		w.sees("Your only way in", "Without GitHub you could not sign in any more.")
	})
}

// TestInvitedByUpstream joins an application that is by invitation only.
func TestInvitedByUpstream(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, v *visitor) {
		v.open(v.site.login("club", ""))
		v.by("google", "nia")
		v.sees("Accept your invitation", "To finish, enter the code that you were sent.")
		v.fill("code", "ABCD2345")
		v.press("button")
		v.sees("This invite code is wrong")
		v.do(chromedp.Clear(chromedp.CSS("#code")))
		v.fill("code", v.site.invited("nia@example.com", "club"))
		v.press("button")
		v.signedIn("club")
	})
}

// TestAuthorizeByUpstream: a request of an application goes through the provider
// and ends at the application with a code; from the sign-up page, too, and with
// a second factor.
func TestAuthorizeByUpstream(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, v *visitor) {
		v.open(v.site.authorize("social", "openid email", ""))
		v.by("google", "")
		v.sees("You did not allow the sign-in.")
		v.press(`nav a[href*="/signup"]`)
		v.sees("Create your account")
		v.by("google", "nia")
		v.granted("social")

		w := v.site.visit(t, v.script)
		w.open(w.site.authorize("social", "openid", ""))
		w.by("github", "claimant")
		w.sees("Connect GitHub")
		w.fill("password", password)
		w.press(`form[action$="/login"] button`)
		w.granted("social")
		if !v.script {
			return
		}
		x := v.site.visit(t, true)
		x.open(x.site.authorize("social", "openid", ""))
		x.press(`.ways a[href*="/oauth/google/start"]`)
		x.load(chromedp.Click(chromedp.CSS("#p"+people["tom"].ID)), chromedp.WaitVisible(chromedp.CSS("#code")))
		x.answer(x.code(totpSecret))
		x.granted("social")
	})
}
