package accountmaker

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/jwks"
	"sallyport/internal/org"
	"sallyport/internal/self"
	"sallyport/internal/signin"
	"sallyport/internal/token"
	"sallyport/internal/wire"
)

// caller is who shows an access token of this API, and what it says of them.
// Family is 0 for one of the provider's.
type caller struct {
	user    identity.UserID
	client  client.ID
	account org.ID // "" without an active membership
	role    string
	family  int64
}

// authorization returns the token of the Authorization header (RFC 6750 §2.1).
func authorization(r *http.Request) (string, bool) {
	given := r.Header["Authorization"]
	if len(given) != 1 {
		return "", len(given) > 1
	}
	scheme, raw, _ := strings.Cut(given[0], " ")
	raw = strings.TrimLeft(raw, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return raw, true
}

// unverified is the client that a token says it is of: whose keys may verify it.
func unverified(raw string) client.ID {
	parts := strings.Split(raw, ".")
	if len(raw) > token.MaxJWT || len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var c struct {
		Client string `json:"cid"`
	}
	if json.Unmarshal(payload, &c) != nil {
		return ""
	}
	id, _ := clientIDOf(c.Client)
	return id
}

// read verifies an access token: signed by us or with a key of its client, of this
// API, ours by its issuer, and in its time.
func (a *API) read(ctx context.Context, raw string) (*caller, error) {
	refused := func(err error) error { return &fault.Error{Code: fault.Unauthenticated, Err: err} }
	t, err := a.Tokens.Verify(unverified(raw), []string{jwks.RS256}, raw)
	if err == nil {
		err = t.CheckTimes(a.Now(), 0)
	}
	var c accessClaims
	if err == nil {
		err = t.Claims(&c)
	}
	if err != nil {
		return nil, refused(err)
	}
	var who caller
	var okUser, okClient, okAccount bool
	who.client, okClient = clientIDOf(c.Client)
	id, okUser := identity.FromKSUID("uid", c.User)
	who.user, who.role, okAccount = identity.UserID(id), c.Role, c.Account == ""
	if !okAccount {
		id, okAccount = identity.FromKSUID("acc", c.Account)
		who.account = org.ID(id)
	}
	family, _, _ := strings.Cut(c.ID, ".")
	if who.family, err = strconv.ParseInt(family, 36, 64); err != nil || t.Type != "JWT" || !okUser || !okClient || !okAccount {
		return nil, refused(token.ErrMalformed)
	}
	if slices.Contains(a.Issuers, c.Issuer) {
		return &who, nil
	}
	cl, err := a.clientOf(ctx, signin.ClientRef{ID: who.client})
	if err == nil && cl.Policy.Issuer != c.Issuer || unknownClient(err) {
		return nil, refused(token.ErrMalformed)
	}
	return &who, err
}

// asUser wraps a route for who is signed in. A GET is also opened by the cookie of
// an access token, which a page of another site does not send along with anything
// that it could read (contract §3.8).
func (a *API) asUser(next handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		c := &call{form: &form{in: "query", query: r.URL.Query()}}
		raw, ok := authorization(r)
		var err error
		if !ok && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			raw = a.accessFromCookie(r)
		}
		if c.who, err = a.read(r.Context(), raw); ok && fault.Is(err, fault.Unauthenticated) {
			c.who, err = a.granted(r, raw)
		}
		if err == nil {
			c.ref = signin.ClientRef{ID: c.who.client}
			switch r.Method {
			case http.MethodGet, http.MethodHead:
				_, err = a.admits(w, r, c.ref)
			case http.MethodPost, http.MethodPatch:
				if c.form, err = readForm(w, r); err == nil {
					err = a.guard(w, r, c)
				}
			default:
				err = a.guard(w, r, c)
			}
		}
		if err == nil {
			err = sameClient(r, c)
		}
		if err != nil {
			a.fail(w, r, err)
			return
		}
		next(w, r, c)
	}
}

// sameClient refuses a request that names another client than its token.
func sameClient(r *http.Request, c *call) error {
	id, err := explicit(r, c.form)
	if err == nil && id != "" && id != c.who.client {
		err = badClient(c.in)
	}
	return err
}

// accessFromCookie is the access token in a cookie, under the name that the
// client has for it.
func (a *API) accessFromCookie(r *http.Request) string {
	name := accessCookie
	if id, err := a.implied(r); err == nil && id != "" {
		if cl, err := a.clientOf(r.Context(), signin.ClientRef{ID: id}); err == nil {
			name = nameOf(cl.Policy.AccessToken.Cookie, accessCookie)
		}
	}
	return wire.Cookie(r, name)
}

// person is the caller as the core for signed-in people wants it.
func (c *call) person(r *http.Request) self.Caller {
	o := wire.OriginOf(r.Context())
	return self.Caller{UserID: c.who.user, IP: o.IP, RequestID: o.RequestID}
}
