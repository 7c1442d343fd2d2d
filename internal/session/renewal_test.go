package session_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/session"
)

// held makes a user with one session of an hour.
func held(t *testing.T, d *db.DB) session.Session {
	t.Helper()
	u := identity.User{ID: identity.NewUserID(), Email: "jane@example.com", Status: identity.Active, CreatedAt: now}
	var s session.Session
	err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
		if err = identity.Create(ctx, tx, u); err == nil {
			s, _, err = session.Start(ctx, tx, session.Session{UserID: u.ID, AuthenticatedAt: now, CreatedAt: now, ExpiresAt: now.Add(time.Hour)})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOneOfManyRotates(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := held(t, d)
		var all sync.WaitGroup
		var mu sync.Mutex
		winner := ""
		for i := range 20 {
			all.Go(func() {
				next, ok := fmt.Sprint("second", i), false
				err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
					ok, err = session.Rotate(ctx, tx, s.UserID, s.ID, "first", next, now.Add(2*time.Hour), now)
					return err
				})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err != nil:
					t.Error(err)
				case ok && winner != "":
					t.Errorf("%s and %s rotated", winner, next)
				case ok:
					winner = next
				}
			})
		}
		all.Wait()
		err := d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			got, err := session.ByID(ctx, tx, s.ID, now)
			if got.Renewal != winner || !got.ExpiresAt.Equal(now.Add(2*time.Hour)) || !got.Renews(winner) || got.Renews("first") {
				t.Errorf("got %+v, want the renewal %s", got, winner)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestClosedSessionsAreNotListedAndRenewNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := held(t, d)
		err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			for i, want := range []bool{true, false} { // twice is once
				if closed, err := session.Close(ctx, tx, s.UserID, s.ID, now.Add(5*time.Minute), now); closed != want || err != nil {
					t.Errorf("closed %d: %v, %v", i, closed, err)
				}
			}
			if rotated, err := session.Rotate(ctx, tx, s.UserID, s.ID, "first", "second", now.Add(time.Hour), now); rotated || err != nil {
				t.Errorf("rotated: %v, %v", rotated, err)
			}
			if listed, err := session.ByUser(ctx, tx, s.UserID, now); len(listed) != 0 || err != nil {
				t.Errorf("listed: %v, %v", listed, err)
			}
			got, err := session.ByID(ctx, tx, s.ID, now)
			if got.Renewal != session.Closed || !got.ExpiresAt.Equal(now.Add(5*time.Minute)) {
				t.Errorf("got %+v", got)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
