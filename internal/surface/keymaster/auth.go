package keymaster

import (
	"net/http"
	"strings"

	"sallyport/internal/client"
	"sallyport/internal/identity"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// Cookie is the name of the browser session's cookie (contract §1.5).
const Cookie = "km_sso"

// tokenResponse is a completed sign-in (contract §2).
type tokenResponse struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
}

type totpRequired struct {
	Status      string `json:"status"`
	TOTPSession string `json:"totp_session"`
}

type statusResponse struct {
	Status string `json:"status"`
}

var ok = statusResponse{"ok"}

// The limits of fields (contract §2).
const (
	maxPassword = 1024
	maxDevice   = 255
	maxOpaque   = 4096 // a token or code of ours, with room to be told from it
)

// appID reads an app's id; a malformed one is as unknown as any other.
func appID(b *wire.Body, rules ...wire.Rule) client.ID {
	id, _ := identity.ParseID(b.String("app_id", rules...))
	return client.ID(id)
}

// email reads an address, normalised.
func email(b *wire.Body, rules ...wire.Rule) string {
	const name = "email"
	s, there := b.OptString(name, rules...)
	if !there || s == "" && len(rules) == 0 { // a form sent whole leaves what is optional empty
		return ""
	}
	normal, err := identity.NormalizeEmail(s)
	if err != nil {
		b.Fail(name, wire.Invalid, "value is not a valid email address")
	}
	return normal
}

// displayName reads a name of 1 to 100 characters after trimming.
func displayName(b *wire.Body, rules ...wire.Rule) string {
	const name = "display_name"
	s, there := b.OptString(name, rules...)
	if !there || s == "" && len(rules) == 0 {
		return ""
	}
	s = strings.TrimSpace(s)
	switch n := len([]rune(s)); {
	case n == 0:
		b.Fail(name, wire.TooShort, "must have at least 1 character")
	case n > signin.MaxDisplayName:
		b.Fail(name, wire.TooLong, "must have at most 100 characters")
	}
	return s
}

// finish answers with what a sign-in came to.
func (a *API) finish(w http.ResponseWriter, r *http.Request, out signin.Outcome, err error) {
	if err != nil {
		a.fail(w, r, err)
		return
	}
	switch {
	case out.Challenge != nil:
		session, err := a.TOTPSession(r.Context(), *out.Challenge)
		if err != nil {
			a.fail(w, r, err)
			return
		}
		noStore(w)
		wire.WriteJSON(w, http.StatusOK, totpRequired{"totp_required", session})
	case out.Setup != nil:
		setSSO(w, r, out.Setup.Session)
		failSetup(w)
	case out.Pending:
		wire.WriteJSON(w, http.StatusOK, statusResponse{"pending_approval"})
	default:
		a.tokens(w, r, *out.SignedIn)
	}
}

// tokens answers with the tokens of a completed sign-in.
func (a *API) tokens(w http.ResponseWriter, r *http.Request, in signin.SignedIn) {
	access, err := a.AccessToken(r.Context(), in)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	setSSO(w, r, in.Session)
	noStore(w)
	wire.WriteJSON(w, http.StatusOK, tokenResponse{
		AccessToken: access, RefreshToken: in.Refresh, TokenType: "Bearer",
		ExpiresIn: int(in.Client.Policy.AccessToken.Lifetime.D().Seconds()),
	})
}

func setSSO(w http.ResponseWriter, r *http.Request, value string) {
	if value != "" {
		wire.SetCookie(w, r, Cookie, value, signin.SessionLifetime)
	}
}

// noStore is what every answer with a token says (RFC 6749 §5.1).
func noStore(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
}

// login is POST /auth/login (contract §2.1).
func (a *API) login(w http.ResponseWriter, r *http.Request) {
	b, err := wire.ReadBody(w, r, wire.MaxBody)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	in := signin.PasswordIn{
		Email:    email(b, wire.Required),
		Password: b.String("password", wire.Required, wire.Min(1), wire.Max(maxPassword)),
		ClientID: appID(b, wire.Required),
		DeviceID: b.String("device_id", wire.Max(maxDevice)),
		Visitor:  visitor(r),
	}
	if err := b.Err(); err != nil {
		a.fail(w, r, err)
		return
	}
	in.Limits = LoginLimits(wire.OriginOf(r.Context()), in.Email)
	out, err := a.SignIn.Password(r.Context(), in)
	a.finish(w, r, out, err)
}

// totpVerify is POST /auth/totp/verify (contract §2.2).
func (a *API) totpVerify(w http.ResponseWriter, r *http.Request) {
	b, err := wire.ReadBody(w, r, wire.MaxBody)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	session := b.String("totp_session", wire.Required)
	code := b.String("code", wire.Required, wire.Max(64))
	if err := b.Err(); err != nil {
		a.fail(w, r, err)
		return
	}
	secret, err := a.Challenge(session)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	out, err := a.SignIn.Challenge(r.Context(), signin.ChallengeIn{Secret: secret, Code: code, Tries: TOTPTries(), Visitor: visitor(r)})
	a.finish(w, r, out, err)
}

// signup is POST /auth/signup (contract §2.3).
func (a *API) signup(w http.ResponseWriter, r *http.Request) {
	b, err := wire.ReadBody(w, r, wire.MaxBody)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	in := signin.SignUpIn{
		Email:       email(b, wire.Required),
		Password:    b.String("password", wire.Required, wire.Min(1), wire.Max(maxPassword)),
		DisplayName: displayName(b, wire.Required),
		ClientID:    appID(b, wire.Required),
		Limits:      SignUpLimits(wire.OriginOf(r.Context())),
		Visitor:     visitor(r),
	}
	if err := b.Err(); err != nil {
		a.fail(w, r, err)
		return
	}
	out, err := a.SignIn.SignUp(r.Context(), in)
	a.finish(w, r, out, err)
}

// acceptInvite is POST /auth/accept-invite (contract §2.4).
func (a *API) acceptInvite(w http.ResponseWriter, r *http.Request) {
	b, err := wire.ReadBody(w, r, wire.MaxBody)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	in := signin.InviteIn{
		ClientID:    appID(b, wire.Required),
		Code:        b.String("invite_code", wire.Required, wire.Max(maxOpaque)),
		Email:       email(b),
		DisplayName: displayName(b),
		Password:    b.String("password", wire.Max(maxPassword)),
		Visitor:     visitor(r),
	}
	if err := b.Err(); err != nil {
		a.fail(w, r, err)
		return
	}
	in.Failures = InviteFailures(wire.OriginOf(r.Context()), string(in.ClientID))
	out, err := a.SignIn.AcceptInvite(r.Context(), in)
	a.finish(w, r, out, err)
}

// logout is POST /auth/logout (contract §4.4). It needs no body.
func (a *API) logout(w http.ResponseWriter, r *http.Request) {
	for _, c := range r.CookiesNamed(Cookie) { // below a prefix there may be two
		if err := a.SignIn.SignOut(r.Context(), c.Value, false, visitor(r)); err != nil {
			a.fail(w, r, err)
			return
		}
		wire.ClearCookie(w, r, Cookie) // not without one: SameSite kept it from another site's form
	}
	wire.WriteJSON(w, http.StatusOK, ok)
}
