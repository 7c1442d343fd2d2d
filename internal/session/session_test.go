package session_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/session"
)

var now = time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC)

func TestSessionLivesUntilItEndsOrExpires(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		u := identity.User{ID: identity.NewUserID(), Email: "jane@example.com", Status: identity.Active, CreatedAt: now}
		in := session.Session{
			UserID: u.ID, AMR: []string{"pwd", "otp"}, IP: "192.0.2.1", UserAgent: "Browser/1.0",
			AuthenticatedAt: now, CreatedAt: now, ExpiresAt: now.Add(time.Hour),
		}
		var first, second session.Session
		var cookie string
		err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
			if err := identity.Create(ctx, tx, u); err != nil {
				return err
			}
			if first, cookie, err = session.Start(ctx, tx, in); err != nil {
				return err
			}
			second, _, err = session.Start(ctx, tx, in)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(cookie) != 64 || strings.Trim(cookie, "0123456789abcdef") != "" || first.ID == second.ID {
			t.Errorf("cookie %q, ids %s %s", cookie, first.ID, second.ID)
		}

		err = d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			got, err := session.ByToken(ctx, tx, cookie, now.Add(time.Hour-time.Microsecond))
			if err != nil || got.ID != first.ID || !got.Has("otp") || got.Has("magic") || !got.ExpiresAt.Equal(in.ExpiresAt) {
				t.Errorf("live session: %+v, %v", got, err)
			}
			if _, err := session.ByToken(ctx, tx, cookie, now.Add(time.Hour)); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("expired session: %v", err)
			}
			if ended, err := session.End(ctx, tx, identity.NewUserID(), first.ID); ended || err != nil {
				t.Errorf("somebody else ended it: %v, %v", ended, err)
			}
			if n, err := session.EndAll(ctx, tx, u.ID, first.ID); n != 1 || err != nil {
				t.Errorf("ended %d others, %v", n, err)
			}
			if got, err := session.EndByToken(ctx, tx, cookie); err != nil || got.ID != first.ID {
				t.Errorf("end by cookie: %+v, %v", got, err)
			}
			if _, err := session.EndByToken(ctx, tx, cookie); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("ended twice: %v", err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestSweepTakesTheExpiredOnly(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		u := identity.User{ID: identity.NewUserID(), Email: "jane@example.com", Status: identity.Active, CreatedAt: now}
		err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			if err := identity.Create(ctx, tx, u); err != nil {
				return err
			}
			for _, life := range []time.Duration{time.Minute, time.Hour, 2 * time.Hour} {
				if _, _, err := session.Start(ctx, tx, session.Session{UserID: u.ID, ExpiresAt: now.Add(life)}); err != nil {
					return err
				}
			}
			for _, want := range []int64{1, 1, 0} {
				if n, err := session.Sweep(ctx, tx, now.Add(time.Hour), 1); n != want || err != nil {
					t.Errorf("swept %d, %v, want %d", n, err, want)
				}
			}
			left, err := session.ByUser(ctx, tx, u.ID, now)
			if len(left) != 1 {
				t.Errorf("%d are left", len(left))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
