package pages_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// device gives the browser an authenticator, as a phone or a laptop has one.
func (v *visitor) device() webauthn.AuthenticatorID {
	v.t.Helper()
	got, err := chromedp.Run(v.ctx, func(ctx context.Context, tab *chromedp.Target) (webauthn.AddVirtualAuthenticatorResult, error) {
		if _, err := cdp.Call(ctx, tab, webauthn.Enable, webauthn.EnableParams{}); err != nil {
			return webauthn.AddVirtualAuthenticatorResult{}, err
		}
		return cdp.Call(ctx, tab, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
			HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
		}})
	})
	if err != nil {
		v.t.Fatal(err)
	}
	return got.AuthenticatorID
}

// verifies says whether the person can unlock the authenticator: who cannot gets
// what cancels the prompt.
func (v *visitor) verifies(id webauthn.AuthenticatorID, can bool) {
	v.t.Helper()
	v.do(func(ctx context.Context, tab *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, tab, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: id, IsUserVerified: can})
		return chromedp.Void{}, err
	})
}

const passkeyButton = `#passkey button`

// click presses a button that loads no page.
func (v *visitor) click(css string) {
	v.t.Helper()
	v.do(chromedp.Click(chromedp.CSS(css)))
}

func TestPasskey(t *testing.T) {
	t.Parallel()
	for _, mount := range []string{"", "/keymaster"} {
		t.Run("mount "+mount, func(t *testing.T) {
			t.Parallel()
			v := newSite(t, mount).visit(t, true)
			id := v.device()
			v.signIn("keys", "jane@example.com", password)
			v.signedIn("keys")

			// Added once the prompt was cancelled and the password was right.
			v.site.Advance(6 * time.Minute)
			v.open("/account")
			v.verifies(id, false)
			v.fill("passkey-proof", password)
			v.click(passkeyButton)
			v.sees("No passkey was added.")
			v.verifies(id, true)
			v.press(passkeyButton)
			v.sees("Your passkey is added.", "On one device · added", "not used yet")
			v.site.signOut(v)

			// Cancelled, and used.
			v.open(v.site.login("keys", "&state=s1"))
			v.verifies(id, false)
			v.click(passkeyButton)
			v.sees("No passkey was used. Try again, or choose another way.")
			v.verifies(id, true)
			v.press(passkeyButton)
			v.signedIn("keys")
			v.site.signOut(v)

			// Two factors at once, in a request of an application that wants them.
			v.open(v.site.authorize("vault", "openid", ""))
			v.press(passkeyButton)
			v.granted("vault")

			v.open("/account")
			v.sees("last used")
			v.click(".keys summary")
			v.do(chromedp.Clear(chromedp.CSS("#passkey-name-0")))
			v.fill("passkey-name-0", "Jane's laptop")
			v.press(`button[value="passkey-rename"]`)
			v.sees("The name of the passkey is changed.", "Jane's laptop")
			v.click(".keys summary")
			v.press(`button[value="passkey-remove"]`)
			v.sees("The passkey is removed.")
			v.site.signOut(v)
			v.open(v.site.login("keys", ""))
			v.press(passkeyButton)
			v.sees("That passkey does not sign in here.")
		})
	}
}

// signOut ends the browser's session.
func (s *site) signOut(v *visitor) {
	v.t.Helper()
	v.open("/account")
	v.press(`button[value="sign-out"]`)
	v.sees("You are signed out of this browser.")
}

// An old browser has passkeys, but does not read and write JSON.
func TestPasskeyInABrowserBeforeLevel3(t *testing.T) {
	t.Parallel()
	v := newSite(t, "").visit(t, true)
	v.device()
	age := func() {
		t.Helper()
		if _, err := chromedp.Run(v.ctx, chromedp.Evaluate[bool](`delete PublicKeyCredential.parseCreationOptionsFromJSON &&
			delete PublicKeyCredential.parseRequestOptionsFromJSON && delete PublicKeyCredential.prototype.toJSON`)); err != nil {
			t.Fatal(err)
		}
	}
	v.signIn("keys", "jane@example.com", password)
	v.open("/account")
	age()
	v.press(passkeyButton)
	v.sees("Your passkey is added.")
	age()
	v.click(passkeyButton)
	v.sees("This device has a passkey of yours already.")
	v.site.signOut(v)
	v.open(v.site.login("keys", ""))
	age()
	v.press(passkeyButton)
	v.signedIn("keys")
}

// Who has no script is not shown what cannot work.
func TestPasskeyWithoutScript(t *testing.T) {
	t.Parallel()
	v := newSite(t, "").visit(t, false)
	v.open(v.site.login("keys", ""))
	if text := v.text(); strings.Contains(text, "passkey") {
		t.Errorf("the page offers a passkey:\n%s", text)
	}
	v.open(v.site.login("vault", ""))
	v.sees("You sign in here with a passkey. That needs JavaScript")
	v.signIn("keys", "jane@example.com", password)
	v.open("/account")
	v.sees("Passkeys", "To add one takes JavaScript")
	if text := v.text(); strings.Contains(text, "Add a passkey") {
		t.Errorf("the page offers to add one:\n%s", text)
	}
}
