package admin_test

import (
	"context"
	"fmt"
	"testing"

	"sallyport/internal/admin"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
)

// A full page is more than one statement looks up at once.
func TestFullPagesOfUsers(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		const n = 230
		depot := o.apps["depot"].ID
		o.Write(func(ctx context.Context, tx *db.Tx) error {
			for i := range n {
				u := identity.User{ID: identity.NewUserID(), Email: fmt.Sprintf("u%03d@many.example", i), Status: identity.Active, CreatedAt: o.Now()}
				if err := identity.Create(ctx, tx, u); err != nil {
					return err
				}
				e := client.Enrolment{UserID: u.ID, ClientID: depot, Status: client.Active, Roles: []string{"user"}, CreatedAt: o.Now()}
				if _, err := client.Enrol(ctx, tx, e); err != nil {
					return err
				}
			}
			return nil
		})
		for name, in := range map[string]admin.UsersIn{
			"everybody": {Search: "@many.example"}, "of the app": {ClientID: depot, Status: client.Active},
		} {
			seen := map[string]bool{}
			for number, size := range map[int]int{1: 200, 2: 30} {
				in.Page = admin.Page{Number: number, Size: 200}
				got, total, err := o.Admin.Users(t.Context(), o.callers["root"], in)
				if err != nil || total != n || len(got) != size {
					t.Fatalf("%s, page %d: %d of %d, %v; want %d of %d", name, number, len(got), total, err, size, n)
				}
				for _, p := range got {
					if len(p.Enrolments) != 1 || p.Enrolments[0].ClientID != depot || p.Platform {
						t.Errorf("%s: %+v", name, p)
					}
					seen[p.Email] = true
				}
			}
			if len(seen) != n {
				t.Errorf("%s: %d users seen, want %d", name, len(seen), n)
			}
		}
	})
}

func TestUsersThatAreRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		for name, c := range map[string]struct {
			who  string
			in   admin.UserIn
			want fault.Code
		}{
			"no address":             {"root", admin.UserIn{Email: "x"}, fault.EmailInvalid},
			"name of two lines":      {"root", admin.UserIn{Email: "x@example.com", DisplayName: "a\nb"}, fault.FieldInvalid},
			"somebody's address":     {"root", admin.UserIn{Email: " AMY@example.com"}, fault.AccountExists},
			"short password":         {"root", admin.UserIn{Email: "x@example.com", Password: "short"}, fault.PasswordTooShort},
			"the address as one":     {"root", admin.UserIn{Email: "exemplary@example.com", Password: "exemplary"}, fault.PasswordCommon},
			"a service's promotion":  {"service-board", admin.UserIn{Email: "x@example.com", Platform: true}, fault.Forbidden},
			"a tenant's":             {"tess", admin.UserIn{Email: "x@example.com"}, fault.Forbidden},
			"whether it exists":      {"uma", admin.UserIn{Email: "amy@example.com"}, fault.Forbidden},
			"a service's: it exists": {"service-board", admin.UserIn{Email: "amy@example.com"}, fault.AccountExists},
		} {
			_, err := o.Admin.CreateUser(t.Context(), o.callers[c.who], c.in)
			if got := code(t, err); got != c.want {
				t.Errorf("%s: %q, want %q", name, got, c.want)
			}
		}
	})
}
