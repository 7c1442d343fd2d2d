package wire

import (
	"net/http"
	"time"
)

// SetCookie gives the browser a cookie for the mount that the request came by:
// its path, HttpOnly, SameSite=Lax, host-only, and Secure unless the mount is
// plain http, which only a development server is. life is rounded down to
// seconds; 0 means until the browser closes.
func SetCookie(w http.ResponseWriter, r *http.Request, name, value string, life time.Duration) {
	c := cookie(r, name)
	c.Value, c.MaxAge = value, int(life/time.Second)
	http.SetCookie(w, c)
}

// SetCrossSiteCookie is SetCookie for one that has to come along when another
// site's page posts a form to us. Browsers take such a cookie on https only;
// plain http is for this machine, where it is Lax.
func SetCrossSiteCookie(w http.ResponseWriter, r *http.Request, name, value string, life time.Duration) {
	c := cookie(r, name)
	c.Value, c.MaxAge = value, int(life/time.Second)
	if c.Secure {
		c.SameSite = http.SameSiteNoneMode
	}
	http.SetCookie(w, c)
}

// ClearCookie takes back what SetCookie gave.
func ClearCookie(w http.ResponseWriter, r *http.Request, name string) {
	c := cookie(r, name)
	c.MaxAge = -1
	http.SetCookie(w, c)
}

// Cookie returns the value of a cookie, "" without one. Of several with one
// name it takes the first, which is the one of the most exact path.
func Cookie(r *http.Request, name string) string {
	c, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}

func cookie(r *http.Request, name string) *http.Cookie {
	m := MountOf(r.Context())
	path := m.Path
	if path == "" {
		path = "/"
	}
	return &http.Cookie{Name: name, Path: path, HttpOnly: true, Secure: m.Secure, SameSite: http.SameSiteLaxMode}
}
