package admin_test

import (
	"context"
	"testing"

	"sallyport/internal/admin"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/org"
)

func TestUserOfAServiceGetsAnAccountWherePeopleHaveThem(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		o.Write(func(ctx context.Context, tx *db.Tx) error {
			cl, err := client.ByID(ctx, tx, o.apps["board"].ID)
			if err != nil {
				return err
			}
			cl.Policy.Accounts = true
			return client.Update(ctx, tx, cl, o.Now())
		})
		for service, want := range map[string]int{"service-board": 1, "service-shop": 0} {
			made, err := o.Admin.CreateUser(t.Context(), o.callers[service], admin.UserIn{Email: service + "@example.com"})
			if err != nil {
				t.Fatal(err)
			}
			o.Write(func(ctx context.Context, tx *db.Tx) error {
				all, err := org.Seats(ctx, tx, made.ID)
				if len(all) != want {
					t.Errorf("%s: %d accounts, want %d", service, len(all), want)
				}
				return err
			})
		}
	})
}
