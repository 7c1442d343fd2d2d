package resource

import (
	"context"
	"errors"
	"fmt"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
	"sallyport/internal/org"
	"sallyport/internal/yaml"
)

// Options say how a file is applied.
type Options struct {
	// Prune deletes what the file owns and names no more.
	Prune bool
	// NoMail makes invitations without mailing them.
	NoMail bool
	// BaseURL is the absolute URL, without a trailing slash, that invitations
	// lead to.
	BaseURL string
}

// Result is what an apply did. Clients are all there are, the file's or not;
// Invited are the new invitations that were not mailed.
type Result struct {
	Changes []Change
	Clients []Listed
	Invited []Invited
}

// rounds is how often an apply starts over because somebody else changed what
// it was about to change.
const rounds = 10

// Plan returns what Apply would change, in its order, with None for what stays.
// Its error is *yaml.Mistakes if the file cannot be applied to this database.
func (c *Core) Plan(ctx context.Context, f *File, prune bool) ([]Change, error) {
	d, err := c.think(ctx, f, Options{Prune: prune}, newMemo(false))
	if err != nil {
		return nil, explain("plan", err)
	}
	return d.changes, nil
}

// Apply makes the database say what the file says: all of it, or nothing and an
// error, which is as for Plan. Doing it again changes nothing.
func (c *Core) Apply(ctx context.Context, f *File, o Options) (Result, error) {
	m := newMemo(true)
	var d *differ
	err := errMoved
	for round := 0; moved(err) && round < rounds; round++ {
		if d, err = c.think(ctx, f, o, m); err == nil && d.differs() {
			d, err = c.write(ctx, f, o, m)
		}
	}
	if err != nil {
		return Result{}, explain("apply", err)
	}
	clients, err := c.ListClients(ctx)
	return Result{Changes: d.changes, Clients: clients, Invited: d.invited}, err
}

// explain wraps an error, but for mistakes in the file: they explain themselves.
func explain(what string, err error) error {
	if _, ok := errors.AsType[*yaml.Mistakes](err); ok {
		return err
	}
	return fmt.Errorf("%s resources: %w", what, err)
}

// moved reports whether err says that another writer was there between the
// reading and the writing of a row.
func moved(err error) bool {
	for _, sign := range []error{errMoved, db.ErrConflict, db.ErrNotFound, db.ErrReference, identity.ErrEmailTaken, client.ErrSlugTaken, org.ErrSlugTaken, invite.ErrPending} {
		if errors.Is(err, sign) {
			return true
		}
	}
	return false
}

// think reads and compares until nothing about the passwords is left to find
// out.
func (c *Core) think(ctx context.Context, f *File, o Options, m *memo) (*differ, error) {
	for {
		var d *differ
		err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
			m.wanted, m.names = nil, nil
			d, err = c.look(ctx, tx, f, o, m)
			return err
		})
		if err != nil || len(m.wanted)+len(m.names) == 0 {
			return d, err
		}
		if err := m.makePairs(c); err != nil {
			return nil, err
		}
		if err := m.work(ctx, c.Passwords); err != nil {
			return nil, err
		}
	}
}

func (c *Core) look(ctx context.Context, tx *db.Tx, f *File, o Options, m *memo) (*differ, error) {
	now := c.Now()
	s, err := load(ctx, tx, c.Key, f, now)
	if err != nil {
		return nil, err
	}
	return c.diff(f, s, o, m, now)
}

// write compares once more, now that no other apply can come between, and
// carries the changes out.
func (c *Core) write(ctx context.Context, f *File, o Options, m *memo) (*differ, error) {
	var d *differ
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		m.wanted, m.names = nil, nil
		text, err := readOwned(ctx, tx)
		if err != nil {
			return err
		}
		if ok, err := takeOwned(ctx, tx, text, c.Now()); err != nil || !ok {
			return errors.Join(err, errMoved)
		}
		if d, err = c.look(ctx, tx, f, o, m); err != nil {
			return err
		}
		if len(m.wanted)+len(m.names) > 0 {
			return errMoved // a password was changed since it was verified, or a key is gone
		}
		for _, change := range d.changes {
			if change.do == nil {
				continue
			}
			if err := change.do(ctx, tx); err != nil {
				return fmt.Errorf("%s %s %q: %w", change.Action, change.Kind, change.Name, err)
			}
		}
		for _, s := range d.late {
			if err := s(ctx, tx); err != nil {
				return err
			}
		}
		return d.finish(ctx, tx)
	})
	return d, err
}

// differs reports whether there is anything to store.
func (d *differ) differs() bool { return Any(d.changes) || marshal(d.next) != marshal(d.s.owned) }

// finish records the apply and what the file owns by it.
func (d *differ) finish(ctx context.Context, tx *db.Tx) error {
	d.next.Version++
	if err := putSetting(ctx, tx, ownedRow, marshal(d.next), d.now); err != nil {
		return err
	}
	if !Any(d.changes) {
		return nil
	}
	detail := map[string]any{}
	surfaces := map[string][]Field{}
	for _, c := range d.changes {
		if c.Action == None {
			continue
		}
		n, _ := detail[string(c.Action)].(int)
		detail[string(c.Action)] = n + 1
		if c.Kind == "surface" && c.Action != Delete {
			surfaces[c.Name] = c.Fields
		}
	}
	if len(surfaces) > 0 {
		detail["surfaces"] = surfaces
	}
	return d.record(ctx, tx, audit.Event{Action: audit.ResourcesApplied, Detail: detail})
}
