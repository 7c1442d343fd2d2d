package snooplytics

import (
	"net/http"
	"time"

	"sallyport/internal/wire"
)

// How long a session lives, and after how long it is renewed (contract §10).
const (
	sessionLife  = 7 * 24 * time.Hour
	sessionRenew = 24 * time.Hour
	freshFor     = 24 * time.Hour
)

// The cookies, after the prefix of the settings: the session; that it ends with the
// browser; a sign-in that owes a factor; a browser that is trusted with that; an
// attempt at an upstream; the challenge of a passkey.
const (
	sessionCookie   = ".session_token"
	forgetCookie    = ".dont_remember"
	challengeCookie = ".two_factor"
	trustCookie     = ".trust_device"
	stateCookie     = ".state"
	passkeyCookie   = ".passkey"
)

// cookieName is the full name of a cookie. The prefix that browsers know keeps
// plain http from planting one.
func (s Settings) cookieName(r *http.Request, name string) string {
	if wire.MountOf(r.Context()).Secure {
		return "__Secure-" + s.cookiePrefix() + name
	}
	return s.cookiePrefix() + name
}

func (c *call) cookie(r *http.Request, name string) string {
	return wire.Cookie(r, c.set.cookieName(r, name))
}

func (c *call) setCookie(w http.ResponseWriter, r *http.Request, name, value string, life time.Duration) {
	wire.SetCookie(w, r, c.set.cookieName(r, name), value, life)
}

func (c *call) clearCookie(w http.ResponseWriter, r *http.Request, name string) {
	wire.ClearCookie(w, r, c.set.cookieName(r, name))
}

// signIn gives the browser a session. One that is not to be remembered ends with
// the browser, and a mark beside it keeps a renewal from changing that.
func (c *call) signIn(w http.ResponseWriter, r *http.Request, value string, remember bool) {
	life := sessionLife
	if !remember {
		life = 0
		c.setCookie(w, r, forgetCookie, "true", 0)
	} else if c.cookie(r, forgetCookie) != "" {
		c.clearCookie(w, r, forgetCookie)
	}
	c.setCookie(w, r, sessionCookie, value, life)
}

// signOut takes the session back, and what waits for one.
func (c *call) signOut(w http.ResponseWriter, r *http.Request) {
	c.clearCookie(w, r, sessionCookie)
	for _, name := range []string{forgetCookie, challengeCookie} {
		if c.cookie(r, name) != "" {
			c.clearCookie(w, r, name)
		}
	}
}
