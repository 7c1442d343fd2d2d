package signin_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/rig"
	"sallyport/internal/signin"
)

// TestUsersAreNumberedOnce: of any number of callers, for any number of users,
// each user gets one number and no number two users; those that were imported are
// left alone.
func TestUsersAreNumberedOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("App", nil)
		imported := r.User("imported@example.com", "Imported", "", app)
		r.Write(func(ctx context.Context, tx *db.Tx) error {
			return identity.SetAlias(ctx, tx, string(app.ID), "2", imported.ID)
		})
		users := []identity.User{imported}
		for _, name := range []string{"a", "b", "c"} {
			users = append(users, r.User(name+"@example.com", name, "", app))
		}
		var mu sync.Mutex
		var all sync.WaitGroup
		got := map[identity.UserID]int64{}
		for i := range 40 {
			u := users[i%len(users)].ID
			all.Go(func() {
				n, err := r.SignIn.Number(t.Context(), app.ID, u)
				mu.Lock()
				defer mu.Unlock()
				if was, there := got[u]; err != nil || there && was != n {
					t.Errorf("%s: %d and %d, %v", u, was, n, err)
				}
				got[u] = n
			})
		}
		all.Wait()
		seen := map[int64]bool{}
		for u, n := range got {
			if seen[n] || n < 1 {
				t.Errorf("%s: %d is taken", u, n)
			}
			seen[n] = true
		}
		if got[imported.ID] != 2 {
			t.Errorf("the imported user: %d, want 2", got[imported.ID])
		}
	})
}

// TestHeldSessions: what a surface's own tokens name, and what ends it.
func TestHeldSessions(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("App", nil)
		jane := r.User("jane@example.com", "Jane Doe", "their_password", app)
		out, err := r.SignIn.Password(t.Context(), signin.PasswordIn{ClientID: app.ID, Email: "jane@example.com", Password: "their_password", SessionFor: time.Hour})
		if err != nil || out.SignedIn == nil || out.SignedIn.SessionID == "" || out.SignedIn.Session != "" || out.SignedIn.Refresh != "" {
			t.Fatalf("got %+v, %v, want a session and nothing else", out.SignedIn, err)
		}
		if _, err := r.SignIn.Number(t.Context(), app.ID, jane.ID); err != nil {
			t.Fatal(err)
		}
		in := signin.HeldIn{ClientID: app.ID, Alias: "1", Session: out.SignedIn.SessionID}
		refresh := func(token, next string) error {
			return r.SignIn.RefreshHeld(t.Context(), signin.RefreshHeldIn{HeldIn: in, Token: token, Next: next, For: time.Hour})
		}
		if _, err := r.SignIn.Held(t.Context(), signin.HeldIn{ClientID: app.ID, Alias: "7"}); !fault.Is(err, fault.UserUnknown) {
			t.Errorf("an alias of nobody: %v", err)
		}
		for i, step := range []struct {
			token, next string
			want        fault.Code
		}{
			{"a", "", ""}, {"a", "", ""}, // as often as one likes
			{"a", "b", ""}, {"b", "", ""}, {"b", "c", ""},
			{"b", "d", fault.RefreshReused},
			{"c", "", fault.RefreshInvalid}, // the replay ended the session
		} {
			if err := refresh(step.token, step.next); step.want == "" && err != nil || step.want != "" && !fault.Is(err, step.want) {
				t.Errorf("step %d, %+v: %v", i, step, err)
			}
		}
		r.Enrol(jane, app, client.Suspended, "user")
		in.Session = ""
		if err := refresh("a", ""); !fault.Is(err, fault.EnrolmentSuspended) {
			t.Errorf("somebody suspended, by a token without a session: %v", err)
		}
		r.Enrol(jane, app, client.Active, "user")
		if err := refresh("a", ""); err != nil {
			t.Errorf("a token without a session: %v", err)
		}
		if err := refresh("a", "b"); !fault.Is(err, fault.RefreshInvalid) {
			t.Errorf("a token without a session, to be replaced: %v", err)
		}
	})
}
