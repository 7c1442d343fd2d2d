package server

import (
	"context"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/jwks"
)

// TestClientsWithAccountsGetKeysOfTheirOwn shows that nobody has to make them, that
// none signs before it was published, and that they are followed by others in time.
func TestClientsWithAccountsGetKeysOfTheirOwn(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		clock := time.Now()
		k := &Keys{DB: d, Key: testKey, Now: func() time.Time { return clock }, Ring: &jwks.Ring{}}
		if err := k.Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		add := func(accounts bool) client.ID {
			c := client.Client{ID: client.NewID(), Name: "App", Active: true, CreatedAt: clock, UpdatedAt: clock}
			c.Policy.Accounts = accounts
			c.Policy = c.Policy.WithDefaults()
			if err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error { return client.Create(ctx, tx, c) }); err != nil {
				t.Fatal(err)
			}
			return c.ID
		}
		with, without := add(true), add(false)
		// after passes some time, has a node tend the keys twice, and returns those
		// of the client, the one that signs first.
		after := func(passed time.Duration) []jwks.Key {
			t.Helper()
			clock = clock.Add(passed)
			for range 2 {
				if err := k.Tend(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := k.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
			if own := k.Ring.KeysOf(without); len(own) != 0 {
				t.Errorf("a client without accounts has the keys %v", own)
			}
			return k.Ring.KeysOf(with)
		}
		signs := func() string {
			t.Helper()
			key, err := k.Ring.Own(jwks.RS256, with)
			if err != nil {
				t.Fatal(err)
			}
			return key.ID
		}
		own := after(0)
		if len(own) != 1 || own[0].State != jwks.Next || !strings.HasPrefix(own[0].ID, "key_") || signs() == own[0].ID {
			t.Fatalf("at first: %v, signing with %s; want one that is published", own, signs())
		}
		first := own[0].ID
		if own = after(time.Hour); len(own) != 1 || signs() == first {
			t.Errorf("after an hour: %v; want it published still", own)
		}
		if own = after(10 * time.Minute); len(own) != 1 || signs() != first {
			t.Errorf("published for long enough: %v, signing with %s; want %s", own, signs(), first)
		}
		if own = after(keyAge); len(own) != 2 || signs() != first {
			t.Errorf("after %v: %v, signing with %s; want another one published", keyAge, own, signs())
		}
		if own = after(keyPublish); len(own) != 2 || signs() == first || own[1].State != jwks.Retired {
			t.Errorf("a rotation: %v, signing with %s; want another than %s", own, signs(), first)
		}
		if own = after(keyKeep + time.Second); len(own) != 1 {
			t.Errorf("when the last token has expired: %v; want one key", own)
		}
	})
}
