package signin

import (
	"context"
	"errors"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/saml"
	"sallyport/internal/sso"
	"sallyport/internal/upstream"
)

// ServiceMetadata are ours for the SAML provider of an organization, on the mount at
// base: without keys as long as there is no connection, because its administrator
// wants to know our addresses first. No such organization is SSODisabled.
func (c *Core) ServiceMetadata(ctx context.Context, id org.ID, base string) ([]byte, error) {
	var k connected
	err := c.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if k.org, err = org.ByID(ctx, tx, id); err == nil {
			k.conn, err = sso.ByOrg(ctx, tx, c.Key, id)
		}
		if errors.Is(err, db.ErrNotFound) && k.org.ID != "" {
			err = nil
		}
		return err
	})
	if errors.Is(err, db.ErrNotFound) || err == nil && !k.org.Open() {
		return nil, fault.New(fault.SSODisabled)
	} else if err != nil {
		return nil, err
	}
	return k.upstream().SAML.Metadata(saml.PartyAt(base, string(id)))
}

// SSOUnsolicited is what a browser brings from a SAML provider that nobody sent it
// to: a person began there, by a tile. Base is the absolute URL of the mount; ClientID
// is whom they sign in to.
type SSOUnsolicited struct {
	ClientID client.ID
	Base     string
	Answer   upstream.Answer
	Terms    Terms // SessionFor alone
	Visitor  Visitor
}

// UnsolicitedSSO signs in by an answer that nobody asked for, where the organization
// wants that: it is off by default, because whoever has an assertion of their own can
// have another's browser bring it, and that other then works in a stranger's account
// (login CSRF). The answer says itself whom it is for: that is only how the connection
// is found which it is then judged by, its audience with the rest.
func (c *Core) UnsolicitedSSO(ctx context.Context, in SSOUnsolicited) (SSOReturned, error) {
	var out SSOReturned
	var k connected
	id, ok := saml.OrgOf(in.Base, saml.For(in.Answer.SAML))
	if !ok {
		return out, fault.New(fault.UpstreamStateInvalid)
	}
	err := c.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		out, k = SSOReturned{}, connected{}
		var start UpstreamStarted
		if err = start.application(ctx, tx, UpstreamStart{ClientID: in.ClientID, Nowhere: true}); err != nil {
			return err
		}
		out.Client, out.RedirectURI = start.Client, start.RedirectURI
		k, err = c.taking(ctx, tx, org.ID(id))
		out.Org = k.org
		return err
	})
	if err != nil {
		return out, err
	}
	out.Profile, err = c.Broker.Unsolicited(k.upstream(), saml.PartyAt(in.Base, id), in.Answer)
	if err != nil {
		return out, c.unbelieved(ctx, in.Visitor, audit.UserLoginFailed, out.Client, k, failed(err))
	}
	out.Profile = k.conn.Read(out.Profile)
	err = c.again(func() error {
		return c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
			out.Outcome = Outcome{}
			first, err := upstream.SpendOnce(ctx, tx, out.Profile.Upstream, out.Profile.Once)
			if err != nil {
				return nil, err
			}
			if !first {
				f := replayed()
				return f, audit.Record(ctx, tx, c.Now(), in.Visitor.unbelieved(audit.UserLoginFailed, out.Client, k, f))
			}
			if now, err := c.taking(ctx, tx, k.org.ID); err != nil { // it may have been taken away meanwhile
				return nil, err
			} else if now.conn.Revision != k.conn.Revision {
				return fault.New(fault.ConnectionChanged), nil
			}
			return c.arriveSSO(ctx, tx, &out.Returned, k, arrival{up: k.upstream(), terms: in.Terms, visitor: in.Visitor})
		})
	})
	return out, err
}

// taking is an organization whose SAML provider may begin sign-ins.
func (c *Core) taking(ctx context.Context, tx *db.Tx, id org.ID) (k connected, err error) {
	if k.org, err = org.ByID(ctx, tx, id); err == nil {
		k.conn, err = sso.ByOrg(ctx, tx, c.Key, id)
	}
	if errors.Is(err, db.ErrNotFound) || err == nil && (!k.org.Open() || !k.conn.Enabled || k.conn.Kind != sso.SAML) {
		return connected{}, fault.New(fault.SSODisabled)
	}
	return k, err
}

// replayed is the fault of an answer that has been taken before.
func replayed() *fault.Error {
	f, _ := fault.From(failed(upstream.Replayed()))
	return f
}

// unbelieved records why an answer or a message of an organization's provider was
// refused, for its own people, and returns the fault.
func (c *Core) unbelieved(ctx context.Context, v Visitor, what audit.Action, cl client.Client, k connected, err error) error {
	f, ok := fault.From(err)
	if !ok {
		return err
	}
	return c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
		return f, audit.Record(ctx, tx, c.Now(), v.unbelieved(what, cl, k, f))
	})
}

func (v Visitor) unbelieved(what audit.Action, cl client.Client, k connected, f *fault.Error) audit.Event {
	e := v.attempt(what, identity.User{}, cl, map[string]any{"method": sso.Key(k.org.ID), "reason": string(f.Code)})
	if f.Err != nil {
		e.Detail["cause"] = f.Err.Error()
	}
	e.OrgID = k.org.ID
	return e
}
