package self

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/job"
	"sallyport/internal/mail"
	"sallyport/internal/onetime"
	"sallyport/internal/org"
	"sallyport/internal/passkey"
	"sallyport/internal/session"
	"sallyport/internal/sso"
	"sallyport/internal/upstream"
)

// Connection is an upstream as the caller sees it: one that their accounts are
// connected at, which Emails names as far as they have an address, or one where
// they could connect an account. Last marks what stays: their last way in, or an
// account that is their organization's.
type Connection struct {
	Upstream string
	Title    string
	Kind     upstream.Kind
	Linked   bool
	Last     bool
	Emails   []string
	Since    time.Time
}

// Connections lists the upstreams at which the caller has accounts, the oldest
// first, and then those that their applications offer.
func (c *Core) Connections(ctx context.Context, who Caller) ([]Connection, error) {
	var all []Connection
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		u, err := active(ctx, tx, who)
		if err != nil {
			return err
		}
		w, err := c.waysOf(ctx, tx, u)
		if err != nil {
			return err
		}
		all = w.connections()
		return nil
	})
	return all, err
}

// ways is what a person can sign in with, and what their applications take.
type ways struct {
	user    identity.User
	links   []identity.Link
	methods []string // of their applications
	known   []upstream.Upstream
	orgs    map[string]org.Org
	passkey bool
}

func (c *Core) waysOf(ctx context.Context, tx *db.Tx, u identity.User) (w ways, err error) {
	w.user = u
	if w.links, err = identity.Links(ctx, tx, u.ID); err != nil {
		return w, err
	}
	if w.methods, err = client.MethodsOf(ctx, tx, u.ID); err != nil {
		return w, err
	}
	if w.passkey, err = passkey.Any(ctx, tx, u.ID); err != nil {
		return w, err
	}
	if w.orgs, err = orgsOf(ctx, tx, u.ID, w.links); err != nil {
		return w, err
	}
	w.known, err = upstream.List(ctx, tx, c.Key)
	return w, err
}

// orgsOf are the organizations by whose own providers the person was linked, and of
// which they are a member, by the key of the link.
func orgsOf(ctx context.Context, tx *db.Tx, u identity.UserID, links []identity.Link) (map[string]org.Org, error) {
	orgs := map[string]org.Org{}
	for _, l := range links {
		id, ok := sso.OrgOf(l.Upstream)
		if !ok {
			continue
		}
		s, err := org.SeatOf(ctx, tx, id, u)
		if errors.Is(err, db.ErrNotFound) {
			continue
		} else if err != nil {
			return nil, err
		}
		orgs[l.Upstream] = s.Org
	}
	return orgs, nil
}

// remain reports whether the person could still sign in without their accounts
// at an upstream: somewhere, and from there connect it again. That is by their
// password or a passkey; by a mailed link or, if it comes to that, a new password by mail; or
// by another upstream. Each counts where one of their applications takes it.
func (w ways) remain(without string) bool {
	takes := func(m string) bool { return slices.Contains(w.methods, m) }
	switch {
	case w.user.HasPassword() && takes(client.MethodPassword), w.passkey && takes(client.MethodPasskey):
		return true
	case w.user.EmailVerified && (takes(client.MethodMagicLink) || takes(client.MethodPassword)):
		return true
	}
	return slices.ContainsFunc(w.links, func(l identity.Link) bool {
		if o, ok := w.orgs[l.Upstream]; ok && o.Open() && l.Upstream != without {
			return true
		}
		_, there := w.upstream(l.Upstream)
		return l.Upstream != without && takes(l.Upstream) && there
	})
}

func (w ways) upstream(key string) (upstream.Upstream, bool) {
	i := slices.IndexFunc(w.known, func(u upstream.Upstream) bool { return u.Key == key })
	if i < 0 {
		return upstream.Upstream{}, false
	}
	return w.known[i], true
}

// holds reports whether an account is one at the provider of an organization that the
// person is a member of. That is the organization's: whoever could remove it could get
// around what the organization demands of a sign-in.
func (w ways) holds(key string) bool {
	_, ok := w.orgs[key]
	return ok
}

// title is what an upstream is called; one that is not configured any more, by
// its key.
func (w ways) title(key string) string {
	if _, ok := sso.OrgOf(key); ok {
		return cmp.Or(w.orgs[key].Name, w.orgs[key].Slug, sso.Title(""))
	}
	if u, ok := w.upstream(key); ok {
		return u.Title()
	}
	return key
}

func (w ways) connections() []Connection {
	var all []Connection
	for _, l := range w.links {
		i := slices.IndexFunc(all, func(c Connection) bool { return c.Upstream == l.Upstream })
		if i < 0 {
			u, _ := w.upstream(l.Upstream)
			i, all = len(all), append(all, Connection{
				Upstream: l.Upstream, Title: w.title(l.Upstream), Kind: u.Kind, Linked: true, Last: !w.remain(l.Upstream) || w.holds(l.Upstream), Since: l.CreatedAt,
			})
		}
		if l.Email != "" {
			all[i].Emails = append(all[i].Emails, l.Email)
		}
	}
	for _, u := range w.known {
		if slices.Contains(w.methods, u.Key) && !slices.ContainsFunc(w.links, func(l identity.Link) bool { return l.Upstream == u.Key }) {
			all = append(all, Connection{Upstream: u.Key, Title: u.Title(), Kind: u.Kind})
		}
	}
	return all
}

// Connecting judges the proof of a person who wants to connect an account at an
// upstream: one more way in is one more for a thief, too. What follows is
// package signin's.
func (c *Core) Connecting(ctx context.Context, who Caller, proof Proof, key string) error {
	if err := c.prove(ctx, who, proof); err != nil {
		return err
	}
	return c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		u, err := active(ctx, tx, who)
		if err != nil {
			return err
		}
		w, err := c.waysOf(ctx, tx, u)
		if err != nil {
			return err
		}
		if _, ok := w.upstream(key); !ok || !slices.Contains(w.methods, key) {
			return fault.New(fault.MethodDisabled, key)
		}
		return nil
	})
}

// Unlink removes the caller's accounts at an upstream, unless they are the last
// way in (ways.remain). Of two that are removed at once the second sees that the
// first is gone. What they signed in ends, but the session that the caller is in:
// whoever holds the account there may be why it is removed.
func (c *Core) Unlink(ctx context.Context, who Caller, proof Proof, key string) error {
	if err := c.prove(ctx, who, proof); err != nil {
		return err
	}
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		u, err := c.holding(ctx, tx, who)
		if err != nil {
			return err
		}
		w, err := c.waysOf(ctx, tx, u)
		if err != nil {
			return err
		}
		if w.holds(key) {
			return fault.New(fault.Forbidden)
		}
		removed, err := identity.Unlink(ctx, tx, u.ID, key)
		switch {
		case err != nil:
			return err
		case removed == 0:
			return fault.New(fault.LinkUnknown)
		case !w.remain(key):
			return fault.New(fault.LastSignInMethod) // rolls the removal back
		}
		if err := c.record(ctx, tx, who, u, audit.UserUnlinked, map[string]any{"upstream": key}); err != nil {
			return err
		}
		if err := c.endSignInsBy(ctx, tx, who, u, key); err != nil || u.Email == "" {
			return err
		}
		return job.EnqueueMail(ctx, tx, c.Key, mail.LinkChanged, u.Email, mail.Data{Name: u.DisplayName, Change: mail.LinkRemoved, Upstream: w.title(key)}, c.Now())
	})
}

// holding is active for what adds or removes a way in. Such changes come one after
// another, and after the owner of the address if they come: a caller whose session
// has ended meanwhile is nobody.
func (c *Core) holding(ctx context.Context, tx *db.Tx, who Caller) (identity.User, error) {
	if err := identity.Hold(ctx, tx, who.UserID); errors.Is(err, db.ErrNotFound) {
		return identity.User{}, fault.New(fault.Unauthenticated)
	} else if err != nil {
		return identity.User{}, err
	}
	if who.Session.ID != "" {
		if _, err := session.ByID(ctx, tx, who.Session.ID, c.Now()); errors.Is(err, db.ErrNotFound) {
			return identity.User{}, fault.New(fault.Unauthenticated)
		} else if err != nil {
			return identity.User{}, err
		}
	}
	return active(ctx, tx, who)
}

// endSignInsBy ends what began at an upstream: sessions but the caller's own, with
// what hangs on them, and sign-ins that wait for a second factor.
func (c *Core) endSignInsBy(ctx context.Context, tx *db.Tx, who Caller, u identity.User, key string) error {
	if err := onetime.EndAll(ctx, tx, u.ID, onetime.Challenge); err != nil {
		return err
	}
	all, err := session.ByUser(ctx, tx, u.ID, c.Now())
	if err != nil {
		return err
	}
	for _, s := range all {
		if s.Upstream != key || s.ID == who.Session.ID {
			continue
		}
		if _, err := c.end(ctx, tx, who, u, s.ID); err != nil {
			return err
		}
	}
	return nil
}
