package identity_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
)

func TestUserIsFoundByLink(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		u := user("") // an upstream account may come without an address
		link := identity.Link{Issuer: "https://idp.example", Subject: "1", UserID: u.ID, Upstream: "corp", Email: "a@example.com", CreatedAt: now}
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			return errors.Join(identity.Create(ctx, tx, u), identity.AddLink(ctx, tx, link))
		})
		moved := link
		moved.Email, moved.Profile = "b@example.com", identity.LinkProfile{Username: "jane", Name: "Jane", EmailVerified: true}
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			if err := identity.TouchLink(ctx, tx, moved); err != nil {
				return err
			}
			got, l, err := identity.ByLink(ctx, tx, link.Issuer, link.Subject)
			if got.ID != u.ID || got.Email != "" || got.EmailVerified || l != moved {
				t.Errorf("got %+v, %+v", got, l)
			}
			return err
		})
		for what, pair := range map[string][2]string{"another issuer": {"https://other.example", "1"}, "another subject": {link.Issuer, "2"}} {
			err := d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				_, _, err := identity.ByLink(ctx, tx, pair[0], pair[1])
				return err
			})
			if !errors.Is(err, db.ErrNotFound) {
				t.Errorf("%s: %v", what, err)
			}
		}
		stranger := moved
		stranger.UserID = identity.NewUserID()
		if err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error { return identity.TouchLink(ctx, tx, stranger) }); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("a link that is not theirs: %v", err)
		}
	})
}

func TestUnlinkAllKeepsOne(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		u, other := user("jane@example.com"), user("tom@example.com")
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			err := errors.Join(identity.Create(ctx, tx, u), identity.Create(ctx, tx, other))
			for i, of := range []identity.User{u, u, u, other} {
				err = errors.Join(err, identity.AddLink(ctx, tx, identity.Link{Issuer: "https://idp.example", Subject: strconv.Itoa(i), UserID: of.ID, Upstream: "corp", CreatedAt: now}))
			}
			return err
		})
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			gone, err := identity.UnlinkAll(ctx, tx, u.ID, "https://idp.example", "1")
			left, errLeft := identity.Links(ctx, tx, u.ID)
			others, errOthers := identity.Links(ctx, tx, other.ID)
			if len(gone) != 2 || len(left) != 1 || left[0].Subject != "1" || len(others) != 1 {
				t.Errorf("gone %v, left %v, of others %v", gone, left, others)
			}
			return errors.Join(err, errLeft, errOthers)
		})
	})
}

func TestOwnerTellsOfThatAddress(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		u := user("jane@example.com")
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			if err := identity.Create(ctx, tx, u); err != nil {
				return err
			}
			if _, err := identity.VerifyEmail(ctx, tx, u.ID, u.Email, now); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `INSERT INTO emails (address, user_id, is_primary, created_at) VALUES ('second@example.com', $1, $2, 0)`, u.ID, false)
			return err
		})
		for address, want := range map[string]bool{"jane@example.com": true, "second@example.com": false} {
			write(t, d, func(ctx context.Context, tx *db.Tx) error {
				got, verified, err := identity.Owner(ctx, tx, address)
				if got.ID != u.ID || got.Email != u.Email || !got.EmailVerified || verified != want {
					t.Errorf("%s: %+v, verified %t", address, got, verified)
				}
				return err
			})
		}
	})
}

// clients makes applications for users to have aliases in.
func clients(t *testing.T, d *db.DB, n int) (all []string) {
	t.Helper()
	for range n {
		c := client.Client{ID: client.NewID(), Name: "Demo", Active: true, CreatedAt: now}
		write(t, d, func(ctx context.Context, tx *db.Tx) error { return client.Create(ctx, tx, c) })
		all = append(all, string(c.ID))
	}
	return all
}

func TestAliasIsOneUsersInOneClient(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		u, other, apps := user("jane@example.com"), user("tom@example.com"), clients(t, d, 2)
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			return errors.Join(identity.Create(ctx, tx, u), identity.Create(ctx, tx, other),
				identity.SetAlias(ctx, tx, apps[0], "github1", u.ID), identity.SetAlias(ctx, tx, apps[0], "github1", u.ID),
				identity.SetAlias(ctx, tx, apps[1], "github1", other.ID))
		})
		for what, c := range map[string]struct {
			alias string
			of    identity.UserID
		}{"somebody else's": {"github1", other.ID}, "a second one": {"github2", u.ID}} {
			err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error { return identity.SetAlias(ctx, tx, apps[0], c.alias, c.of) })
			if !errors.Is(err, identity.ErrAliasTaken) {
				t.Errorf("%s: %v", what, err)
			}
		}
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			got, err := identity.ByAlias(ctx, tx, apps[0], "github1")
			alias, errAlias := identity.Alias(ctx, tx, apps[1], other.ID)
			if got.ID != u.ID || got.Email != u.Email || alias != "github1" {
				t.Errorf("got %+v and %q", got, alias)
			}
			return errors.Join(err, errAlias)
		})
		err := d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			_, err := identity.ByAlias(ctx, tx, apps[1], "github2")
			return err
		})
		if !errors.Is(err, db.ErrNotFound) {
			t.Errorf("nobody's: %v", err)
		}
	})
}

func TestParallelNumbersAreAllDifferent(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		const n = 100
		apps := clients(t, d, 2)
		var mu sync.Mutex
		var wg sync.WaitGroup
		seen := map[int64]int{}
		for range n {
			wg.Go(func() {
				var got int64
				err := d.Write(context.Background(), func(ctx context.Context, tx *db.Tx) (err error) {
					got, err = identity.NextAlias(ctx, tx, apps[0])
					return err
				})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				seen[got]++
				mu.Unlock()
			})
		}
		wg.Wait()
		for i := int64(1); i <= n; i++ {
			if seen[i] != 1 {
				t.Errorf("%d was given out %d times", i, seen[i])
			}
		}
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			first, err := identity.NextAlias(ctx, tx, apps[1])
			if first != 1 {
				t.Errorf("another client begins with %d", first)
			}
			return err
		})
	})
}
