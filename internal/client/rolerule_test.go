package client_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
)

// Contract hackillinois §9 W10, W12.
func TestRuleGives(t *testing.T) {
	staff := client.RoleRule{Role: "Staff", Domain: "hackillinois.org"}
	admin := client.RoleRule{Role: "Admin", Emails: []string{"systems@hackillinois.org"}, Upstreams: []string{"github", "google"}}
	hosted := client.RoleRule{Role: "Staff", Domain: "hackillinois.org", Hosted: "hackillinois.org"}
	for _, c := range []struct {
		rule  client.RoleRule
		said  client.Assertion
		gives bool
	}{
		{staff, client.Assertion{Email: "jane@hackillinois.org"}, true},
		{staff, client.Assertion{Email: "Jane@HackIllinois.ORG"}, true},
		{staff, client.Assertion{Email: "jane@mail.hackillinois.org"}, false},
		{staff, client.Assertion{Email: "jane@nothackillinois.org"}, false},
		{staff, client.Assertion{Email: `"@hackillinois.org@"@evil.example`}, false},
		{staff, client.Assertion{Email: `"x@evil.example"@hackillinois.org`}, false},
		{staff, client.Assertion{Email: "x@evil.example@hackillinois.org"}, false},
		{staff, client.Assertion{Email: `x\@evil.example@hackillinois.org`}, false},
		{staff, client.Assertion{Email: "hackillinois.org"}, false},
		{staff, client.Assertion{Email: "@hackillinois.org"}, false},
		{staff, client.Assertion{}, false},
		{admin, client.Assertion{Email: "SYSTEMS@hackillinois.org", Kind: "google", Upstream: "g"}, true},
		{admin, client.Assertion{Email: "systems@hackillinois.org", Kind: "oidc", Upstream: "github"}, true},
		{admin, client.Assertion{Email: "systems@hackillinois.org", Kind: "linkedin", Upstream: "linkedin"}, false},
		{admin, client.Assertion{Email: "other@hackillinois.org", Kind: "google"}, false},
		{hosted, client.Assertion{Email: "jane@hackillinois.org", Organization: "hackillinois.org"}, true},
		{hosted, client.Assertion{Email: "jane@hackillinois.org"}, false},
		{client.RoleRule{Role: "Staff"}, client.Assertion{Email: "jane@hackillinois.org"}, false},
		{client.RoleRule{Domain: "hackillinois.org"}, client.Assertion{Email: "jane@hackillinois.org"}, false},
	} {
		if got := c.rule.Gives(c.said); got != c.gives {
			t.Errorf("%+v of %+v: %t", c.rule, c.said, got)
		}
	}
}

// place makes a user with roles in a client.
func place(t *testing.T, d *db.DB, email string, c client.ID, roles ...string) identity.UserID {
	t.Helper()
	u := identity.User{ID: identity.NewUserID(), Email: email, Status: identity.Active, CreatedAt: now}
	write(t, d, func(ctx context.Context, tx *db.Tx) error {
		if err := identity.Create(ctx, tx, u); err != nil {
			return err
		}
		_, err := client.Enrol(ctx, tx, client.Enrolment{UserID: u.ID, ClientID: c, Status: client.Active, Roles: roles, CreatedAt: now})
		return err
	})
	return u.ID
}

// application makes a client.
func application(t *testing.T, d *db.DB) client.ID {
	t.Helper()
	c := client.Client{ID: client.NewID(), Name: "Demo", Active: true, CreatedAt: now}
	write(t, d, func(ctx context.Context, tx *db.Tx) error { return client.Create(ctx, tx, c) })
	return c.ID
}

// Contract hackillinois §9 W9: what was removed by hand stays away, what a rule
// gave goes with its reason, and what was given by hand stays.
func TestRulesAndHandsOnRoles(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		app := application(t, d)
		u := place(t, d, "jane@hackillinois.org", app, "User")
		rules := []client.RoleRule{{Role: "Staff", Domain: "hackillinois.org"}, {Role: "Admin", Emails: []string{"jane@hackillinois.org"}}}
		jane, left := client.Assertion{Email: "jane@hackillinois.org"}, client.Assertion{Email: "jane@gmail.com"}
		apply := func(said client.Assertion, keep bool) func(context.Context, *db.Tx) error {
			return func(ctx context.Context, tx *db.Tx) error {
				_, err := client.ApplyRules(ctx, tx, u, app, rules, said, keep, now)
				return err
			}
		}
		add := func(role string) func(context.Context, *db.Tx) error {
			return func(ctx context.Context, tx *db.Tx) error {
				_, _, err := client.AddRole(ctx, tx, u, app, role, now)
				return err
			}
		}
		remove := func(role string) func(context.Context, *db.Tx) error {
			return func(ctx context.Context, tx *db.Tx) error {
				_, _, err := client.RemoveRole(ctx, tx, u, app, role, false, now)
				return err
			}
		}
		set := func(roles ...string) func(context.Context, *db.Tx) error {
			return func(ctx context.Context, tx *db.Tx) error { return client.SetRoles(ctx, tx, u, app, roles, now) }
		}
		put := func(roles ...string) func(context.Context, *db.Tx) error {
			return func(ctx context.Context, tx *db.Tx) error {
				return client.PutEnrolment(ctx, tx, client.Enrolment{UserID: u, ClientID: app, Status: client.Active, Roles: roles}, now)
			}
		}
		for _, step := range []struct {
			what string
			do   func(context.Context, *db.Tx) error
			want string
		}{
			{"first sign-in", apply(jane, false), "User Staff Admin"},
			{"again", apply(jane, false), "User Staff Admin"},
			{"an address that earns nothing, kept", apply(left, true), "User Staff Admin"},
			{"an address that earns nothing", apply(left, false), "User"},
			{"back again", apply(jane, false), "User Staff Admin"},
			{"removed by hand", remove("Staff"), "User Admin"},
			{"and the rule respects it", apply(jane, false), "User Admin"},
			{"given by hand", add("Staff"), "User Admin Staff"},
			{"which no rule takes back", apply(left, false), "User Staff"},
			{"the rule holds for what is there by hand", apply(jane, false), "User Staff Admin"},
			{"removed by hand, given by hand before", remove("Staff"), "User Admin"},
			{"and not given by the rule", apply(jane, false), "User Admin"},
			{"a list without what a rule gave", set("User", "Mentor"), "User Mentor"},
			{"is respected", apply(jane, false), "User Mentor"},
			{"a list with it", set("Admin"), "Admin"},
			{"stands", apply(left, false), "Admin"},
			{"the file takes it away", put("User"), "User"},
			{"and is respected", apply(jane, false), "User"},
			{"the last one removed", remove("User"), ""},
			{"nothing comes of itself", apply(jane, false), ""},
		} {
			write(t, d, step.do)
			var e client.Enrolment
			write(t, d, func(ctx context.Context, tx *db.Tx) (err error) {
				e, err = client.EnrolmentOf(ctx, tx, u, app)
				return err
			})
			if got := strings.Join(e.Roles, " "); got != step.want {
				t.Fatalf("%s: %q, want %q", step.what, got, step.want)
			}
		}
		err := d.Write(t.Context(), remove("User"))
		if !errors.Is(err, client.ErrNotHeld) {
			t.Errorf("a role that is not there: %v", err)
		}
		err = d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			_, _, err := client.AddRole(ctx, tx, identity.NewUserID(), app, "User", now)
			return err
		})
		if !errors.Is(err, db.ErrNotFound) {
			t.Errorf("nobody: %v", err)
		}
		// Who comes anew is judged anew.
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			if err := client.Remove(ctx, tx, u, app); err != nil {
				return err
			}
			_, err := client.Enrol(ctx, tx, client.Enrolment{UserID: u, ClientID: app, Status: client.Active, CreatedAt: now})
			return err
		})
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			change, err := client.ApplyRules(ctx, tx, u, app, rules, jane, false, now)
			if strings.Join(change.Roles, " ") != "Staff Admin" {
				t.Errorf("roles %v", change.Roles)
			}
			return err
		})
	})
}

// Contract hackillinois §9 W14: no update is lost.
func TestParallelRoleChangesAllHold(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		const n = 50
		app := application(t, d)
		var old []string
		for i := range n {
			old = append(old, fmt.Sprintf("old%02d", i))
		}
		u := place(t, d, "jane@example.com", app, old...)
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				err := d.Write(context.Background(), func(ctx context.Context, tx *db.Tx) error {
					if i%2 == 0 {
						_, _, err := client.AddRole(ctx, tx, u, app, fmt.Sprintf("new%02d", i), now)
						return err
					}
					_, _, err := client.RemoveRole(ctx, tx, u, app, old[i], false, now)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		var roles []string
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			e, err := client.EnrolmentOf(ctx, tx, u, app)
			roles = e.Roles
			return err
		})
		var kept []string
		for i := 0; i < n; i += 2 {
			kept = append(kept, old[i])
		}
		if !slices.Equal(roles[:min(n/2, len(roles))], kept) || len(roles) != n {
			t.Errorf("%d roles: %v", len(roles), roles)
		}
	})
}

// Contract hackillinois §9 W13: two who take the role from each other at once
// leave one of them with it.
func TestLastHolderKeepsTheRole(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		app := application(t, d)
		users := []identity.UserID{place(t, d, "a@example.com", app, "Admin"), place(t, d, "b@example.com", app, "User", "Admin"), place(t, d, "c@example.com", app, "admin")}
		suspended := place(t, d, "d@example.com", app, "Admin")
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			return identity.SetStatus(ctx, tx, suspended, identity.Suspended, now)
		})
		var mu sync.Mutex
		var wg sync.WaitGroup
		results := map[error]int{}
		for i := range 20 {
			wg.Go(func() {
				err := d.Write(context.Background(), func(ctx context.Context, tx *db.Tx) error {
					_, _, err := client.RemoveRole(ctx, tx, users[i%2], app, "Admin", true, now)
					return err
				})
				mu.Lock()
				results[err]++
				mu.Unlock()
			})
		}
		wg.Wait()
		if results[nil] != 1 || results[nil]+results[client.ErrLastHolder]+results[client.ErrNotHeld] != 20 {
			t.Errorf("got %v", results)
		}
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			left, err := client.UsersWithRole(ctx, tx, app, "Admin")
			if len(left) != 2 {
				t.Errorf("%d have it, want one and the suspended one", len(left))
			}
			return err
		})
	})
}

func TestUsersWithRoleOldestFirst(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		app, other := application(t, d), application(t, d)
		first := place(t, d, "z@example.com", app, "User", `odd "%_!\ <role>`)
		place(t, d, "y@example.com", app, "user", "Users")
		place(t, d, "x@example.com", other, "User")
		second := place(t, d, "a@example.com", app, "User")
		for role, want := range map[string][]identity.UserID{"User": {first, second}, `odd "%_!\ <role>`: {first}, "": {}, "%": {}, "Use": {}, "USER": {}} {
			write(t, d, func(ctx context.Context, tx *db.Tx) error {
				got, err := client.UsersWithRole(ctx, tx, app, role)
				if !slices.Equal(got, want) || got == nil {
					t.Errorf("%q: %v, want %v", role, got, want)
				}
				return err
			})
		}
	})
}
