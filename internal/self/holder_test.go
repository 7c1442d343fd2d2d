package self_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/rig"
	"sallyport/internal/self"
	"sallyport/internal/session"
)

func TestHolderIsWhoMayStillUseAToken(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app, off := r.Client("App", nil), r.Client("Off", func(c *client.Client) { c.Active = false })
		jane, tom := r.User("jane@example.com", "Jane", "", app, off), r.User("tom@example.com", "Tom", "", app)
		start := func(u identity.User, partial bool) (s session.Session) {
			r.Write(func(ctx context.Context, tx *db.Tx) (err error) {
				s, _, err = session.Start(ctx, tx, session.Session{UserID: u.ID, Partial: partial, AuthenticatedAt: r.Now(), CreatedAt: r.Now(), ExpiresAt: r.Now().Add(time.Hour)})
				return err
			})
			return s
		}
		r.Write(func(ctx context.Context, tx *db.Tx) error {
			for _, c := range []client.Client{app, off} {
				if err := identity.SetAlias(ctx, tx, string(c.ID), "github1", jane.ID); err != nil {
					return err
				}
			}
			return identity.SetAlias(ctx, tx, string(app.ID), "github2", tom.ID)
		})
		live, partial, toms := start(jane, false), start(jane, true), start(tom, false)
		good := self.HolderIn{ClientID: app.ID, Alias: "github1", Session: live.ID}
		held := func(about string, in self.HolderIn, want bool) {
			t.Helper()
			h, err := r.Self.Holder(t.Context(), in)
			if want && (err != nil || h.UserID != jane.ID || !slices.Equal(h.Roles, []string{"user"})) || !want && !fault.Is(err, fault.Unauthenticated) {
				t.Errorf("%s: %+v, %v", about, h, err)
			}
		}
		held("her session", good, true)
		held("no session named", self.HolderIn{ClientID: app.ID, Alias: "github1"}, true)
		held("a partial one", self.HolderIn{ClientID: app.ID, Alias: "github1", Session: partial.ID}, false)
		held("another's", self.HolderIn{ClientID: app.ID, Alias: "github1", Session: toms.ID}, false)
		held("another's alias", self.HolderIn{ClientID: app.ID, Alias: "github2", Session: live.ID}, false)
		held("an unknown alias", self.HolderIn{ClientID: app.ID, Alias: "github3"}, false)
		held("a client that is switched off", self.HolderIn{ClientID: off.ID, Alias: "github1", Session: live.ID}, false)
		r.Enrol(jane, app, client.Suspended, "user")
		held("a suspended place", good, false)
		r.Enrol(jane, app, client.Active, "user")
		held("given back", good, true)
		for _, status := range []identity.Status{identity.Suspended, identity.Disabled} {
			r.Write(func(ctx context.Context, tx *db.Tx) error {
				return identity.SetStatus(ctx, tx, jane.ID, status, r.Now())
			})
			held(string(status), good, false)
		}
		r.Write(func(ctx context.Context, tx *db.Tx) error {
			return identity.SetStatus(ctx, tx, jane.ID, identity.Active, r.Now())
		})
		r.Advance(time.Hour)
		held("an expired session", good, false)
	})
}
