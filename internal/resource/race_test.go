package resource

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
)

func TestConcurrentAppliesAgree(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		f := s.parse(everything)
		var wg sync.WaitGroup
		created := make([]int, 8)
		for i := range created {
			wg.Go(func() {
				r, err := s.Apply(t.Context(), f, Options{BaseURL: "https://auth.example.com"})
				if err != nil {
					t.Errorf("apply: %v", err)
				}
				created[i] = len(made(r.Changes))
			})
		}
		wg.Wait()
		total := 0
		for _, n := range created {
			total += n
		}
		if total != 27 {
			t.Errorf("changes of all applies: got %v, want those of one", created)
		}
		s.wantPeople()
		wantNothing(t, "a plan afterwards", s.plan(everything, true))
		if got := s.count("jobs"); got != 2 {
			t.Errorf("mails: got %d, want 2", got)
		}
	})
}

// TestConcurrentAppliesOfTwoFiles races files that want different things: each
// file is stored whole, one after the other.
func TestConcurrentAppliesOfTwoFiles(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		files := []string{
			"clients: [{key: a, name: One}]\nusers: [{email: jane@example.com, display_name: One, enrolments: [{client: a, roles: [user]}]}]\n",
			"clients: [{key: a, name: Two}]\nusers: [{email: jane@example.com, display_name: Two, enrolments: [{client: a, roles: [admin]}]}]\n",
		}
		for range 10 {
			var wg sync.WaitGroup
			for _, text := range files {
				f := s.parse(text)
				wg.Go(func() {
					if _, err := s.Apply(t.Context(), f, Options{}); err != nil {
						t.Errorf("apply: %v", err)
					}
				})
			}
			wg.Wait()
			name, role := s.client("a").Name, enrolmentText(s.enrolment("jane@example.com", "a"))
			if u := s.user("jane@example.com"); u.DisplayName != name || role != map[string]string{"One": "active [user]", "Two": "active [admin]"}[name] {
				t.Fatalf("got client %s, user %s, enrolment %s: a mixture", name, u.DisplayName, role)
			}
		}
	})
}

// TestApplyMeetsASignUp races an apply with people who sign up with the
// addresses of the file: there is one user for each, and the file's word holds.
func TestApplyMeetsASignUp(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		for round := range 10 {
			email := fmt.Sprintf("jane%d@example.com", round)
			f := s.parse("clients: [{key: a, name: A}]\nusers: [{email: " + email + ", display_name: Of the File, password: env:JANE_PASSWORD, enrolments: [{client: a}]}]\n")
			var wg sync.WaitGroup
			wg.Go(func() {
				if _, err := s.Apply(t.Context(), f, Options{}); err != nil {
					t.Errorf("apply: %v", err)
				}
			})
			for range 4 {
				wg.Go(func() {
					err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
						return identity.Create(ctx, tx, identity.User{ID: identity.NewUserID(), Email: email, DisplayName: "Own", Status: identity.Active, CreatedAt: s.Now()})
					})
					if err != nil && !errors.Is(err, identity.ErrEmailTaken) {
						t.Errorf("sign-up: %v", err)
					}
				})
			}
			wg.Wait()
			if u := s.user(email); u.DisplayName != "Of the File" || !s.passwordIs(email, environment["JANE_PASSWORD"]) || enrolmentText(s.enrolment(email, "a")) != "active [user]" {
				t.Fatalf("round %d: got %+v", round, u)
			}
		}
		if got := s.count("users"); got != 10 {
			t.Errorf("users: got %d, want 10", got)
		}
	})
}
