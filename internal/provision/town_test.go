package provision_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"sallyport/internal/apikey"
	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/directory"
	"sallyport/internal/grant"
	"sallyport/internal/identity"
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
// acme, for each of the two a refresh token in it, one without it, and a grant that
// outlives it; a mailed link; and keys, one of them pinned to acme.
func (w *town) settle(id identity.UserID) {
	w.Helper()
	w.Write(func(ctx context.Context, tx *db.Tx) error {
		for _, key := range []string{"", sso.Key(w.acme.OrgID)} {
			s, _, err := session.Start(ctx, tx, session.Session{UserID: id, AMR: []string{"pwd"}, Upstream: key, AuthenticatedAt: w.Now(), CreatedAt: w.Now(), ExpiresAt: w.Now().Add(time.Hour)})
			if err != nil {
				return err
			}
			for _, in := range []session.ID{s.ID, ""} {
				f := token.Family{UserID: id, ClientID: w.shop.ID, SessionID: in, Upstream: key, ExpiresAt: w.Now().Add(time.Hour)}
				if _, err := token.Issue(ctx, tx, w.Key, f, w.Now()); err != nil {
					return err
				}
			}
			if err := grant.Create(ctx, tx, grant.Grant{
				ID: grant.NewID(), UserID: id, ClientID: w.shop.ID, SessionID: s.ID, Scope: []string{"openid", "offline_access"}, AuthenticatedAt: w.Now(), CreatedAt: w.Now(), ExpiresAt: w.Now().Add(time.Hour),
			}, nil); err != nil {
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

// left are how many sessions, refresh-token families, grants, one-time secrets and keys
// somebody has.
func (w *town) left(id identity.UserID) string {
	w.Helper()
	out := ""
	w.Write(func(ctx context.Context, tx *db.Tx) error {
		out = ""
		for _, table := range []string{"sessions", "refresh_families", "grants", "onetime_secrets", "api_keys"} {
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
