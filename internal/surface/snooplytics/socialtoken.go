package snooplytics

import (
	"net/http"

	"sallyport/internal/fault"
	"sallyport/internal/signin"
	"sallyport/internal/upstream"
	"sallyport/internal/wire"
)

// maxIDToken is as long as an ID token may be.
const maxIDToken = 16 << 10

// socialToken is POST /sign-in/social with an ID token that a native application got
// by itself. It ends here, as a password's sign-in does.
func (a *API) socialToken(w http.ResponseWriter, r *http.Request, c *call, provider string) error {
	x, home := upstream.Exchange{}, c.text("callbackURL", wire.Max(maxURL))
	remember := c.flag("rememberMe", true)
	if given := c.body.Object("idToken", required); given != nil {
		x.IDToken = given.String("token", required, wire.Max(maxIDToken))
		x.AccessToken, x.Nonce = given.String("accessToken", wire.Max(maxOpaque)), given.String("nonce", wire.Max(maxOpaque))
		if given.Object("user") != nil {
			x.User = string(given.Raw("user")) // Apple's page says the name beside the token, once
		}
	}
	if err := c.err(); err != nil {
		return err
	}
	home, err := a.callback(r, c, "callbackURL", home)
	if err != nil {
		return err
	}
	key, err := a.upstreamKey(r, c, provider)
	if err != nil {
		return err
	}
	out, err := a.SignIn.ExchangeUpstream(r.Context(), signin.ExchangeIn{
		ClientID: c.client, Upstream: key, Exchange: x, Terms: signin.Terms{NeedsEmail: true, VerifiedOnly: true}, Visitor: c.visitor(r),
	})
	if fault.Is(err, fault.UpstreamFailed) {
		return refuse("INVALID_TOKEN").as(http.StatusUnauthorized).because(err)
	}
	if err != nil {
		return as(err, map[fault.Code]string{fault.GrantUnsupported: "ID_TOKEN_NOT_SUPPORTED", fault.EmailRequired: "EMAIL_NOT_FOUND"})
	}
	if out.Invite != "" {
		return fault.New(fault.InviteRequired)
	}
	return a.finish(w, r, c, out.Outcome, remember, func(in *signin.SignedIn) error {
		redirect := false
		return done(w, signedIn{Redirect: &redirect, URL: home, Token: name(in.Session), User: userOfSignIn(in)})
	})
}
