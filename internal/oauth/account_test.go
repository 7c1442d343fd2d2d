package oauth_test

import (
	"context"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/org"
)

// Somebody who comes by the provider gets an account as by a sign-up, and a place
// where an allowed domain gives one.
func TestFirstPlaceByTheProviderGivesAnAccount(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newGate(t, d)
		cookie := w.signIn(w.jane)
		app := func(name, domain string) client.Client {
			return w.Client(name, func(c *client.Client) {
				c.Policy.RedirectURIs, c.Policy.Accounts = []string{"https://rooms.example/cb"}, true
				c.Policy.Registration, c.Policy.AllowedDomains = client.Invite, []string{domain}
			})
		}
		seats := func() (n int) {
			w.Write(func(ctx context.Context, tx *db.Tx) error {
				all, err := org.Seats(ctx, tx, w.jane.ID)
				n = len(all)
				return err
			})
			return n
		}
		w.wantNext("another domain", w.decide(wanting(app("Closed", "other.example")), cookie), nil, "access_denied")
		if n := seats(); n != 0 {
			t.Errorf("without a place: %d accounts", n)
		}
		for _, name := range []string{"Rooms", "Halls"} {
			w.wantNext(name, w.decide(wanting(app(name, "example.com")), cookie), nil, "code")
			if n := seats(); n != 1 {
				t.Errorf("%s: %d accounts, want one of her own", name, n)
			}
		}
	})
}
