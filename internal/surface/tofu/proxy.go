package tofu

import (
	"net/http"
	"slices"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/wire"
)

// cookieName is the cookie that Tofu's gateway puts the access token in, and that
// proxy_mode has us give ourselves (contract §9).
const cookieName = "tofu-web"

// give hands tokens out: in proxy mode the refresh token stays here, and the
// access token goes into the cookie, too.
func (a *API) give(w http.ResponseWriter, r *http.Request, s Settings, cl client.Client, t *pair) {
	if s.ProxyMode {
		t.Refresh = ""
		setCookie(w, r, t.Access, cl.Policy.AccessToken.Lifetime.D())
	}
}

// setCookie sets the cookie for the whole host, as the gateway does, and not for
// the mount: the application reads it behind the same gateway. An empty value
// takes it back.
func setCookie(w http.ResponseWriter, r *http.Request, value string, life time.Duration) {
	c := &http.Cookie{
		Name: cookieName, Value: value, Path: "/", HttpOnly: true, Secure: wire.MountOf(r.Context()).Secure, SameSite: http.SameSiteLaxMode,
		MaxAge: int(life / time.Second),
	}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// senders are who may send a request.
type senders int

const (
	pageOnly   senders = iota // a page of an origin that the client names
	pageOrNone                // such a page, or something that is no page: it sends no Origin
	anybody
)

// anyOf is who may ask for a sign-in: JSON is not sent by another site's form, and
// by its script only after a question that we answer with no (contract §7).
func anyOf(r *http.Request) senders {
	if full, _ := mediaType(r.Header.Get("Content-Type")); full == "application/json" {
		return anybody
	}
	return pageOrNone
}

// sentByPage refuses a request that another site may have made a browser send. In
// proxy mode a sign-in leaves a cookie, so that its form is no excuse.
func (a *API) sentByPage(r *http.Request, s Settings, who senders) error {
	origins := r.Header["Origin"]
	if s.ProxyMode && who == anybody {
		who = pageOrNone
	}
	if who == anybody || who == pageOrNone && len(origins) == 0 {
		return nil
	}
	cl, err := a.client(r.Context(), s)
	if err != nil {
		return err
	}
	allowed := append(cl.Policy.Origins(), client.Origin(base(r.Context())))
	if len(origins) != 1 || origins[0] == "" || !slices.Contains(allowed, origins[0]) {
		return fault.New(fault.Forbidden)
	}
	return nil
}
