package snooplytics

import (
	"encoding/json"
	"net/http"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/signin"
	"sallyport/internal/upstream"
	"sallyport/internal/wire"
)

// begun is a sign-in at an upstream that the browser is to go to.
type begun struct {
	URL      string `json:"url"`
	Redirect bool   `json:"redirect"`
}

// trip is what is to be known when the browser comes back.
type trip struct {
	Home    string `json:"home,omitempty"`
	Trouble string `json:"trouble,omitempty"`
}

// social is POST /sign-in/social.
func (a *API) social(w http.ResponseWriter, r *http.Request, c *call) error {
	provider := c.text("provider", required, wire.Max(maxName))
	home, trouble := c.text(toHome, wire.Max(maxURL)), c.text(toTrouble, wire.Max(maxURL))
	stay := c.flag("disableRedirect", false)
	if err := c.err(); err != nil {
		return err
	}
	if c.body.Has("idToken") {
		return a.socialToken(w, r, c, provider)
	}
	var at trip
	var err error
	if at.Home, err = a.callback(r, c, toHome, home); err != nil {
		return err
	}
	if at.Trouble, err = a.callback(r, c, toTrouble, trouble); err != nil {
		return err
	}
	data, err := json.Marshal(at)
	if err != nil {
		return err
	}
	key, err := a.upstreamKey(r, c, provider)
	if err != nil {
		return err
	}
	out, err := a.SignIn.StartUpstream(r.Context(), signin.UpstreamStart{
		ClientID: c.client, Upstream: key, Callback: base(r.Context()) + "/api/auth/callback/" + key, Cookie: c.cookie(r, stateCookie),
		Data: data, Nowhere: true, Allows: func(client.Client, string) bool { return true }, Visitor: c.visitor(r),
	})
	if err != nil {
		return err
	}
	set := wire.SetCookie
	if out.CrossSite {
		set = wire.SetCrossSiteCookie
	}
	set(w, r, c.set.cookieName(r, stateCookie), out.Cookie, signin.UpstreamLifetime)
	return done(w, begun{out.Location, !stay})
}

// upstreamKey is the upstream that a name means: its key, or its kind where the client
// has one of it.
func (a *API) upstreamKey(r *http.Request, c *call, name string) (string, error) {
	cl, err := a.SignIn.ClientBy(r.Context(), signin.ClientRef{ID: c.client})
	if err != nil {
		return "", err
	}
	offers, err := a.SignIn.Offers(r.Context(), cl)
	if err != nil {
		return "", err
	}
	found := ""
	for _, o := range offers {
		if o.Key == name || found == "" && string(o.Kind) == name {
			found = o.Key
		}
	}
	if found == "" {
		return "", fault.New(fault.UpstreamUnknown, name)
	}
	return found, nil
}

// returned is GET /callback/{provider}.
func (a *API) returned(w http.ResponseWriter, r *http.Request, c *call) error {
	if r.Method == http.MethodHead || wire.Prefetch(r) {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return a.arrive(w, r, c, upstream.AnswerOf(r.URL.Query()), r.URL.Query().Get("state"))
}

// posted is the same by the form that Apple's page sends.
func (a *API) posted(w http.ResponseWriter, r *http.Request, c *call) error {
	r.Body = http.MaxBytesReader(w, r.Body, wire.MaxBody)
	if err := r.ParseForm(); err != nil {
		return refuse("BAD_REQUEST").because(err)
	}
	return a.arrive(w, r, c, upstream.AnswerOf(r.PostForm), r.PostForm.Get("state"))
}

// arrive signs in whom the upstream vouches for, and sends the browser to where the
// attempt wanted it. Without an attempt nobody knows where to.
func (a *API) arrive(w http.ResponseWriter, r *http.Request, c *call, answer upstream.Answer, state string) error {
	out, err := a.SignIn.FinishUpstream(r.Context(), signin.UpstreamReturn{
		Upstream: r.PathValue("provider"), State: state, Cookie: c.cookie(r, stateCookie), Answer: answer,
		Terms: signin.Terms{NeedsEmail: true, VerifiedOnly: true}, Visitor: c.visitor(r),
	})
	var at trip
	if len(out.Data) > 0 {
		if err := json.Unmarshal(out.Data, &at); err != nil {
			return err
		}
	}
	at.Trouble = or(at.Trouble, at.Home)
	if err != nil {
		words := map[fault.Code]string{
			fault.UpstreamStateInvalid: "state_mismatch", fault.UpstreamDenied: "access_denied", fault.UpstreamFailed: "invalid_code",
			fault.EmailRequired: "email_not_found", fault.EmailUnverified: "email_not_verified", fault.LinkTaken: "account_not_linked",
		}
		f, ok := wire.Fault(err)
		if !ok {
			return err
		}
		a.Log.WarnContext(r.Context(), "sign-in at an upstream failed", "request_id", wire.OriginOf(r.Context()).RequestID, "err", err)
		return c.back(w, at.Trouble, "error", or(words[f.Code], codeOf(err)))
	}
	if out.Invite != "" {
		return c.back(w, at.Trouble, "error", "signup_disabled")
	}
	return a.land(w, r, c, out.Outcome, at.Home, at.Trouble)
}
