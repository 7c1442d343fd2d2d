package enterprise

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/limit"
	"sallyport/internal/mail"
	"sallyport/internal/org"
	"sallyport/internal/saml"
	"sallyport/internal/sso"
)

// What a change of our keys lacks, as the parameter of fault.ConnectionUnready.
const (
	LacksSAML = "saml" // the connection has no keys of ours
	LacksRoom = "keys" // there are two pairs already; or but one, which cannot end
)

// KeyID is what a key pair of ours is called: the fingerprint of its certificate.
func KeyID(k sso.KeyPair) string {
	sum := sha256.Sum256(k.Certificate)
	return hex.EncodeToString(sum[:])
}

// AddKey makes a second key pair of ours for a SAML connection. Both open what the
// provider encrypts, and our metadata have both; the one before goes on signing until
// it is ended (EndKey), so that the provider can be told of the new one first.
func (c *Core) AddKey(ctx context.Context, who Actor, id org.ID) (View, error) {
	err := c.read(ctx, who, id, set, func(context.Context, *db.Tx, standing) error { return nil })
	if err != nil {
		return View{}, err
	}
	if err := c.take(ctx, limit.Rule{Name: "enterprise.keys", Key: string(id), N: 10, Per: time.Hour}); err != nil {
		return View{}, err
	}
	pair, err := saml.NewKeyPair("Sallyport "+string(id), c.Now())
	if err != nil {
		return View{}, err
	}
	return c.rekey(ctx, who, id, "key_added", KeyID(pair), func(all []sso.KeyPair) ([]sso.KeyPair, error) {
		if len(all) > 1 {
			return nil, fault.New(fault.ConnectionUnready, LacksRoom)
		}
		return append(all, pair), nil
	})
}

// EndKey drops one of the two key pairs. The other signs from now on.
func (c *Core) EndKey(ctx context.Context, who Actor, id org.ID, key string) (View, error) {
	return c.rekey(ctx, who, id, "key_ended", key, func(all []sso.KeyPair) ([]sso.KeyPair, error) {
		i := slices.IndexFunc(all, func(k sso.KeyPair) bool { return KeyID(k) == key })
		switch {
		case i < 0:
			return nil, invalid("key")
		case len(all) == 1:
			return nil, fault.New(fault.ConnectionUnready, LacksRoom)
		}
		return slices.Delete(all, i, i+1), nil
	})
}

// rekey changes the key pairs of a SAML connection; said is what the log has of it.
func (c *Core) rekey(ctx context.Context, who Actor, id org.ID, said, key string, change func([]sso.KeyPair) ([]sso.KeyPair, error)) (View, error) {
	var v View
	err := c.write(ctx, who, id, set, func(ctx context.Context, tx *db.Tx, s standing) error {
		if err := org.Lock(ctx, tx, s.org.ID); err != nil {
			return err
		}
		conn, err := c.connection(ctx, tx, s.org.ID)
		if err != nil {
			return err
		}
		if conn == nil || conn.Kind != sso.SAML {
			return fault.New(fault.ConnectionUnready, LacksSAML)
		}
		if conn.Keys, err = change(slices.Clone(conn.Keys)); err != nil {
			return err
		}
		if _, err := sso.Set(ctx, tx, c.Key, *conn, c.Now()); err != nil {
			return err
		}
		detail := map[string]any{"kind": conn.Kind, "provider": conn.Provider, "issuer": conn.Issuer, said: key}
		if err := c.record(ctx, tx, s, audit.ConnectionSet, detail); err != nil {
			return err
		}
		if err := c.tell(ctx, tx, s.org, mail.ConnectionChanged, mail.Data{Upstream: sso.Title(conn.Provider), Inviter: s.by()}); err != nil {
			return err
		}
		v, err = c.view(ctx, tx, s)
		return err
	})
	return v, err
}
