package accountmaker

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/limit"
	"sallyport/internal/oauth"
	"sallyport/internal/signin"
	"sallyport/internal/upstream"
	"sallyport/internal/wire"
)

// callback is the address that an upstream sends browsers back to.
func callback(r *http.Request, key string) string {
	return base(r.Context()) + "/auth/" + url.PathEscape(key) + "/callback"
}

// upstreamLimits count sign-ins at upstreams that a network begins.
func upstreamLimits(o wire.Origin) []limit.Rule {
	return []limit.Rule{{Name: "accountmaker.upstream", Key: o.Network(), N: 60, Per: window}}
}

// authorize is GET /auth/{provider}/authorize (contract §3.1).
func (a *API) authorize(w http.ResponseWriter, r *http.Request) {
	a.connect(w, r, r.PathValue("provider"))
}

// Connect is GET /oauth2/authorize with the parameter connection, which is the
// same (contract §7).
func (a *API) Connect(w http.ResponseWriter, r *http.Request) {
	a.connect(w, r, r.URL.Query().Get("connection"))
}

// connect keeps an authorization request and sends the browser to the upstream
// that it is to be answered by. The request is judged first: nobody is sent
// anywhere for a client or a redirect URI that is not ours to serve.
func (a *API) connect(w http.ResponseWriter, r *http.Request, name string) {
	w.Header().Set("Cache-Control", "no-store")
	if r.Method == http.MethodHead || wire.Prefetch(r) { // to look begins nothing
		noContent(w)
		return
	}
	f, err := queryForm(r)
	var ref signin.ClientRef
	if err == nil {
		ref, err = a.named(r, f)
	}
	var cl client.Client
	if err == nil {
		cl, err = a.clientOf(r.Context(), ref)
	}
	var key string
	if err == nil {
		key, err = a.upstreamKey(r, cl, name)
	}
	if err != nil {
		a.failBrowser(w, r, err)
		return
	}
	params := oauth.Params(f.query)
	params["client_id"] = []string{string(cl.ID)}
	params["response_type"] = []string{cmp.Or(params.Get("response_type"), "code")}
	delete(params, "connection")
	prompt := strings.Fields(params.Get("prompt"))
	in := oauth.AuthorizeIn{Params: params, Visitor: a.asks(r)}
	if slices.Contains(prompt, "none") { // else it is the upstream that is asked, whoever is signed in here
		in.Cookie = wire.Cookie(r, a.Session)
	}
	d, err := a.OAuth.Authorize(r.Context(), in)
	if err != nil || d.Login == nil {
		a.proceed(w, r, d, err)
		return
	}
	started, err := a.SignIn.StartUpstream(r.Context(), signin.UpstreamStart{
		ClientID: cl.ID, Upstream: key, Request: d.Login.Handle, Callback: callback(r, key), Cookie: wire.Cookie(r, stateCookie),
		LoginHint: d.Login.Hint, Again: slices.Contains(prompt, "login") || slices.Contains(prompt, "select_account"),
		Limits: upstreamLimits(wire.OriginOf(r.Context())), Visitor: visitor(r),
	})
	if err != nil {
		a.refuseRequest(w, r, d.Login.Handle, err)
		return
	}
	same := http.SameSiteLaxMode
	if started.CrossSite {
		same = http.SameSiteNoneMode
	}
	http.SetCookie(w, &http.Cookie{
		Name: stateCookie, Value: started.Cookie, Path: cookiePath(r), MaxAge: int(signin.UpstreamLifetime / time.Second), HttpOnly: true,
		Secure: started.CrossSite || wire.MountOf(r.Context()).Secure, SameSite: same,
	})
	seeOther(w, started.Location)
}

// upstreamKey is the upstream that a name in a path means: its key, or its kind
// where the client has one of it.
func (a *API) upstreamKey(r *http.Request, cl client.Client, name string) (string, error) {
	offers, err := a.SignIn.Offers(r.Context(), cl)
	if err != nil {
		return "", err
	}
	for _, o := range offers {
		if o.Key == name {
			return o.Key, nil
		}
	}
	for _, o := range offers {
		if nameOfUpstream(o) == name {
			return o.Key, nil
		}
	}
	return "", fault.New(fault.UpstreamUnknown, name)
}

// asks is who asks, as the provider wants it.
func (a *API) asks(r *http.Request) oauth.Visitor {
	o := wire.OriginOf(r.Context())
	return oauth.Visitor{IP: o.IP, UserAgent: o.UserAgent, RequestID: o.RequestID, Base: base(r.Context())}
}

// returned is GET /auth/{provider}/callback (contract §3.2).
func (a *API) returned(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead || wire.Prefetch(r) {
		noContent(w)
		return
	}
	a.arrive(w, r, r.URL.Query())
}

// posted is the same by the form that Apple's page sends.
func (a *API) posted(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, wire.MaxBody)
	if err := r.ParseForm(); err != nil {
		a.fail(w, r, refuse("invalid-request"))
		return
	}
	a.arrive(w, r, r.PostForm)
}

// arrive signs the person in whom the upstream vouches for, and answers the
// request that the sign-in is for.
func (a *API) arrive(w http.ResponseWriter, r *http.Request, vals url.Values) {
	out, err := a.SignIn.FinishUpstream(r.Context(), signin.UpstreamReturn{
		Upstream: r.PathValue("provider"), State: vals.Get("state"), Cookie: wire.Cookie(r, stateCookie), Answer: upstream.AnswerOf(vals),
		Visitor: visitor(r),
	})
	in := out.Outcome.SignedIn
	switch {
	case err != nil && out.Request == "":
		a.fail(w, r, err) // nobody knows where to
		return
	case err == nil && in == nil:
		err = fault.New(fault.Forbidden) // a second factor, an approval or an invitation is owed, or the account is to be proved first
	}
	if err != nil {
		a.refuseRequest(w, r, out.Request, err)
		return
	}
	wire.SetCookie(w, r, a.Session, in.Session, signin.SessionLifetime)
	d, err := a.OAuth.Continue(r.Context(), out.Request, in.Session, a.asks(r))
	a.proceed(w, r, d, err)
}

// refuseRequest tells the client of a request that nobody was signed in.
func (a *API) refuseRequest(w http.ResponseWriter, r *http.Request, handle string, err error) {
	why := &oauth.Error{Code: oauth.AccessDenied, Description: "the person could not be signed in", Err: err}
	f, ok := wire.Fault(err)
	if !ok || slices.Contains([]fault.Code{fault.UpstreamFailed, fault.UpstreamUnreachable, fault.UpstreamThrottled, fault.Unavailable}, f.Code) {
		why.Code, why.Description = oauth.ServerError, "the provider could not be asked"
		a.Log.WarnContext(r.Context(), "sign-in at an upstream failed", "request_id", wire.OriginOf(r.Context()).RequestID, "err", err)
	}
	d, err := a.OAuth.Refuse(r.Context(), handle, why)
	a.proceed(w, r, d, err)
}

// proceed sends the browser on: back to the client, or to a page that asks the
// person something.
func (a *API) proceed(w http.ResponseWriter, r *http.Request, d oauth.Decision, err error) {
	pages := wire.MountOf(r.Context()).Path
	switch {
	case err != nil:
		a.failBrowser(w, r, err)
	case d.Reply != nil && d.Reply.Mode != oauth.ModeQuery && a.Reply != nil:
		a.Reply(w, r, *d.Reply)
	case d.Reply != nil:
		var flat []string
		for _, p := range d.Reply.Params {
			flat = append(flat, p[0], p[1])
		}
		seeOther(w, wire.WithQuery(d.Reply.RedirectURI, flat...))
	case d.Consent != "":
		seeOther(w, pages+"/consent?request="+d.Consent)
	case d.Login != nil:
		seeOther(w, pages+"/login?request="+d.Login.Handle)
	default:
		seeOther(w, pages+"/oauth2/continue?request="+d.Continue)
	}
}

// failBrowser answers what may not go back to a client: in the words of this API,
// or of OAuth below /oauth2 (contract §1.4, §7).
func (a *API) failBrowser(w http.ResponseWriter, r *http.Request, err error) {
	var e *oauth.Error
	isOAuth := errors.As(err, &e)
	if strings.HasPrefix(r.URL.Path, "/oauth2/") {
		out := struct {
			Error       string `json:"error"`
			Description string `json:"error_description,omitempty"`
		}{Error: oauth.InvalidRequest}
		if isOAuth {
			out.Error, out.Description = e.Code, e.Description
		}
		wire.WriteJSON(w, http.StatusBadRequest, out)
		return
	}
	if !isOAuth {
		a.fail(w, r, err)
		return
	}
	field := invalidParam{In: "query", Path: "redirect_uri", Type: "redirect_uri", Received: null, Expected: e.Description}
	a.problem(w, r, "invalid-request", field)
}

func seeOther(w http.ResponseWriter, to string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}
