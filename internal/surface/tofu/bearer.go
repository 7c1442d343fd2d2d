package tofu

import (
	"errors"
	"net/http"
	"strings"

	"sallyport/internal/fault"
	"sallyport/internal/session"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// badToken is the answer to an access token that is not good (contract §3).
type badToken struct {
	Detail   string         `json:"detail"`
	Code     string         `json:"code"`
	Messages []tokenMessage `json:"messages"`
}

type tokenMessage struct {
	Class   string `json:"token_class"`
	Type    string `json:"token_type"`
	Message string `json:"message"`
}

// Error is for a log.
func (e *badToken) Error() string { return e.Messages[0].Message }

// holder is the user whose access token a request carries (contract §3). A token
// in the header wins over one in the cookie, and a cookie is a proof only in
// requests that a page of ours sends.
func (a *API) holder(r *http.Request, s Settings) (signin.Held, error) {
	raw, err := authorization(r)
	if err == nil && raw == "" && s.ProxyMode {
		if raw = wire.Cookie(r, cookieName); raw != "" {
			err = a.sentByPage(r, s, pageOnly)
		}
	}
	if err == nil && raw == "" {
		err = fault.New(fault.Unauthenticated)
	}
	if err != nil {
		return signin.Held{}, err
	}
	cl, err := a.client(r.Context(), s)
	if err != nil {
		return signin.Held{}, err
	}
	c, err := a.read(cl, typeAccess, raw)
	if why, ok := errors.AsType[tokenError](err); ok {
		return signin.Held{}, &badToken{"Given token not valid for any token type", notValid, []tokenMessage{{"AccessToken", typeAccess, string(why)}}}
	}
	number, ok := numberOf(c)
	if !ok {
		return signin.Held{}, refuse(http.StatusUnauthorized, namesNobody, notValid)
	}
	held, err := a.SignIn.Held(r.Context(), signin.HeldIn{ClientID: s.Client, Alias: number, Session: session.ID(textOf(c, "sid"))})
	switch {
	case fault.Is(err, fault.UserUnknown):
		return held, refuse(http.StatusUnauthorized, "User not found", "user_not_found")
	case err == nil && !held.Active:
		return held, refuse(http.StatusUnauthorized, inactive, "user_inactive")
	}
	return held, err
}

// authorization returns the token of the Authorization header, "" for a header
// that SimpleJWT leaves to others.
func authorization(r *http.Request) (string, error) {
	parts := strings.Fields(strings.Join(r.Header["Authorization"], ","))
	if len(parts) == 0 || parts[0] != "Bearer" {
		return "", nil
	}
	if len(parts) != 2 {
		return "", refuse(http.StatusUnauthorized, "Authorization header must contain two space-delimited values", "bad_authorization_header")
	}
	return parts[1], nil
}
