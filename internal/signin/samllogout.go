package signin

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/logout"
	"sallyport/internal/onetime"
	"sallyport/internal/org"
	"sallyport/internal/saml"
	"sallyport/internal/session"
	"sallyport/internal/sso"
	"sallyport/internal/token"
	"sallyport/internal/upstream"
)

// SSOGoodbye is a browser that signs out here and should at its provider, too. Back
// is where it goes after that; the surface has judged it.
type SSOGoodbye struct {
	Cookie string
	Base   string // the absolute URL of the mount
	Back   string
}

// SSOLeft says where a browser goes next: to a Location, or by a Form; to neither
// where there is nothing more to do. Ended says that its own session is over.
type SSOLeft struct {
	Location string
	Form     *saml.Form
	Ended    bool
}

// GoodbyeSSO is where to send a browser that signs out, so that the SAML provider
// that it came by ends its session as well; nowhere for all other sessions. It ends
// nothing here: SignOut does, before the browser leaves, so that nothing depends on its
// coming back (Profiles §4.4.3.1).
func (c *Core) GoodbyeSSO(ctx context.Context, in SSOGoodbye) (SSOLeft, error) {
	var s session.Session
	var k connected
	err := c.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		k = connected{}
		if s, err = session.ByToken(ctx, tx, in.Cookie, c.Now()); err != nil {
			return err
		}
		if id, ok := sso.OrgOf(s.Upstream); ok {
			k.conn, err = sso.ByOrg(ctx, tx, c.Key, id)
		}
		return err
	})
	if errors.Is(err, db.ErrNotFound) || err == nil && k.conn.Kind != sso.SAML {
		return SSOLeft{}, nil
	} else if err != nil {
		return SSOLeft{}, err
	}
	state := onetime.New()
	out, err := c.Broker.Goodbye(k.upstream(), upstream.Goodbye{Session: s.UpstreamSession, State: state, Party: saml.PartyAt(in.Base, string(k.conn.OrgID))})
	if err != nil || out.Location == "" && out.Form == nil {
		return SSOLeft{}, err
	}
	data, err := json.Marshal(in.Back)
	if err != nil {
		return SSOLeft{}, err
	}
	return SSOLeft{Location: out.Location, Form: out.Form}, c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		return onetime.Put(ctx, tx, state, onetime.Secret{Purpose: onetime.SSOLogout, Data: data, ExpiresAt: c.Now().Add(goodbyeLifetime)}, c.Now())
	})
}

// goodbyeLifetime is how long a provider may take to send a browser back that signed
// out.
const goodbyeLifetime = 10 * time.Minute

// SSOLogout is what a browser brings from a SAML provider to our logout address: its
// LogoutRequest, because somebody signed out there, or its answer to ours. Query is
// as it stood in the address, Form what was posted.
type SSOLogout struct {
	Org     org.ID
	Base    string
	Query   string
	Form    url.Values
	Cookie  string
	Visitor Visitor
}

// LogoutSSO ends the sessions that a provider says have ended there, and answers it;
// or sends a browser on whose goodbye the provider has answered. What that answer says
// is not read: here everything ended before.
func (c *Core) LogoutSSO(ctx context.Context, in SSOLogout) (SSOLeft, error) {
	values := in.Form
	if values == nil {
		values, _ = url.ParseQuery(in.Query)
	}
	if !values.Has("SAMLRequest") {
		return c.goodbyeAnswered(ctx, values.Get("RelayState"))
	}
	var k connected
	err := c.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		k.conn, err = sso.ByOrg(ctx, tx, c.Key, in.Org)
		k.org.ID = in.Org
		return err
	})
	if errors.Is(err, db.ErrNotFound) || err == nil && k.conn.Kind != sso.SAML {
		return SSOLeft{}, fault.New(fault.SSODisabled)
	} else if err != nil {
		return SSOLeft{}, err
	}
	us := saml.PartyAt(in.Base, string(in.Org))
	req, err := c.Broker.ReadLogout(k.upstream(), saml.IncomingLogout{Query: in.Query, Form: in.Form, Party: us})
	if err != nil {
		return SSOLeft{}, c.unbelieved(ctx, in.Visitor, audit.UserLogoutRefused, client.Client{}, k, failed(err))
	}
	var left SSOLeft
	err = c.write(ctx, func(ctx context.Context, tx *db.Tx) (f *fault.Error, err error) {
		f, left.Ended, err = c.leave(ctx, tx, in, k, req, k.upstream().SubjectOf(req, us))
		return f, err
	})
	if err != nil || k.conn.LogoutURL == "" {
		return left, err
	}
	out, err := c.Broker.Farewell(k.upstream(), us, req)
	left.Location, left.Form = out.Location, out.Form
	return left, err
}

// goodbyeAnswered is where a browser goes that a provider sent back; nowhere if its
// goodbye is unknown or long past.
func (c *Core) goodbyeAnswered(ctx context.Context, state string) (left SSOLeft, err error) {
	err = c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		s, err := onetime.Spend(ctx, tx, onetime.SSOLogout, state, c.Now())
		if errors.Is(err, db.ErrNotFound) {
			return nil
		} else if err != nil {
			return err
		}
		return json.Unmarshal(s.Data, &left.Location)
	})
	return left, err
}

// leave ends the sessions that a LogoutRequest is about, once: those that came by
// this connection, of that subject, and of these SAML sessions if it names any. That
// nobody is known by the name is no fault: then nobody is signed in.
func (c *Core) leave(ctx context.Context, tx *db.Tx, in SSOLogout, k connected, r saml.LogoutRequest, subject string) (f *fault.Error, ours bool, err error) {
	key := sso.Key(k.conn.OrgID)
	first, err := upstream.SpendOnce(ctx, tx, key, upstream.Once{ID: "logout " + r.ID, Until: r.Until})
	if err != nil {
		return nil, false, err
	}
	if !first {
		f := replayed()
		return f, false, audit.Record(ctx, tx, c.Now(), in.Visitor.unbelieved(audit.UserLogoutRefused, client.Client{}, k, f))
	}
	u, _, err := identity.ByLink(ctx, tx, sso.LinkIssuer(k.conn.OrgID, k.conn.Issuer), subject)
	if errors.Is(err, db.ErrNotFound) {
		return nil, false, nil
	} else if err != nil {
		return nil, false, err
	}
	all, err := session.ByUser(ctx, tx, u.ID, c.Now())
	if err != nil {
		return nil, false, err
	}
	mine, err := session.ByToken(ctx, tx, in.Cookie, c.Now())
	if err != nil && !errors.Is(err, db.ErrNotFound) {
		return nil, false, err
	}
	ended := 0
	for _, s := range all {
		known, ok := saml.ParseSession(s.UpstreamSession)
		if s.Upstream != key || !ok || len(r.Sessions) > 0 && !slices.Contains(r.Sessions, known.Index) {
			continue
		}
		if err := c.endSession(ctx, tx, u, s); err != nil {
			return nil, false, err
		}
		ended++
		ours = ours || s.ID == mine.ID
	}
	if ended == 0 {
		return nil, false, nil
	}
	e := in.Visitor.attempt(audit.SessionsRevoked, u, client.Client{}, map[string]any{"reason": "provider_logout", "sessions": ended})
	e.OrgID = k.conn.OrgID
	return nil, ours, audit.Record(ctx, tx, c.Now(), e)
}

// endSession ends a session with all that was granted in it.
func (c *Core) endSession(ctx context.Context, tx *db.Tx, u identity.User, s session.Session) error {
	if _, err := session.End(ctx, tx, u.ID, s.ID); err != nil {
		return err
	}
	if err := logout.Session(ctx, tx, s.ID, c.Now()); err != nil {
		return err
	}
	_, err := token.EndBySession(ctx, tx, s.ID)
	return err
}
