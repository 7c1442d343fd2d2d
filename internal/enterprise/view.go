package enterprise

import (
	"context"
	"errors"
	"slices"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/directory"
	"sallyport/internal/org"
	"sallyport/internal/sso"
)

// View is how an organization's sign-in is set up. The Connection, nil where there is
// none, is without what is secret; HasSecret says that there is a client secret. Linked
// is how many people have come in by it. Test is nil before the first. Until is when the
// link ends that the caller has.
type View struct {
	Org        org.Org
	Until      time.Time
	Connection *sso.Connection
	HasSecret  bool
	Domains    []Domain
	Policy     Policy
	Linked     int
	Test       *sso.Test
	Directory  directory.Status
}

// View reads all of it. With a set-up link no organization need be named.
func (c *Core) View(ctx context.Context, who Actor, id org.ID) (View, error) {
	var v View
	err := c.read(ctx, who, id, look, func(ctx context.Context, tx *db.Tx, s standing) (err error) {
		v, err = c.view(ctx, tx, s)
		return err
	})
	return v, err
}

func (c *Core) view(ctx context.Context, tx *db.Tx, s standing) (View, error) {
	v := View{Org: s.org, Until: s.link.ExpiresAt, Policy: policyOf(s.org)}
	conn, err := c.connection(ctx, tx, s.org.ID)
	if err != nil {
		return v, err
	}
	if conn != nil {
		v.HasSecret = conn.Secret != ""
		v.Connection = new(bare(*conn))
	}
	if v.Domains, err = c.domains(ctx, tx, s.org.ID); err != nil {
		return v, err
	}
	if v.Linked, err = linked(ctx, tx, sso.Key(s.org.ID)); err != nil {
		return v, err
	}
	switch t, err := sso.TestOf(ctx, tx, s.org.ID); {
	case err == nil:
		v.Test = &t
	case !errors.Is(err, db.ErrNotFound):
		return v, err
	}
	v.Directory, err = directory.StatusOf(ctx, tx, s.org.ID)
	return v, err
}

// connection is the one that an organization has, nil for none.
func (c *Core) connection(ctx context.Context, tx *db.Tx, id org.ID) (*sso.Connection, error) {
	conn, err := sso.ByOrg(ctx, tx, c.Key, id)
	if errors.Is(err, db.ErrNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return &conn, nil
}

// bare is a connection without what nobody may read back.
func bare(c sso.Connection) sso.Connection {
	c.Secret = ""
	c.Keys = slices.Clone(c.Keys)
	for i := range c.Keys {
		c.Keys[i].Key = ""
	}
	return c
}
