package accountmaker

import (
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strings"
	"time"

	"sallyport/internal/secret"
	"sallyport/internal/wire"
)

// The cookie of a CSRF session is 4 bytes of time, 16 random ones and a MAC of
// both; a token is a nonce and a MAC of the cookie and it (contract §3.5, §3.6;
// OWASP, signed double-submit cookie).
const (
	csrfCookie   = "csrf_session"
	csrfLifetime = 24 * time.Hour
	nonceSize    = 16
)

var encoding = base64.RawURLEncoding.Strict()

func (a *API) newCSRFSession() string {
	head := binary.BigEndian.AppendUint32(nil, uint32(a.Now().Unix()))
	head = append(head, secret.Bytes(nonceSize)...)
	return encoding.EncodeToString(append(head, a.Key.MAC("accountmaker-csrf-session", head)...))
}

// csrfSession is the value of a request's CSRF cookie, "" without one that we made
// less than a day ago.
func (a *API) csrfSessionOf(r *http.Request) string {
	value := wire.Cookie(r, csrfCookie)
	raw, err := encoding.DecodeString(value)
	if err != nil || len(raw) <= 4+nonceSize {
		return ""
	}
	head, mac := raw[:4+nonceSize], raw[4+nonceSize:]
	age := a.Now().Sub(time.Unix(int64(binary.BigEndian.Uint32(head)), 0))
	if !secret.Equal(mac, a.Key.MAC("accountmaker-csrf-session", head)) || age >= csrfLifetime {
		return ""
	}
	return value
}

func (a *API) csrfTokenFor(session string) string {
	nonce := secret.Bytes(nonceSize)
	return encoding.EncodeToString(nonce) + "." + encoding.EncodeToString(a.Key.MAC("accountmaker-csrf", []byte(session), nonce))
}

// csrfFits reports whether a token belongs to the cookie of the request.
func (a *API) csrfFits(r *http.Request, given string) bool {
	first, second, _ := strings.Cut(given, ".")
	nonce, err := encoding.DecodeString(first)
	mac, err2 := encoding.DecodeString(second)
	session := a.csrfSessionOf(r)
	return err == nil && err2 == nil && session != "" && len(nonce) == nonceSize &&
		secret.Equal(mac, a.Key.MAC("accountmaker-csrf", []byte(session), nonce))
}

// csrfGiven is the token that a request shows: the header's, else the body's. One
// of another type than a text is as wrong as any.
func csrfGiven(r *http.Request, f *form) string {
	if given := r.Header.Get("X-CSRF-Token"); given != "" {
		return given
	}
	if f == nil || f.in != "body" || f.raw("csrf_token") == nil {
		return ""
	}
	if s := f.body.String("csrf_token"); s != "" {
		return s
	}
	return string(f.raw("csrf_token"))
}

type csrfResponse struct {
	Token string `json:"csrf_token"`
}

// csrfScript fetches the token of the cookie that came with it. It holds none
// itself: a page of another site could include the script and read it.
const csrfScript = `(function () {
  var base = document.currentScript ? new URL("csrf-token", document.currentScript.src).href : "/auth/csrf-token";
  window.accountMakerCsrf = fetch(base, { credentials: "include" })
    .then(function (response) { return response.json(); })
    .then(function (body) { return body.csrf_token; });
})();
`

// csrfSession is GET /auth/csrf-session (contract §3.5).
func (a *API) csrfSession(w http.ResponseWriter, r *http.Request, _ *call) {
	session := a.csrfSessionOf(r)
	if session == "" && r.Method != http.MethodHead {
		session = a.newCSRFSession()
		http.SetCookie(w, &http.Cookie{
			Name: csrfCookie, Value: session, Path: cookiePath(r), HttpOnly: true, Secure: wire.MountOf(r.Context()).Secure, SameSite: http.SameSiteStrictMode,
		})
	}
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		wire.WriteJSON(w, http.StatusOK, csrfResponse{a.csrfTokenFor(session)})
		return
	}
	wire.Write(w, http.StatusOK, "text/javascript; charset=utf-8", []byte(csrfScript))
}

// csrfToken is GET /auth/csrf-token (contract §3.6).
func (a *API) csrfToken(w http.ResponseWriter, r *http.Request, _ *call) {
	session := a.csrfSessionOf(r)
	if session == "" {
		a.fail(w, r, refuse("csrf-session-missing"))
		return
	}
	t := a.csrfTokenFor(session)
	w.Header().Set("X-CSRF-Token", t)
	wire.WriteJSON(w, http.StatusOK, csrfResponse{t})
}
