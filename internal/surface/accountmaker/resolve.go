package accountmaker

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/onetime"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// clientIDOf reads a client id in either of its spellings: as this API writes it,
// and as the operator's files do.
func clientIDOf(s string) (client.ID, bool) {
	id, ok := identity.FromKSUID("cid", s)
	if !ok {
		id, ok = identity.ParseID(s)
	}
	return client.ID(id), ok
}

// explicit is the client that a request names itself, in a field or a header
// (contract §1.2, 1 and 2); "" if it names none. Two that differ are refused.
func explicit(r *http.Request, f *form) (client.ID, error) {
	given := []string{f.text("client_id", field{max: maxOpaque})}
	if err := f.err(); err != nil {
		return "", err
	}
	given = append(given, r.Header.Values("X-Client-Id")...)
	var found client.ID
	for _, s := range given {
		if s == "" {
			continue
		}
		id, ok := clientIDOf(s)
		if !ok || found != "" && id != found {
			return "", badClient(f.in)
		}
		found = id
	}
	return found, nil
}

func badClient(in string) error {
	return refuse("invalid-client", invalidParam{In: in, Path: "client_id", Type: "client_id", Received: null})
}

// The ways to say whose request it is.
type source func(r *http.Request, f *form) (signin.ClientRef, error)

// named is the client that a request names, else the host's, else the default.
func (a *API) named(r *http.Request, f *form) (signin.ClientRef, error) {
	id, err := explicit(r, f)
	if err == nil && id == "" {
		id, err = a.implied(r)
	}
	if err == nil && id == "" {
		err = badClient(f.in)
	}
	return signin.ClientRef{ID: id}, err
}

// implied is the client of the host, else the default one (contract §1.2, 5 and
// 6), "" if there is neither.
func (a *API) implied(r *http.Request) (client.ID, error) {
	host := strings.ToLower(r.Host)
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if public, err := url.Parse(a.Issuers[0]); err == nil && host != public.Hostname() {
		id, err := a.SignIn.ClientOfHost(r.Context(), host)
		if err != nil || id != "" {
			return id, err
		}
	}
	return a.DefaultClient(), nil
}

// byMail is the client that a mailed secret was made for (contract §1.2, 4).
func (a *API) byMail(r *http.Request, f *form) (signin.ClientRef, error) {
	return a.bySecret(r, f, "invalid-token", signin.ClientRef{Purposes: []onetime.Purpose{onetime.Reset, onetime.VerifyEmail}})
}

// byLogin is the same of a secret that signs in: a magic link's or an invitation's.
func (a *API) byLogin(r *http.Request, f *form) (signin.ClientRef, error) {
	return a.bySecret(r, f, "invalid-login-token", signin.ClientRef{Purposes: []onetime.Purpose{onetime.MagicLink}, Invites: true})
}

// bySecret is the client that a request names, else that of its secret. A secret of
// another client than the one named, whose pages may ask, is refused: it is bound to
// its own (contract §2.5).
func (a *API) bySecret(r *http.Request, f *form, code string, ref signin.ClientRef) (signin.ClientRef, error) {
	named, err := explicit(r, f)
	if err != nil {
		return ref, err
	}
	ref.Secret = f.text("token", field{secret: true, max: maxOpaque})
	f.bad = nil // the handler reads it, and tells what is wrong
	if named == "" {
		return ref, nil
	}
	cl, err := a.SignIn.ClientBy(r.Context(), ref)
	switch {
	case unknownClient(err): // nobody's, or of an invitation to any client
		err = nil
	case err == nil && cl.ID != named:
		err = refuse(code)
	}
	return signin.ClientRef{ID: named}, err
}

// byRefresh is the client of a refresh token, from the body or a cookie.
func (a *API) byRefresh(r *http.Request, f *form) (signin.ClientRef, error) {
	id, err := explicit(r, f)
	if err != nil || id != "" {
		return signin.ClientRef{ID: id}, err
	}
	raw := f.text("refresh_token", field{secret: true, max: maxOpaque})
	f.bad = nil
	if raw != "" {
		return signin.ClientRef{Refresh: raw}, nil
	}
	if raw = wire.Cookie(r, refreshCookie); raw != "" {
		return signin.ClientRef{Refresh: raw}, nil
	}
	id, err = a.implied(r)
	return signin.ClientRef{ID: id}, err
}

// guard is what is looked up of a client before its request is carried out.
type guard struct {
	client client.Client
	until  time.Time
}

// guards remembers clients for some seconds: nearly every request asks about the
// same few, and what it asks, which origins and issuer a client has, is as good
// then as a moment ago.
type guards struct {
	mu   sync.Mutex
	byID map[client.ID]guard
}

const (
	guardFor = 5 * time.Second
	guardMax = 1000
)

// clientOf is the client of a reference, not older than guardFor.
func (a *API) clientOf(ctx context.Context, ref signin.ClientRef) (client.Client, error) {
	now := a.Now()
	if ref.ID != "" {
		a.known.mu.Lock()
		g, ok := a.known.byID[ref.ID]
		a.known.mu.Unlock()
		if ok && g.until.After(now) {
			return g.client, nil
		}
	}
	cl, err := a.SignIn.ClientBy(ctx, ref)
	if err != nil {
		return cl, err
	}
	a.known.mu.Lock()
	defer a.known.mu.Unlock()
	if a.known.byID == nil || len(a.known.byID) >= guardMax {
		a.known.byID = map[client.ID]guard{}
	}
	a.known.byID[cl.ID] = guard{cl, now.Add(guardFor)}
	return cl, nil
}

// allows reports whether pages of an origin may call for the client (contract §1.3).
func allows(cl client.Client, origin string) bool {
	return slices.ContainsFunc(cl.Policy.AllowedOrigins, func(o string) bool { return client.Origin(o) == origin })
}

// unknownClient reports whether err says that there is no such client.
func unknownClient(err error) bool { return fault.Is(err, fault.ClientUnknown) }
