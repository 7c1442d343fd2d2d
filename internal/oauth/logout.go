package oauth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/logout"
	"sallyport/internal/session"
	"sallyport/internal/wire"
)

// logoutLifetime is how long a person may think about a request to sign out.
const logoutLifetime = time.Hour

// logoutLabel seals what goes through the browser meanwhile.
const logoutLabel = "logout-request"

// errStale says that a person came to a page by an address that is no longer
// good, or never was.
var errStale = &Error{Code: InvalidRequest, Description: "the request to sign out is not valid any more"}

// leaving is a request to sign out that was found valid. Subject and Session
// are those of its id_token_hint. It waits in the browser, sealed: nobody who
// asks this of us can fill a table with it.
type leaving struct {
	ClientID    client.ID  `json:"client_id,omitempty"`
	RedirectURI string     `json:"redirect_uri,omitempty"`
	State       string     `json:"state,omitempty"`
	Subject     string     `json:"sub,omitempty"`
	Session     session.ID `json:"sid,omitempty"`
	CreatedAt   time.Time  `json:"created_at"`
}

// Logout is where a request to sign out stands. Client is who asked, zero if
// nobody said; User is who is still signed in, zero if nobody is. Ask says that
// they are to be asked, which they were not if it is false. RedirectURI is where
// the browser then goes, with State, or "".
type Logout struct {
	Client      client.Client
	User        identity.User
	Ask         bool
	RedirectURI string
	State       string
}

// Destination is where the browser goes when it is done: the redirect URI with
// the state, which §3 wants back, or "".
func (l Logout) Destination() string {
	to := l.RedirectURI
	if to == "" || l.State == "" {
		return to
	}
	return wire.WithQuery(to, "state", l.State)
}

// AskLogout checks a request to sign out (RP-Initiated Logout 1.0 §2) and
// returns a handle for the two calls below. base is the issuer that it came to.
// The hint may have expired; it is one if we signed it. A redirect URI is
// registered byte for byte, by a client that is named or hinted at (§3). The
// error is an *Error and must not be redirected.
func (c *Core) AskLogout(ctx context.Context, p Params, base string) (handle string, err error) {
	if e := wellFormed(p); e != nil {
		return "", e
	}
	l := leaving{ClientID: client.ID(p.Get("client_id")), RedirectURI: p.Get("post_logout_redirect_uri"), State: p.Get("state"), CreatedAt: c.Now()}
	if raw := p.Get("id_token_hint"); raw != "" {
		if e := c.hintLogout(&l, raw, base); e != nil {
			return "", e
		}
	}
	if l.ClientID != "" {
		cl, err := c.leavingClient(ctx, l.ClientID)
		if err != nil {
			return "", err
		}
		if all := cl.Policy.PostLogoutRedirectURIs; l.RedirectURI != "" && !slices.Contains(all, l.RedirectURI) {
			return "", &Error{
				Code: InvalidRequest, Description: "post_logout_redirect_uri is not registered for this application", Detail: difference(all, l.RedirectURI),
			}
		}
	} else if l.RedirectURI != "" {
		return "", refuse(InvalidRequest, "post_logout_redirect_uri needs id_token_hint or client_id beside it")
	}
	plain, err := json.Marshal(l)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(c.Key.Seal(logoutLabel, plain)), nil
}

// hintLogout takes client, subject and session from an ID token of ours.
func (c *Core) hintLogout(l *leaving, raw, base string) *Error {
	h, err := c.hint(raw)
	switch {
	case err != nil:
		return &Error{Code: InvalidRequest, Description: "id_token_hint is not an ID token of ours", Err: err}
	case h.Issuer != base:
		return &Error{Code: InvalidRequest, Description: "id_token_hint is of another issuer", Detail: "iss " + strconv.Quote(short(h.Issuer))}
	case l.ClientID != "" && !slices.Contains(h.Audience, string(l.ClientID)):
		return refuse(InvalidRequest, "id_token_hint was made for another client")
	case l.ClientID == "":
		l.ClientID = client.ID(h.Audience[0])
	}
	l.Subject, l.Session = h.Subject, session.ID(h.Session)
	return nil
}

// leavingClient reads the client that a request to sign out names. What it
// publishes is not looked at: what was registered when somebody signed in counts.
func (c *Core) leavingClient(ctx context.Context, id client.ID) (cl client.Client, err error) {
	err = c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		cl, err = client.ByID(ctx, tx, id)
		return err
	})
	if errors.Is(err, db.ErrNotFound) || err == nil && !cl.Active {
		return cl, &Error{Code: InvalidClient, Description: "the application is unknown, or switched off", Detail: "client_id " + strconv.Quote(short(string(id)))}
	}
	return cl, err
}

// Leaving tells where a request to sign out stands, and changes nothing. The
// empty handle is a person who wants to sign out by themselves.
func (c *Core) Leaving(ctx context.Context, handle string, cookies []string) (Logout, error) {
	l, err := c.openLeaving(handle)
	if err != nil {
		return Logout{}, err
	}
	out := Logout{RedirectURI: l.RedirectURI, State: l.State}
	if l.ClientID != "" {
		if out.Client, err = c.leavingClient(ctx, l.ClientID); err != nil {
			return Logout{}, err
		}
	}
	err = c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		out.User, out.Ask = identity.User{}, false
		s, err := c.firstSession(ctx, tx, cookies)
		if errors.Is(err, db.ErrNotFound) {
			if out.Client.Source != client.Operator {
				// A client that nobody knows sends nobody off unseen (RFC 9700 §4.11.2).
				out.RedirectURI, out.State = "", ""
			}
			return nil
		} else if err != nil {
			return err
		}
		if out.User, err = identity.ByID(ctx, tx, s.UserID); err != nil {
			return err
		}
		// A hint at this very session proves that its client may end it (§2, §4).
		out.Ask = l.Session != s.ID || l.Subject != c.Subject(out.Client, s.UserID)
		return nil
	})
	return out, err
}

// firstSession is the session that counts of those a browser sent.
func (c *Core) firstSession(ctx context.Context, tx *db.Tx, cookies []string) (session.Session, error) {
	for _, raw := range cookies {
		if s, err := session.ByToken(ctx, tx, raw, c.Now()); !errors.Is(err, db.ErrNotFound) {
			return s, err
		}
	}
	return session.Session{}, db.ErrNotFound
}

func (c *Core) openLeaving(handle string) (l leaving, err error) {
	if handle == "" {
		return l, nil
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(handle)
	if err != nil {
		return l, errStale
	}
	plain, err := c.Key.Open(logoutLabel, sealed)
	if err != nil {
		return l, errStale
	}
	if err := json.Unmarshal(plain, &l); err != nil {
		return l, errStale
	}
	if c.Now().Sub(l.CreatedAt) >= logoutLifetime {
		return l, errStale
	}
	return l, nil
}

// Leave signs out of the browser sessions that the cookies name, for who pressed
// the button or whom a hint spared it. What was granted in them ends, and its
// clients are told. Sessions that have ended are no error.
func (c *Core) Leave(ctx context.Context, cl client.Client, cookies []string, v Visitor) error {
	if len(cookies) == 0 {
		return nil
	}
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		for _, raw := range cookies {
			s, err := session.EndByToken(ctx, tx, raw)
			if errors.Is(err, db.ErrNotFound) {
				continue
			} else if err != nil {
				return fmt.Errorf("end session: %w", err)
			}
			if err := logout.Session(ctx, tx, s.ID, c.Now()); err != nil {
				return err
			}
			u, err := identity.ByID(ctx, tx, s.UserID)
			if err != nil {
				return err
			}
			e := audit.Event{
				Actor: audit.User(u.ID), Action: audit.UserLogout, UserID: u.ID, IP: v.IP, RequestID: v.RequestID, Announce: true,
				Detail: map[string]any{"email": u.Email, "name": u.DisplayName},
			}
			if cl.ID != "" {
				e.Detail["client_id"] = string(cl.ID)
			}
			if err := audit.Record(ctx, tx, c.Now(), e); err != nil {
				return err
			}
		}
		return nil
	})
}
