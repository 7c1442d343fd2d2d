package wire

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"sallyport/internal/secret"
)

// ErrCrossSite reports a form that was not sent from a page of ours, or from a
// page older than the browser's cookie.
var ErrCrossSite = errors.New("wire: form not sent from our page")

// CSRF guards server-rendered forms twice: what the browser says of the request
// (Sec-Fetch-Site, Origin), and a token that the page put into the form, which
// fits a cookie of that browser only and, by its MAC, was made by us (OWASP,
// signed double-submit cookie).
type CSRF struct {
	key    *secret.Key
	origin *http.CrossOriginProtection
}

// NewCSRF returns a guard under key. bases are the URLs at which we are reached
// (their scheme and host count), for a proxy in front that changes the Host
// header.
func NewCSRF(key *secret.Key, bases ...string) (*CSRF, error) {
	c := &CSRF{key, http.NewCrossOriginProtection()}
	for _, base := range bases {
		u, err := url.Parse(base)
		if err == nil {
			err = c.origin.AddTrustedOrigin(u.Scheme + "://" + u.Host)
		}
		if err != nil {
			return nil, fmt.Errorf("trust origin of %q: %w", base, err)
		}
	}
	return c, nil
}

// Token returns the token for a form, and gives the browser the cookie that
// belongs to it unless it has one. bind ties the token to what the page is for,
// such as its session: Check needs the same strings.
func (c *CSRF) Token(w http.ResponseWriter, r *http.Request, bind ...string) string {
	id := Cookie(r, csrfCookie(r))
	for _, line := range w.Header()["Set-Cookie"] { // another form of this page was first
		if given, err := http.ParseSetCookie(line); err == nil && given.Name == csrfCookie(r) {
			id = given.Value
		}
	}
	if len(id) != 32 {
		id = secret.Hex(16)
		http.SetCookie(w, &http.Cookie{Name: csrfCookie(r), Value: id, Path: "/", HttpOnly: true,
			Secure: MountOf(r.Context()).Secure, SameSite: http.SameSiteLaxMode})
	}
	return hex.EncodeToString(c.mac(id, bind))
}

// Check returns ErrCrossSite unless token is what Token gave this browser.
func (c *CSRF) Check(r *http.Request, token string, bind ...string) error {
	if err := c.origin.Check(r); err != nil {
		return fmt.Errorf("%w: %w", ErrCrossSite, err)
	}
	given, err := hex.DecodeString(token)
	id := Cookie(r, csrfCookie(r))
	if err != nil || id == "" || !secret.Equal(given, c.mac(id, bind)) {
		return ErrCrossSite
	}
	return nil
}

func (c *CSRF) mac(id string, bind []string) []byte {
	parts := [][]byte{[]byte(id)}
	for _, b := range bind {
		parts = append(parts, []byte(b))
	}
	return c.key.MAC("csrf", parts...)
}

// csrfCookie has the __Host- prefix on https, which keeps a neighbouring
// subdomain from planting a cookie of its own (RFC 6265bis §4.1.3.2).
func csrfCookie(r *http.Request) string {
	if MountOf(r.Context()).Secure {
		return "__Host-sp_csrf"
	}
	return "sp_csrf"
}
