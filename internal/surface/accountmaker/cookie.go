package accountmaker

import (
	"cmp"
	"net/http"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/wire"
)

// The cookies, under the names they have unless a client's policy has others
// (contract §5). loginCookie marks the browser that asked for a mailed link.
const (
	refreshCookie = "refresh_token"
	accessCookie  = "access_token"
	stateCookie   = "oauth_state"
	loginCookie   = "login_link"
)

var sameSites = map[string]http.SameSite{
	"": http.SameSiteLaxMode, "lax": http.SameSiteLaxMode, "strict": http.SameSiteStrictMode, "none": http.SameSiteNoneMode,
}

// cookiePath is the path of the mount, as cookies have it.
func cookiePath(r *http.Request) string { return cmp.Or(wire.MountOf(r.Context()).Path, "/") }

func nameOf(k *client.Cookie, name string) string {
	if k != nil && k.Name != "" {
		return k.Name
	}
	return name
}

// cookiesOf are the names of all cookies of ours that a browser may have for a
// client.
func cookiesOf(cl client.Client) []string {
	return []string{
		csrfCookie, stateCookie, loginCookie,
		nameOf(cl.Policy.AccessToken.Cookie, accessCookie), nameOf(cl.Policy.RefreshToken.Cookie, refreshCookie),
	}
}

// carries reports whether a request has one of the cookies.
func carries(r *http.Request, names ...string) bool {
	for _, name := range names {
		if _, err := r.Cookie(name); err == nil {
			return true
		}
	}
	return false
}

// tokenCookies are the cookies of a client's tokens, empty and without an end.
func tokenCookies(r *http.Request, p client.Policy) (access, refresh *http.Cookie) {
	path := cookiePath(r)
	if k := p.AccessToken.Cookie; k != nil {
		access = tokenCookie(r, *k, accessCookie, path)
		access.HttpOnly = !k.Open
	}
	if k := p.RefreshToken.Cookie; k != nil {
		refresh = tokenCookie(r, *k, refreshCookie, wire.MountOf(r.Context()).Path+"/auth/refresh")
	}
	return access, refresh
}

// tokenCookie is one of them. One for other sites is Secure whatever else is said,
// for no browser takes it otherwise; one that is not is for http on this machine.
func tokenCookie(r *http.Request, k client.Cookie, name, path string) *http.Cookie {
	m := wire.MountOf(r.Context())
	same := sameSites[k.SameSite]
	return &http.Cookie{
		Name: nameOf(&k, name), Path: path, HttpOnly: true, SameSite: same,
		Secure: same == http.SameSiteNoneMode || m.Secure || !k.Plain,
	}
}

// giveCookies sets the cookies of a client's tokens, where its policy has them.
func (a *API) giveCookies(w http.ResponseWriter, r *http.Request, p client.Policy, t tokens) {
	access, refresh := tokenCookies(r, p)
	if access != nil {
		access.Value, access.MaxAge = t.Access, t.ExpiresIn
		http.SetCookie(w, access)
	}
	if refresh != nil {
		refresh.Value, refresh.MaxAge = t.Refresh, int(p.RefreshExpiry(a.Now()).Sub(a.Now())/time.Second)
		http.SetCookie(w, refresh)
	}
}

// takeCookies takes the cookies of a client's tokens back.
func takeCookies(w http.ResponseWriter, r *http.Request, p client.Policy) {
	access, refresh := tokenCookies(r, p)
	for _, k := range []*http.Cookie{access, refresh} {
		if k != nil {
			k.MaxAge = -1
			http.SetCookie(w, k)
		}
	}
}
