package accountmaker

import (
	"net/http"
	"slices"
	"strings"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/signin"
	"sallyport/internal/upstream"
	"sallyport/internal/wire"
)

// The methods of check-email (contract §3.4).
const (
	byPassword = "email_password"
	byLink     = "magic_link"
)

type checked struct {
	Status    string   `json:"status"`
	Preferred []string `json:"preferred"`
	Available []string `json:"available"`
}

// checkEmail is POST /auth/check-email (contract §3.4).
func (a *API) checkEmail(w http.ResponseWriter, r *http.Request, c *call) {
	email := c.email(true)
	if err := c.err(); err != nil {
		a.fail(w, r, err)
		return
	}
	got, err := a.SignIn.CheckEmail(r.Context(), signin.CheckEmailIn{
		ClientID: c.ref.ID, Email: email, Limits: checkLimits(wire.OriginOf(r.Context()), email),
	})
	if err != nil {
		a.fail(w, r, err)
		return
	}
	out := checked{Status: "inactive", Available: []string{}}
	if got.Active {
		out.Status = "active"
	}
	if got.Client.Offers(client.MethodPassword) && (got.Password || !got.Active) {
		out.Available = append(out.Available, byPassword)
	}
	if got.Client.Offers(client.MethodMagicLink) {
		out.Available = append(out.Available, byLink)
	}
	out.Preferred = out.Available[:min(1, len(out.Available))]
	wire.WriteJSON(w, http.StatusOK, out)
}

type loginMethod struct {
	Method       string `json:"login_method"`
	AuthorizeURL string `json:"authorize_url,omitempty"`
	CallbackURL  string `json:"callback_url,omitempty"`
	SubmitURL    string `json:"submit_url,omitempty"`
}

// loginMethods is POST /auth/login-methods (contract §3.7). A provider that the
// contract knows is named by its kind there, any other by its key; its addresses
// have the key, of which there may be more than one of a kind.
func (a *API) loginMethods(w http.ResponseWriter, r *http.Request, c *call) {
	cl, err := a.clientOf(r.Context(), c.ref)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	here := base(r.Context())
	out := map[string]loginMethod{}
	if cl.Offers(client.MethodPassword) {
		out["password"] = loginMethod{Method: byPassword, SubmitURL: here + "/auth/sign-in"}
	}
	if cl.Offers(client.MethodMagicLink) {
		out["magic_link"] = loginMethod{Method: byLink, SubmitURL: here + "/auth/send-magic-link"}
	}
	offered, err := a.SignIn.Offers(r.Context(), cl)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	for _, up := range offered {
		out["oauth_"+nameOfUpstream(up)] = loginMethod{
			Method:       "oauth2",
			AuthorizeURL: wire.WithQuery(here+"/auth/"+up.Key+"/authorize", "client_id", identity.KSUID("cid", string(cl.ID))),
			CallbackURL:  callback(r, up.Key),
		}
	}
	wire.WriteJSON(w, http.StatusOK, out)
}

// kindsByName are the providers that the contract names by their kind (§3.1).
var kindsByName = []upstream.Kind{upstream.Google, upstream.GitHub, upstream.Apple, upstream.Microsoft}

// nameOfUpstream is what this API calls a provider.
func nameOfUpstream(u signin.Offer) string {
	if slices.Contains(kindsByName, u.Kind) {
		return string(u.Kind)
	}
	return u.Key
}

// signIn is POST /auth/sign-in (contract §3.14). An address that is none is
// refused as a wrong password is.
func (a *API) signIn(w http.ResponseWriter, r *http.Request, c *call) {
	email := strings.TrimSpace(c.text("email", field{required: true, max: maxOpaque}))
	in := signin.PasswordIn{
		ClientID: c.ref.ID, Email: email, Password: c.text("password", field{required: true, secret: true, max: maxPassword}), Visitor: visitor(r),
	}
	if err := c.err(); err != nil {
		a.fail(w, r, err)
		return
	}
	in.Limits = signInLimits(wire.OriginOf(r.Context()), strings.ToLower(email))
	out, err := a.SignIn.Password(r.Context(), in)
	a.finish(w, r, out, err)
}

// signUp is POST /auth/sign-up (contract §3.16).
func (a *API) signUp(w http.ResponseWriter, r *http.Request, c *call) {
	in := signin.SignUpIn{
		ClientID: c.ref.ID, Email: c.email(true), Password: c.text("password", field{required: true, secret: true, max: maxPassword}), Nameless: true,
		VerifyPage: "/auth/verify", Limits: signUpLimits(wire.OriginOf(r.Context())), Visitor: visitor(r),
	}
	c.text("preferred_language", field{max: maxLanguage})
	if err := c.err(); err != nil {
		a.fail(w, r, err)
		return
	}
	out, err := a.SignIn.SignUp(r.Context(), in)
	a.finish(w, r, out, err)
}

// refresh is POST /auth/refresh (contract §3.9), by the body or by the cookie. The
// token is good for the client alone by which the guard judged where the request
// comes from: a browser shows the cookie of one application to the pages of all.
func (a *API) refresh(w http.ResponseWriter, r *http.Request, c *call) {
	raw, cookies := c.text("refresh_token", field{secret: true, max: maxOpaque}), false
	if err := c.err(); err != nil {
		a.fail(w, r, err)
		return
	}
	var known client.Client
	bound := c.ref.ID
	if raw == "" {
		var err error
		if known, err = a.clientOf(r.Context(), c.ref); err != nil && !unknownClient(err) {
			a.fail(w, r, err)
			return
		}
		if known.ID == "" { // of a token that is nobody's: its cookies have the names they have by default
			known.Policy.AccessToken.Cookie, known.Policy.RefreshToken.Cookie = &client.Cookie{}, &client.Cookie{}
		}
		raw, cookies, bound = wire.Cookie(r, nameOf(known.Policy.RefreshToken.Cookie, refreshCookie)), true, known.ID
	}
	out, err := a.SignIn.Refresh(r.Context(), signin.RefreshIn{ClientID: bound, Token: raw, Visitor: visitor(r)})
	var t tokens
	if err == nil {
		t, err = a.tokens(r.Context(), out)
	}
	if err != nil {
		if cookies && raw != "" && expired(err) {
			takeCookies(w, r, known.Policy)
		}
		a.failRefresh(w, r, err)
		return
	}
	if cookies {
		a.giveCookies(w, r, out.Client.Policy, t)
	}
	wire.WriteJSON(w, http.StatusOK, t)
}

// RefreshGrant is POST /oauth2/token with a refresh token of a sign-in (contract
// §7), whose client has proved itself; false if it is no such token.
func (a *API) RefreshGrant(w http.ResponseWriter, r *http.Request, id client.ID, raw string) bool {
	cl, err := a.SignIn.ClientBy(r.Context(), signin.ClientRef{Refresh: raw})
	if err != nil || !cl.Policy.Accounts || cl.ID != id {
		return false // the provider says what is wrong
	}
	out, err := a.SignIn.Refresh(r.Context(), signin.RefreshIn{ClientID: id, Token: raw, Visitor: visitor(r)})
	var t tokens
	if err == nil {
		t, err = a.tokens(r.Context(), out)
	}
	if err != nil {
		return false
	}
	w.Header().Set("Pragma", "no-cache")
	wire.WriteJSON(w, http.StatusOK, t)
	return true
}

// failRefresh says why a refresh was refused. Whatever ended the sign-in is 401,
// by which clients know that it is over; anything else leaves it alone.
func (a *API) failRefresh(w http.ResponseWriter, r *http.Request, err error) {
	if expired(err) {
		err = refuse("invalid-refresh-token")
	}
	a.fail(w, r, err)
}

// expired reports whether an error means that the sign-in has ended.
func expired(err error) bool {
	f, ok := fault.From(err)
	return ok && slices.Contains([]fault.Code{
		fault.RefreshInvalid, fault.RefreshReused, fault.EnrolmentSuspended, fault.EnrolmentPending, fault.NotEnrolled,
	}, f.Code)
}
