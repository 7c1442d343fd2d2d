package snooplytics

import (
	"net/http"
	"time"

	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/session"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// signInRoutes are open to everybody (contract §11).
func (a *API) signInRoutes() []route {
	return []route{
		{method: "POST", path: "/api/auth/sign-up/email", limit: signUpLimit, do: (*API).signUp},
		{method: "POST", path: "/api/auth/sign-in/email", limit: signInLimit, do: (*API).signInEmail},
		{method: "POST", path: "/api/auth/sign-in/magic-link", limit: magicLinkLimit, do: (*API).sendMagicLink},
		{method: "GET", path: "/api/auth/magic-link/verify", limit: magicLinkLimit, do: (*API).openMagicLink},
		{method: "POST", path: "/api/auth/magic-link/verify", form: true, limit: magicLinkLimit, do: (*API).confirmMagicLink},
		{method: "POST", path: "/api/auth/sign-in/social", limit: socialLimit, do: (*API).social},
		{method: "GET", path: "/api/auth/callback/{provider}", do: (*API).returned},
		{method: "POST", path: "/api/auth/callback/{provider}", form: true, do: (*API).posted},
		{method: "POST", path: "/api/auth/request-password-reset", limit: resetLimit, do: (*API).requestReset},
		{method: "GET", path: "/api/auth/reset-password/{token}", do: (*API).openReset},
		{method: "POST", path: "/api/auth/reset-password", do: (*API).resetPassword},
		{method: "POST", path: "/api/auth/send-verification-email", limit: verifyLimit, do: (*API).sendVerification},
		{method: "GET", path: "/api/auth/verify-email", do: (*API).verifyEmail},
	}
}

// challengeLife is how long a second factor may take (contract §11).
const challengeLife = 10 * time.Minute

// signedIn is a completed sign-in. Token names the session and opens nothing: that is
// the cookie's alone.
type signedIn struct {
	Redirect *bool   `json:"redirect,omitempty"`
	URL      string  `json:"url,omitempty"`
	Token    *string `json:"token"`
	User     user    `json:"user"`
}

// owing is a sign-in that owes a second factor.
type owing struct {
	Redirect bool     `json:"twoFactorRedirect"`
	Methods  []string `json:"twoFactorMethods"`
}

// userOfSignIn is who has just signed in.
func userOfSignIn(in *signin.SignedIn) user { return userOf(in.User, in.Factor) }

// name is what a session is called on the wire.
func name(cookie string) *string { return new(session.Name(cookie)) }

// address reads an e-mail address that signs in; what is none is INVALID_EMAIL.
func (c *call) address() (string, error) {
	given := c.text("email", required, wire.Max(maxEmail))
	if given == "" {
		return "", nil // noted, if it is wrong
	}
	email, err := identity.NormalizeEmail(given)
	if err != nil {
		return "", refuse("INVALID_EMAIL")
	}
	return email, nil
}

// signUp is POST /sign-up/email. Where addresses are verified first, an address that
// somebody has is answered like any other (contract §11).
func (a *API) signUp(w http.ResponseWriter, r *http.Request, c *call) error {
	email, err := c.address()
	in := signin.SignUpIn{
		ClientID: c.client, Email: email, Nameless: true, Visitor: c.visitor(r),
		Password: c.text("password", required, wire.Max(maxPassword)), DisplayName: c.text("name", required, wire.Max(maxName)),
	}
	c.webAddress("image")
	back := c.text("callbackURL", wire.Max(maxURL))
	remember := c.flag("rememberMe", true)
	if bad := c.err(); bad != nil {
		return bad
	}
	if err != nil {
		return err
	}
	if in.VerifyPage, err = a.page(r, c, "/api/auth/verify-email", "callbackURL", back); err != nil {
		return err
	}
	cl, err := a.SignIn.ClientBy(r.Context(), signin.ClientRef{ID: c.client})
	if err != nil {
		return err
	}
	if cl.Policy.VerifiedEmail {
		u, err := a.SignIn.RequestSignUp(r.Context(), in)
		if err != nil {
			return err
		}
		return done(w, signedIn{User: userOf(u, false)})
	}
	out, err := a.SignIn.SignUp(r.Context(), in)
	if err != nil {
		return err
	}
	return a.finish(w, r, c, out, remember, func(in *signin.SignedIn) error {
		return done(w, signedIn{Token: name(in.Session), User: userOfSignIn(in)})
	})
}

// signInEmail is POST /sign-in/email.
func (a *API) signInEmail(w http.ResponseWriter, r *http.Request, c *call) error {
	email, err := c.address()
	in := signin.PasswordIn{ClientID: c.client, Email: email, Password: c.text("password", required, wire.Max(maxPassword)), Visitor: c.visitor(r)}
	back := c.text("callbackURL", wire.Max(maxURL))
	remember := c.flag("rememberMe", true)
	if bad := c.err(); bad != nil {
		return bad
	}
	if err != nil {
		return err
	}
	if back, err = a.callback(r, c, "callbackURL", back); err != nil {
		return err
	}
	out, err := a.SignIn.Password(r.Context(), in)
	if err != nil {
		return err
	}
	return a.finish(w, r, c, out, remember, func(in *signin.SignedIn) error {
		redirect := back != ""
		return done(w, signedIn{Redirect: &redirect, URL: back, Token: name(in.Session), User: userOfSignIn(in)})
	})
}

// finish ends a sign-in: with a session and what then answers, or with what it owes.
func (a *API) finish(w http.ResponseWriter, r *http.Request, c *call, out signin.Outcome, remember bool, then func(*signin.SignedIn) error) error {
	switch {
	case out.SignedIn != nil:
		a.admit(w, r, c, out.SignedIn, remember)
		return then(out.SignedIn)
	case out.Challenge != nil:
		return done(w, a.challenge(w, r, c, *out.Challenge, remember))
	case out.Setup != nil:
		if out.Setup.Session != "" {
			c.signIn(w, r, out.Setup.Session, false)
		}
		return refuse("MFA_REQUIRED")
	}
	return fault.New(fault.EnrolmentPending)
}

// admit gives the browser of a completed sign-in its cookies.
func (a *API) admit(w http.ResponseWriter, r *http.Request, c *call, in *signin.SignedIn, remember bool) {
	c.signIn(w, r, in.Session, remember)
	if c.cookie(r, challengeCookie) != "" {
		c.clearCookie(w, r, challengeCookie)
	}
	if in.Trusted != nil {
		c.setCookie(w, r, trustCookie, in.Trusted.Cookie, in.Trusted.Life)
	}
}

// challenge gives the browser what the second factor is answered to by. It is nobody's
// session, and takes the place of one that was there.
func (a *API) challenge(w http.ResponseWriter, r *http.Request, c *call, ch signin.Challenge, remember bool) owing {
	c.setCookie(w, r, challengeCookie, ch.Secret, challengeLife)
	if c.cookie(r, sessionCookie) != "" {
		c.clearCookie(w, r, sessionCookie)
	}
	if !remember {
		c.setCookie(w, r, forgetCookie, "true", 0)
	} else if c.cookie(r, forgetCookie) != "" {
		c.clearCookie(w, r, forgetCookie)
	}
	out := owing{Redirect: true, Methods: []string{}}
	if ch.Ways.App {
		out.Methods = append(out.Methods, "totp")
	}
	if ch.Ways.Mail {
		out.Methods = append(out.Methods, "otp")
	}
	return out
}

// visitor is who asks, with the browser's trust.
func (c *call) visitor(r *http.Request) signin.Visitor {
	v := visitor(r)
	v.Trusted = c.cookie(r, trustCookie)
	return v
}
