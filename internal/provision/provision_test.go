package provision_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"sallyport/internal/apikey"
	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/directory"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/limit"
	"sallyport/internal/onetime"
	"sallyport/internal/org"
	"sallyport/internal/provision"
	"sallyport/internal/rig"
	"sallyport/internal/session"
	"sallyport/internal/sso"
	"sallyport/internal/token"
)

// town is two organizations with directories, acme with the domain acme.com and evil with
// evil.example, which claims acme.com without having proved it.
type town struct {
	*rig.Rig
	*testing.T
	shop       client.Client
	acme, evil provision.Caller
	boss       identity.User // of acme, its only owner
}

func newTown(t *testing.T, d *db.DB) *town {
	w := &town{Rig: rig.New(t, d), T: t}
	w.shop = w.Rig.Client("Shop", nil)
	w.boss = w.User("boss@acme.com", "Boss", "", w.shop)
	mallory := w.User("mallory@evil.example", "Mallory", "", w.shop)
	w.acme, w.evil = w.found("acme", w.boss, "acme.com"), w.found("evil", mallory, "evil.example")
	w.Write(func(ctx context.Context, tx *db.Tx) error {
		_, err := org.Claim(ctx, tx, w.evil.OrgID, "acme.com", w.Now())
		return err
	})
	return w
}

func (w *town) found(slug string, owner identity.User, domain string) (who provision.Caller) {
	w.Write(func(ctx context.Context, tx *db.Tx) error {
		s, err := org.Found(ctx, tx, org.Org{Slug: slug}, owner.ID, w.Now())
		if err != nil {
			return err
		}
		who.OrgID = s.OrgID
		return w.take(ctx, tx, who, domain)
	})
	w.Write(func(ctx context.Context, tx *db.Tx) error {
		_, _, err := directory.MakeToken(ctx, tx, who.OrgID, w.Now())
		return err
	})
	return who
}

// take gives an organization a domain.
func (w *town) take(ctx context.Context, tx *db.Tx, who provision.Caller, domain string) error {
	if _, err := org.Claim(ctx, tx, who.OrgID, domain, w.Now()); err != nil {
		return err
	}
	return org.Verify(ctx, tx, who.OrgID, domain, w.Now())
}

// lose takes a domain from an organization.
func (w *town) lose(who provision.Caller, domain string) {
	w.Write(func(ctx context.Context, tx *db.Tx) error { return org.Disclaim(ctx, tx, who.OrgID, domain) })
}

func person(email string) provision.Person {
	return provision.Person{Name: email, Email: email, Active: true, DisplayName: "Jane Doe", GivenName: "Jane", FamilyName: "Doe"}
}

func (w *town) create(who provision.Caller, p provision.Person) provision.User {
	w.Helper()
	u, err := w.Provision.CreateUser(w.Context(), who, p)
	if err != nil {
		w.Fatal(err)
	}
	return u
}

// set changes the person as the directory has them.
func (w *town) set(who provision.Caller, id identity.UserID, p provision.Person) (provision.User, error) {
	return w.Provision.ReplaceUser(w.Context(), who, id, 0, p)
}

func (w *town) must(_ provision.User, err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// refused fails unless an error is of a kind.
func (w *town) refused(what string, err error, want provision.Kind) {
	w.Helper()
	if e, ok := errors.AsType[*provision.Error](err); !ok || e.Kind != want {
		w.Errorf("%s: got %v, want %s", what, err, want)
	}
}

func (w *town) account(id identity.UserID) (u identity.User) {
	w.Helper()
	w.Write(func(ctx context.Context, tx *db.Tx) (err error) {
		u, err = identity.ByID(ctx, tx, id)
		return err
	})
	return u
}

// role is somebody's in an organization, "" for none.
func (w *town) role(who provision.Caller, id identity.UserID) (role org.Role) {
	w.Helper()
	w.Write(func(ctx context.Context, tx *db.Tx) error {
		m, err := org.MembershipOf(ctx, tx, who.OrgID, id)
		role = m.Role
		if errors.Is(err, db.ErrNotFound) {
			err = nil
		}
		return err
	})
	return role
}

// settle gives somebody what can keep them signed in: two sessions, one by the provider of
// acme, a refresh token of each, a mailed link, and keys, one of them pinned to acme.
func (w *town) settle(id identity.UserID) {
	w.Helper()
	w.Write(func(ctx context.Context, tx *db.Tx) error {
		for _, key := range []string{"", sso.Key(w.acme.OrgID)} {
			s, _, err := session.Start(ctx, tx, session.Session{UserID: id, AMR: []string{"pwd"}, Upstream: key, AuthenticatedAt: w.Now(), CreatedAt: w.Now(), ExpiresAt: w.Now().Add(time.Hour)})
			if err != nil {
				return err
			}
			if _, err := token.Issue(ctx, tx, w.Key, token.Family{UserID: id, ClientID: w.shop.ID, SessionID: s.ID, ExpiresAt: w.Now().Add(time.Hour)}, w.Now()); err != nil {
				return err
			}
		}
		if _, err := onetime.Create(ctx, tx, onetime.Secret{Purpose: onetime.MagicLink, UserID: id, ExpiresAt: w.Now().Add(time.Hour)}, w.Now()); err != nil {
			return err
		}
		for _, pinned := range []org.ID{"", w.acme.OrgID} {
			if _, err := org.MembershipOf(ctx, tx, w.acme.OrgID, id); pinned != "" && err != nil {
				continue
			}
			if _, _, err := apikey.Create(ctx, tx, "ba_", apikey.Key{UserID: id, ClientID: w.shop.ID, OrgID: pinned, Name: "CI", Scopes: []string{"user:read"}}, w.Now()); err != nil {
				return err
			}
		}
		return nil
	})
}

// left are how many sessions, refresh-token families, one-time secrets and keys somebody
// has.
func (w *town) left(id identity.UserID) string {
	w.Helper()
	out := ""
	w.Write(func(ctx context.Context, tx *db.Tx) error {
		out = ""
		for _, table := range []string{"sessions", "refresh_families", "onetime_secrets", "api_keys"} {
			n, err := db.One(ctx, tx, db.Int, `SELECT COUNT(*) FROM `+table+` WHERE user_id = $1`, id)
			if err != nil {
				return err
			}
			out += fmt.Sprint(n, " ")
		}
		return nil
	})
	return out
}

func (w *town) logged(action audit.Action) (n int) {
	w.Helper()
	w.Write(func(ctx context.Context, tx *db.Tx) error {
		all, _, err := audit.List(ctx, tx, audit.Filter{OrgID: w.acme.OrgID, Action: action, Limit: 100})
		n = 0
		for _, e := range all {
			if e.Actor == audit.Directory(w.acme.OrgID) {
				n++
			}
		}
		return err
	})
	return n
}

func TestPersonComesAndGoes(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		p := person("Jane@Acme.com")
		u := w.create(w.acme, p)
		a := w.account(u.ID)
		if a.Email != "jane@acme.com" || !a.EmailVerified || a.Status != identity.Active || a.DisplayName != "Jane Doe" || a.HasPassword() || w.role(w.acme, u.ID) != org.Member {
			t.Errorf("created: %+v, %s", a, w.role(w.acme, u.ID))
		}
		w.Write(func(ctx context.Context, tx *db.Tx) error {
			return org.SetRole(ctx, tx, w.acme.OrgID, u.ID, org.Viewer, w.Now())
		})
		w.settle(u.ID)
		p.Active = false
		w.must(w.set(w.acme, u.ID, p))
		if got := w.left(u.ID); got != "0 0 0 0 " || w.account(u.ID).Status != identity.Disabled || w.role(w.acme, u.ID) != "" {
			t.Errorf("deactivated: left %s, %s, role %q", got, w.account(u.ID).Status, w.role(w.acme, u.ID))
		}
		p.Active, p.DisplayName = true, "Jane Roe"
		w.must(w.set(w.acme, u.ID, p))
		if a := w.account(u.ID); a.Status != identity.Active || a.DisplayName != "Jane Roe" || w.role(w.acme, u.ID) != org.Viewer {
			t.Errorf("reactivated: %+v, %s", a, w.role(w.acme, u.ID))
		}
		w.settle(u.ID)
		if err := w.Provision.DeleteUser(t.Context(), w.acme, u.ID, 0); err != nil {
			t.Fatal(err)
		}
		if got := w.left(u.ID); got != "0 0 0 0 " || w.account(u.ID).Status != identity.Disabled {
			t.Errorf("deleted: left %s, %s", got, w.account(u.ID).Status)
		}
		_, err := w.Provision.User(t.Context(), w.acme, u.ID)
		w.refused("read after deletion", err, provision.NotFound)
		if again := w.create(w.acme, p); again.ID != u.ID || w.account(u.ID).Status != identity.Active || w.role(w.acme, u.ID) != org.Member {
			t.Errorf("back again: %s as %s, %s", again.ID, u.ID, w.account(u.ID).Status)
		}
		for action, want := range map[audit.Action]int{
			audit.UserCreated: 1, audit.UserSuspended: 2, audit.UserUnsuspended: 2, audit.MemberAdded: 3, audit.MemberRemoved: 2, audit.UserLogout: 2,
		} {
			if got := w.logged(action); got != want {
				t.Errorf("%s: %d entries, want %d", action, got, want)
			}
		}
	})
}

// An organization speaks for the domains that it has proved, and for no address besides.
func TestForeignAddressesAreRefused(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		bob := w.User("bob@other.example", "Bob", "")
		for email, want := range map[string]provision.Kind{
			"bob@other.example":         provision.Foreign, // somebody's
			"nobody@other.example":      provision.Foreign,
			"new@acme.com":              provision.Foreign, // evil has only claimed it
			"x@sub.evil.example":        provision.Foreign,
			"x@notevil.example":         provision.Foreign,
			"x@evil.example.":           provision.Invalid,
			"x@evil.example@acme.com":   provision.Invalid,
			`"x@acme.com"@evil.example`: provision.Invalid,
			"x@еvil.example":            provision.Invalid, // a Cyrillic letter
			"not an address":            provision.Invalid,
		} {
			_, err := w.Provision.CreateUser(t.Context(), w.evil, person(email))
			w.refused(email, err, want)
		}
		_, err := w.Provision.CreateUser(t.Context(), w.evil, provision.Person{Name: "no address", Active: true})
		w.refused("no address", err, provision.Invalid)

		own := w.create(w.evil, person("own@evil.example"))
		for email, want := range map[string]provision.Kind{
			"bob@other.example": provision.Foreign, "boss@acme.com": provision.Foreign, "new@acme.com": provision.Foreign, "mallory@evil.example": provision.Taken,
		} {
			p := person("own@evil.example")
			p.Email = email
			_, err := w.set(w.evil, own.ID, p)
			w.refused("becoming "+email, err, want)
		}
		if a := w.account(own.ID); a.Email != "own@evil.example" {
			t.Errorf("the address became %s", a.Email)
		}
		if a := w.account(bob.ID); a.Status != identity.Active || w.role(w.evil, bob.ID) != "" {
			t.Errorf("bob: %s, role %q", a.Status, w.role(w.evil, bob.ID))
		}
		// What stands in mail to the address that somebody leaves is not theirs any more.
		w.settle(own.ID)
		p := person("own@evil.example")
		p.Email = "renamed@evil.example"
		w.must(w.set(w.evil, own.ID, p))
		if got := w.left(own.ID); got != "2 2 0 1 " || w.account(own.ID).Email != "renamed@evil.example" {
			t.Errorf("renamed: left %s, %s", got, w.account(own.ID).Email)
		}
	})
}

// Whoever signed up with somebody else's address has no part in what its owner is given.
func TestSquatterIsPutOut(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		u := w.User("new@acme.com", "Mallory", "correct horse battery staple", w.shop)
		w.Write(func(ctx context.Context, tx *db.Tx) error {
			if _, err := tx.Exec(ctx, `UPDATE emails SET verified_at = NULL WHERE user_id = $1`, u.ID); err != nil {
				return err
			}
			if _, _, err := org.Join(ctx, tx, w.acme.OrgID, u.ID, org.Member, w.Now()); err != nil { // even as a member
				return err
			}
			return identity.AddLink(ctx, tx, identity.Link{Issuer: "https://evil.example", Subject: "1", UserID: u.ID, CreatedAt: w.Now()})
		})
		w.settle(u.ID)
		got := w.create(w.acme, person("new@acme.com"))
		a := w.account(u.ID)
		if got.ID != u.ID || !a.EmailVerified || a.HasPassword() || a.DisplayName != "Jane Doe" {
			t.Errorf("got %+v", a)
		}
		if left := w.left(u.ID); left != "0 0 0 0 " {
			t.Errorf("left %s", left)
		}
		w.Write(func(ctx context.Context, tx *db.Tx) error {
			links, err := identity.Links(ctx, tx, u.ID)
			if len(links) != 0 {
				t.Errorf("links are left: %v", links)
			}
			return err
		})
		if w.logged(audit.UserEmailVerified) != 1 {
			t.Error("not in the log")
		}
	})
}

// Somebody with a proved address keeps what they have, their password too.
func TestMemberIsTakenOver(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		u := w.User("jane@acme.com", "Old Name", "correct horse battery staple", w.shop)
		if got := w.create(w.acme, person("jane@acme.com")); got.ID != u.ID || !w.account(u.ID).HasPassword() || w.role(w.acme, u.ID) != org.Member {
			t.Errorf("got %s, want %s, with the password", got.ID, u.ID)
		}
		_, err := w.Provision.CreateUser(t.Context(), w.acme, person("JANE@acme.com"))
		w.refused("once more", err, provision.Taken)
	})
}

// Ids are no secrets, and no key either.
func TestDirectoriesAreApart(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		ctx := t.Context()
		jane := w.create(w.acme, person("jane@acme.com"))
		g, err := w.Provision.CreateGroup(ctx, w.acme, "Staff", "", []identity.UserID{jane.ID})
		if err != nil {
			t.Fatal(err)
		}
		own := w.create(w.evil, person("own@evil.example"))
		_, err = w.Provision.User(ctx, w.evil, jane.ID)
		w.refused("read", err, provision.NotFound)
		_, err = w.set(w.evil, jane.ID, provision.Person{Name: "x", Email: "x@evil.example"})
		w.refused("replace", err, provision.NotFound)
		w.refused("delete", w.Provision.DeleteUser(ctx, w.evil, jane.ID, 0), provision.NotFound)
		_, err = w.Provision.Group(ctx, w.evil, g.ID)
		w.refused("read group", err, provision.NotFound)
		_, err = w.Provision.ChangeGroup(ctx, w.evil, g.ID, 0, []provision.GroupStep{{Add: []identity.UserID{own.ID}}})
		w.refused("change group", err, provision.NotFound)
		w.refused("delete group", w.Provision.DeleteGroup(ctx, w.evil, g.ID, 0), provision.NotFound)
		_, err = w.Provision.CreateGroup(ctx, w.evil, "Theirs", "", []identity.UserID{own.ID, jane.ID})
		w.refused("another's people", err, provision.Invalid)
		members, err := w.Provision.Members(ctx, w.evil, g.ID)
		if err != nil || len(members[g.ID]) != 0 {
			t.Errorf("members: %v %v", members, err)
		}
		for _, e := range []directory.Exact{{ID: string(jane.ID)}, {Name: "jane@acme.com"}, {Address: "jane@acme.com"}} {
			if _, n, err := w.Provision.Users(ctx, w.evil, provision.Query{Exact: e, Start: 1, Count: 10}, nil); err != nil || n != 0 {
				t.Errorf("%+v: found %d %v", e, n, err)
			}
		}
		_, groups, err := w.Provision.Groups(ctx, w.evil, provision.Query{Start: 1, Count: 10}, nil)
		if err != nil || groups != 0 {
			t.Errorf("%d groups, %v", groups, err)
		}
		if got, err := w.Provision.User(ctx, w.acme, jane.ID); err != nil || !got.Active || len(got.Groups) != 1 {
			t.Errorf("after all: %+v %v", got, err)
		}
	})
}

// Of somebody whose address is none of theirs any more, only the place here is to take.
func TestLostDomain(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		p := person("jane@acme.com")
		u := w.create(w.acme, p)
		w.settle(u.ID)
		w.lose(w.acme, "acme.com")
		other := p
		other.Email = "janet@acme.com"
		_, err := w.set(w.acme, u.ID, other)
		w.refused("another address", err, provision.Foreign)
		p.DisplayName, p.Active = "Owned", false
		w.must(w.set(w.acme, u.ID, p))
		if a := w.account(u.ID); a.Status != identity.Active || a.DisplayName != "Jane Doe" || w.role(w.acme, u.ID) != "" {
			t.Errorf("got %+v, role %q", a, w.role(w.acme, u.ID))
		}
		// The session and its tokens that acme's provider gave, and the key for acme.
		if got := w.left(u.ID); got != "1 1 1 1 " {
			t.Errorf("left %s", got)
		}
		_, err = w.Provision.CreateUser(t.Context(), w.acme, person("new@acme.com"))
		w.refused("somebody new", err, provision.Foreign)
	})
}

// A directory gives an account back that a directory disabled, and no other.
func TestOperatorsWordStands(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		status := func(id identity.UserID, s identity.Status) {
			w.Write(func(ctx context.Context, tx *db.Tx) error { return identity.SetStatus(ctx, tx, id, s, w.Now()) })
		}
		for name, c := range map[string]struct{ before, between, want identity.Status }{
			"suspended before":  {identity.Suspended, "", identity.Suspended},
			"suspended between": {"", identity.Suspended, identity.Suspended},
			"disabled before":   {identity.Disabled, "", identity.Disabled},
			"nobody else":       {"", "", identity.Active},
		} {
			p := person(fmt.Sprintf("x%d@acme.com", len(name)))
			u := w.create(w.acme, p)
			if c.before != "" {
				status(u.ID, c.before)
			}
			p.Active = false
			w.must(w.set(w.acme, u.ID, p))
			if c.between != "" {
				status(u.ID, c.between)
			}
			p.Active = true
			w.must(w.set(w.acme, u.ID, p))
			if got := w.account(u.ID).Status; got != c.want {
				t.Errorf("%s: got %s, want %s", name, got, c.want)
			}
		}
		// A domain that goes to another organization takes its people along.
		p := person("moves@acme.com")
		u := w.create(w.acme, p)
		p.Active = false
		w.must(w.set(w.acme, u.ID, p))
		w.lose(w.acme, "acme.com")
		w.Write(func(ctx context.Context, tx *db.Tx) error { return w.take(ctx, tx, w.evil, "acme.com") })
		p.Active = true
		w.must(w.set(w.acme, u.ID, p))
		if got := w.account(u.ID).Status; got != identity.Disabled {
			t.Errorf("who lost the domain: %s", got)
		}
		w.create(w.evil, p)
		if got := w.account(u.ID).Status; got != identity.Active {
			t.Errorf("who has the domain: %s", got)
		}
	})
}

// The organization keeps an owner, who cannot sign in; ownership is not the directory's to
// give.
func TestOwners(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		p := person("boss@acme.com")
		p.Active = false
		w.settle(w.boss.ID)
		w.must(w.set(w.acme, w.boss.ID, p))
		if w.role(w.acme, w.boss.ID) != org.Owner || w.account(w.boss.ID).Status != identity.Disabled || w.left(w.boss.ID) != "0 0 0 0 " {
			t.Errorf("the last owner: %s, %s, left %s", w.role(w.acme, w.boss.ID), w.account(w.boss.ID).Status, w.left(w.boss.ID))
		}
		second := w.create(w.acme, person("second@acme.com"))
		w.Write(func(ctx context.Context, tx *db.Tx) error {
			return org.SetRole(ctx, tx, w.acme.OrgID, second.ID, org.Owner, w.Now())
		})
		p.Active = true
		w.must(w.set(w.acme, w.boss.ID, p))
		if w.role(w.acme, w.boss.ID) != org.Owner || w.account(w.boss.ID).Status != identity.Active {
			t.Errorf("back: %s, %s", w.role(w.acme, w.boss.ID), w.account(w.boss.ID).Status)
		}
		p.Active = false
		w.must(w.set(w.acme, w.boss.ID, p))
		if got := w.role(w.acme, w.boss.ID); got != "" {
			t.Errorf("one of two owners: %s", got)
		}
		p.Active = true
		w.must(w.set(w.acme, w.boss.ID, p))
		if got := w.role(w.acme, w.boss.ID); got != org.Admin {
			t.Errorf("one of two owners, back: %s, want admin", got)
		}
	})
}

func TestOneOfManyMakesSomebody(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		errs := make([]error, 8)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { _, errs[i] = w.Provision.CreateUser(t.Context(), w.acme, person("race@acme.com")) })
		}
		wg.Wait()
		made := 0
		for _, err := range errs {
			if err == nil {
				made++
			} else {
				w.refused("the others", err, provision.Taken)
			}
		}
		if made != 1 {
			t.Errorf("made %d times", made)
		}
		u, _, err := w.Provision.Users(t.Context(), w.acme, provision.Query{Exact: directory.Exact{Name: "race@acme.com"}, Start: 1, Count: 1}, nil)
		if err != nil || len(u) != 1 {
			t.Fatal(u, err)
		}
		for i := range errs { // each sees one version: one of them changes it
			p := person("race@acme.com")
			p.ExternalID = fmt.Sprint(i)
			wg.Go(func() { _, errs[i] = w.Provision.ReplaceUser(t.Context(), w.acme, u[0].ID, u[0].Version, p) })
		}
		wg.Wait()
		changed := 0
		for _, err := range errs {
			if err == nil {
				changed++
			} else {
				w.refused("the others", err, provision.Changed)
			}
		}
		if changed != 1 {
			t.Errorf("changed %d times", changed)
		}
	})
}

func TestBounds(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		ctx := t.Context()
		raw := ""
		w.Write(func(ctx context.Context, tx *db.Tx) (err error) {
			raw, _, err = directory.MakeToken(ctx, tx, w.acme.OrgID, w.Now())
			return err
		})
		who, err := w.Provision.Open(ctx, provision.Visit{Token: raw, Agent: "Okta"})
		if err != nil || who.OrgID != w.acme.OrgID {
			t.Fatal(who, err)
		}
		w.Write(func(ctx context.Context, tx *db.Tx) error {
			for range 2999 {
				if wait, _, err := limit.Take(ctx, tx, w.Now(), limit.Rule{Name: "directory", Key: string(w.acme.OrgID), N: 3000, Per: time.Minute}); err != nil || wait > 0 {
					return fmt.Errorf("wait %v: %w", wait, err)
				}
			}
			return nil
		})
		if _, err := w.Provision.Open(ctx, provision.Visit{Token: raw}); !fault.Is(err, fault.RateLimited) {
			t.Errorf("the 3001st: %v", err)
		}
		// More people than a filter is asked of: only by what has an index.
		w.Write(func(ctx context.Context, tx *db.Tx) error {
			const many = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= 10000) `
			for _, q := range []string{
				`INSERT INTO users (id, display_name, given_name, family_name, status, password_hash, created_at, updated_at) ` + many + `SELECT 'u' || i, '', '', '', 'active', '', 0, 0 FROM n`,
				`INSERT INTO directory_users (org_id, user_id, name, name_key, external_id, active, disabled, gone, role, attributes, version, created_at, updated_at) ` + many +
					`SELECT d.org_id, 'u' || i, 'n' || i, 'n' || i, '', TRUE, FALSE, FALSE, 'member', '', 1, 0, 0 FROM n, directories d WHERE d.org_id = $1`,
			} {
				args := []any{}
				if q[:30] != `INSERT INTO users (id, display` {
					args = append(args, w.acme.OrgID)
				}
				if _, err := tx.Exec(ctx, q, args...); err != nil {
					return err
				}
			}
			return nil
		})
		keep := func(directory.User) bool { return true }
		_, _, err = w.Provision.Users(ctx, w.acme, provision.Query{Start: 1, Count: 1}, keep)
		w.refused("a scan", err, provision.TooMany)
		found, n, err := w.Provision.Users(ctx, w.acme, provision.Query{Exact: directory.Exact{Name: "N77"}, Start: 1, Count: 1}, keep)
		if err != nil || n != 1 || found[0].Name != "n77" {
			t.Errorf("by name: %v %d %v", found, n, err)
		}
	})
}
