package session_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/session"
)

func TestRenewLengthensLiveSessionsOfRecentSignIns(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		jane := identity.User{ID: identity.NewUserID(), Email: "jane@example.com", Status: identity.Active, CreatedAt: now}
		tom := identity.User{ID: identity.NewUserID(), Email: "tom@example.com", Status: identity.Active, CreatedAt: now}
		var s, partial session.Session
		err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
			if err := errors.Join(identity.Create(ctx, tx, jane), identity.Create(ctx, tx, tom)); err != nil {
				return err
			}
			in := session.Session{UserID: jane.ID, AMR: []string{session.Federated}, AuthenticatedAt: now, CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
			if s, _, err = session.Start(ctx, tx, in); err != nil {
				return err
			}
			in.Partial = true
			partial, _, err = session.Start(ctx, tx, in)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			about            string
			user             identity.UserID
			id               session.ID
			until, since, at time.Duration // from now
			want             time.Duration // the end; 0: refused
		}{
			{"longer", jane.ID, s.ID, 2 * time.Hour, -time.Hour, 0, 2 * time.Hour},
			{"never shorter", jane.ID, s.ID, time.Minute, -time.Hour, 0, 2 * time.Hour},
			{"somebody else's", tom.ID, s.ID, 3 * time.Hour, -time.Hour, 0, 0},
			{"of a sign-in too long ago", jane.ID, s.ID, 3 * time.Hour, 0, 0, 0},
			{"a partial one", jane.ID, partial.ID, 3 * time.Hour, -time.Hour, 0, 0},
			{"an expired one", jane.ID, s.ID, 3 * time.Hour, -time.Hour, 2 * time.Hour, 0},
			{"one that there is not", jane.ID, "x", 3 * time.Hour, -time.Hour, 0, 0},
			{"at the last moment", jane.ID, s.ID, 3 * time.Hour, -time.Microsecond, 2*time.Hour - time.Microsecond, 3 * time.Hour},
		} {
			var got session.Session
			err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
				got, err = session.Renew(ctx, tx, c.user, c.id, now.Add(c.until), now.Add(c.since), now.Add(c.at))
				return err
			})
			if c.want == 0 {
				if !errors.Is(err, db.ErrNotFound) {
					t.Errorf("%s: %+v, %v", c.about, got, err)
				}
				continue
			}
			if err != nil || !got.ExpiresAt.Equal(now.Add(c.want)) || !got.AuthenticatedAt.Equal(now) || got.ID != c.id {
				t.Errorf("%s: %+v, %v", c.about, got, err)
			}
		}
	})
}
