package hackillinois

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/jwks"
	"sallyport/internal/self"
	"sallyport/internal/session"
	"sallyport/internal/token"
)

// impersonate is the header by which an administrator asks as somebody else
// (contract §2.4). HackIllinois-Identity, of the original's inner network, means
// nothing here.
const impersonate = "HackIllinois-Impersonation"

// caller is who asks. Alias is whom they ask as, which is another's only for an
// administrator who says so; the rest is their own, as of now.
type caller struct {
	alias   string
	own     string // the alias in the token
	user    identity.UserID
	session session.ID // "" for a token of the original
	since   time.Time  // when such a token was made
	acting  bool       // the token is one of an impersonation
	stored  []string   // the roles of the token's owner
	roles   []string   // those of them that the token says, too
	service client.ID  // who asks on the private listener, and nothing else is set but alias
}

// presented are the claims of a token that is shown to us. What has another type
// than here is refused, where the original crashes or takes it (§2.3).
type presented struct {
	Act      *actor     `json:"act"`
	Audience string     `json:"aud"`
	Expires  float64    `json:"exp"`
	ID       string     `json:"id"`
	IssuedAt float64    `json:"iat"`
	Issuer   string     `json:"iss"`
	TokenID  string     `json:"jti"`
	Roles    []string   `json:"roles"`
	Session  session.ID `json:"sid"`
}

// storable reports whether what a token names can be there.
func (p presented) storable() bool {
	return storable(p.ID) && storable(string(p.Session)) && (p.Act == nil || storable(p.Act.Subject))
}

// skew is how far other clocks may be ahead (§2.3).
const skew = time.Minute

// gate lets in who holds the role, by their token and as of now: 403 without a
// word for everybody else (§1.4, §9 W8).
func (a *API) gate(role string, h func(http.ResponseWriter, *http.Request, caller)) http.HandlerFunc {
	return a.handled(func(w http.ResponseWriter, r *http.Request) {
		c, err := a.caller(r)
		switch {
		case fault.Is(err, fault.Unauthenticated):
			forbid(w)
		case err != nil:
			a.report(r, err)
			a.Crash(w, r)
		case !slices.Contains(c.roles, role):
			forbid(w)
		default:
			if as := named(r, impersonate); as != "" && a.mayImpersonate(c) {
				c.alias = as
			}
			h(w, r, c)
		}
	})
}

// named is the id in a header. What no text is names nobody.
func named(r *http.Request, header string) string {
	return strings.ToValidUTF8(r.Header.Get(header), "\uFFFD")
}

// mayImpersonate reports whether the header means anything: not for a token that
// is an impersonation already.
func (a *API) mayImpersonate(c caller) bool {
	return a.Settings().Impersonation && !c.acting && slices.Contains(c.roles, roleAdmin)
}

// caller finds out who holds the token of a request.
func (a *API) caller(r *http.Request) (caller, error) {
	raw, ok := bare(r)
	if !ok {
		return caller{}, fault.New(fault.Unauthenticated)
	}
	p, err := a.verify(r, raw)
	if err != nil {
		return caller{}, err
	}
	s := a.Settings()
	in := self.HolderIn{ClientID: s.Client, Alias: p.ID, Session: p.Session}
	c := caller{alias: p.ID, own: p.ID, session: p.Session, acting: p.Act != nil}
	if p.Act != nil {
		// The session is the administrator's: it ends for both when theirs does.
		admin, err := a.Self.Holder(r.Context(), self.HolderIn{ClientID: s.Client, Alias: p.Act.Subject, Session: p.Session})
		if err == nil && (!s.Impersonation || !slices.Contains(admin.Roles, roleAdmin)) {
			err = fault.New(fault.Unauthenticated)
		}
		if err != nil {
			return caller{}, err
		}
		in.Session = ""
	}
	h, err := a.Self.Holder(r.Context(), in)
	if err != nil {
		return caller{}, err
	}
	if p.Act != nil && slices.Contains(h.Roles, roleAdmin) {
		return caller{}, fault.New(fault.Unauthenticated)
	}
	c.user, c.stored = h.UserID, h.Roles
	if p.TokenID == "" {
		c.since = time.Unix(int64(p.Expires), 0).Add(-Lifetime)
		if now := a.Now(); c.since.After(now) {
			c.since = now
		}
	}
	for _, role := range p.Roles {
		if slices.Contains(h.Roles, role) {
			c.roles = append(c.roles, role)
		}
	}
	return c, nil
}

// bare is the token of the Authorization header: alone, as all clients send it,
// or after "Bearer" (§2.2).
func bare(r *http.Request) (string, bool) {
	given := r.Header["Authorization"]
	if len(given) != 1 {
		return "", false
	}
	raw := strings.TrimSpace(given[0])
	if scheme, rest, ok := strings.Cut(raw, " "); ok && strings.EqualFold(scheme, "Bearer") {
		raw = strings.TrimSpace(rest)
	}
	return raw, raw != ""
}

// verify judges the token itself (§2.3): HS256 by the client's key or the one
// before it, its times, whose it is, and who made it. One without jti is the
// original's, which is good until the day that the operator set (§9 W7).
func (a *API) verify(r *http.Request, raw string) (presented, error) {
	s, now := a.Settings(), a.Now()
	var p presented
	t, err := a.Tokens.Verify(s.Client, []string{jwks.HS256}, raw)
	if err == nil {
		err = t.CheckTimes(now, 0)
	}
	if err == nil {
		err = t.Claims(&p)
	}
	if err == nil && (t.Type != "" && t.Type != "JWT" || p.ID == "" || !p.storable() || p.Expires <= 0 || p.IssuedAt > float64(now.Add(skew).Unix())) {
		err = token.ErrMalformed
	}
	if err != nil {
		return p, &fault.Error{Code: fault.Unauthenticated, Err: err}
	}
	if p.TokenID == "" {
		if now.Before(s.LegacyUntil) && p.Session == "" && p.Act == nil && a.signedBefore(t) {
			return p, nil
		}
		return p, fault.New(fault.Unauthenticated)
	}
	if p.Audience != string(s.Client) || p.Session == "" {
		return p, fault.New(fault.Unauthenticated)
	}
	if slices.Contains(a.Issuers, p.Issuer) {
		return p, nil
	}
	own, err := a.Admin.Issuer(r.Context(), s.Client)
	if err == nil && (own == "" || own != p.Issuer) {
		err = fault.New(fault.Unauthenticated)
	}
	return p, err
}

// signedBefore reports whether a token can be the original's: where the secret has
// changed since, it is signed with the one before.
func (a *API) signedBefore(t token.JWT) bool {
	return t.Key.State == jwks.Retired || len(a.Keys.Shared(t.Key.ClientID)) == 1
}
