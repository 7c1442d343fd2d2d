package grant_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/grant"
	"sallyport/internal/identity"
	"sallyport/internal/secret"
	"sallyport/internal/session"
	"sallyport/internal/token"
)

var now = time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC)

// write runs fn in a write transaction and gives back what it returns.
func write[T any](t *testing.T, d *db.DB, fn func(context.Context, *db.Tx) (T, error)) (T, error) {
	t.Helper()
	var out T
	err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
		out, err = fn(ctx, tx)
		return err
	})
	return out, err
}

func must[T any](t *testing.T, d *db.DB, fn func(context.Context, *db.Tx) (T, error)) T {
	t.Helper()
	v, err := write(t, d, fn)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func run(t *testing.T, d *db.DB, fn func(context.Context, *db.Tx) error) {
	t.Helper()
	must(t, d, func(ctx context.Context, tx *db.Tx) (any, error) { return nil, fn(ctx, tx) })
}

// race runs n callers at once and returns how many each outcome had.
func race(n int, call func() string) map[string]int {
	start, out := make(chan struct{}), make([]string, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			out[i] = call()
		})
	}
	close(start)
	wg.Wait()
	count := map[string]int{}
	for _, s := range out {
		count[s]++
	}
	return count
}

// pair makes a user and a client.
func pair(t *testing.T, d *db.DB) (identity.UserID, client.ID) {
	t.Helper()
	u := identity.User{ID: identity.NewUserID(), Email: secret.Hex(8) + "@example.com", Status: identity.Active, CreatedAt: now}
	c := client.Client{ID: client.NewID(), Name: "Shop", Active: true, CreatedAt: now}
	run(t, d, func(ctx context.Context, tx *db.Tx) error {
		if err := identity.Create(ctx, tx, u); err != nil {
			return err
		}
		return client.Create(ctx, tx, c)
	})
	return u.ID, c.ID
}

// create stores a grant with a code that lives a minute, and returns it.
func create(t *testing.T, d *db.DB, u identity.UserID, c client.ID, code string, change func(*grant.Grant)) grant.Grant {
	t.Helper()
	g := grant.Grant{
		ID: grant.NewID(), ClientID: c, UserID: u, Subject: string(u), Scope: []string{"openid"}, Resources: []string{}, AMR: []string{"pwd"}, ACR: "1",
		AuthenticatedAt: now.Add(-time.Hour), CodeExpiresAt: now.Add(time.Minute), CreatedAt: now, ExpiresAt: now.Add(time.Minute),
	}
	if change != nil {
		change(&g)
	}
	var hash []byte
	if code != "" {
		hash = secret.Hash(code)
	}
	run(t, d, func(ctx context.Context, tx *db.Tx) error { return grant.Create(ctx, tx, g, hash) })
	return g
}

func byID(t *testing.T, d *db.DB, id grant.ID) (grant.Grant, error) {
	t.Helper()
	return write(t, d, func(ctx context.Context, tx *db.Tx) (grant.Grant, error) { return grant.ByID(ctx, tx, id) })
}

func TestGrantComesBackAsItWasStored(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		u, c := pair(t, d)
		full := create(t, d, u, c, "code", func(g *grant.Grant) {
			g.SessionID, g.Issuer = "s1", "https://auth.example.com"
			g.Scope, g.Resources = []string{"openid", "offline_access"}, []string{"https://api.example.com"}
			g.Claims, g.Actor = json.RawMessage(`{"userinfo":{"email":null}}`), json.RawMessage(`{"sub":"a"}`)
			g.Binding = grant.Binding{JKT: "j", X5T: "x"}
			g.Code = grant.Code{RedirectURI: "https://app/cb", RedirectURIGiven: true, Challenge: "ch", ChallengeMethod: "S256", Nonce: "n", JKT: "j"}
		})
		bare := create(t, d, u, c, "", func(g *grant.Grant) { g.CodeExpiresAt = time.Time{} })
		for _, want := range []grant.Grant{full, bare} {
			if got, err := byID(t, d, want.ID); err != nil {
				t.Error(err)
			} else if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		}
		got, err := write(t, d, func(ctx context.Context, tx *db.Tx) (grant.Grant, error) {
			return grant.ByCode(ctx, tx, secret.Hash("code"))
		})
		if err != nil || got.ID != full.ID {
			t.Errorf("by code: got %s, %v", got.ID, err)
		}
		_, err = write(t, d, func(ctx context.Context, tx *db.Tx) (any, error) {
			bare.ID, bare.UserID = grant.NewID(), "nobody"
			return nil, grant.Create(ctx, tx, bare, nil)
		})
		if !errors.Is(err, db.ErrReference) {
			t.Errorf("for a user that is not there: got %v, want ErrReference", err)
		}
	})
}

func redeem(t *testing.T, d *db.DB, id grant.ID, at time.Time) error {
	t.Helper()
	_, err := write(t, d, func(ctx context.Context, tx *db.Tx) (any, error) {
		return nil, grant.Redeem(ctx, tx, id, at.Add(time.Hour), at)
	})
	return err
}

func TestCodeIsRedeemedOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		u, c := pair(t, d)
		g := create(t, d, u, c, "code", nil)
		got := race(100, func() string {
			err := redeem(t, d, g.ID, now)
			switch {
			case err == nil:
				return "won"
			case errors.Is(err, grant.ErrReplayed):
				return "replayed"
			}
			return err.Error()
		})
		if got["won"] != 1 || got["replayed"] != 99 {
			t.Errorf("got %v, want 1 won and 99 replayed", got)
		}
		after, err := byID(t, d, g.ID)
		if err != nil || !after.RedeemedAt.Equal(now) || !after.ExpiresAt.Equal(now.Add(time.Hour)) {
			t.Errorf("after: got %+v, %v", after, err)
		}
	})
}

func TestCodeIsGoodUntilItsLastInstant(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		u, c := pair(t, d)
		if err := redeem(t, d, create(t, d, u, c, "a", nil).ID, now.Add(time.Minute)); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("at its end: got %v, want ErrNotFound", err)
		}
		if err := redeem(t, d, create(t, d, u, c, "b", nil).ID, now.Add(time.Minute-time.Microsecond)); err != nil {
			t.Errorf("just before: %v", err)
		}
		if err := redeem(t, d, grant.NewID(), now); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("unknown: got %v, want ErrNotFound", err)
		}
		bare := create(t, d, u, c, "", func(g *grant.Grant) { g.CodeExpiresAt = time.Time{} })
		if err := redeem(t, d, bare.ID, now); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("without a code: got %v, want ErrNotFound", err)
		}
	})
}

func TestGrantIsExtendedNeverShortened(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		u, c := pair(t, d)
		g := create(t, d, u, c, "", nil)
		for _, until := range []time.Time{now.Add(time.Hour), now.Add(time.Minute)} {
			run(t, d, func(ctx context.Context, tx *db.Tx) error { return grant.Extend(ctx, tx, g.ID, until) })
			if got, err := byID(t, d, g.ID); err != nil || !got.ExpiresAt.Equal(now.Add(time.Hour)) {
				t.Errorf("got %v, %v", got.ExpiresAt, err)
			}
		}
		_, err := write(t, d, func(ctx context.Context, tx *db.Tx) (any, error) {
			return nil, grant.Extend(ctx, tx, grant.NewID(), now)
		})
		if !errors.Is(err, db.ErrNotFound) {
			t.Errorf("one that ended: got %v, want ErrNotFound", err)
		}
	})
}

func TestEndOfAGrantEndsItsFamilies(t *testing.T) {
	t.Parallel()
	key, err := secret.NewKey(secret.Bytes(32))
	if err != nil {
		t.Fatal(err)
	}
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		u, c := pair(t, d)
		g := create(t, d, u, c, "", nil)
		run(t, d, func(ctx context.Context, tx *db.Tx) error {
			if _, err := token.Issue(ctx, tx, key, token.Family{UserID: u, ClientID: c, ExpiresAt: now.Add(time.Hour)}, now); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `UPDATE refresh_families SET grant_id = $1`, g.ID)
			return err
		})
		for _, want := range []bool{true, false} {
			ended := must(t, d, func(ctx context.Context, tx *db.Tx) (bool, error) { return grant.End(ctx, tx, g.ID) })
			if ended != want {
				t.Errorf("ended: got %v, want %v", ended, want)
			}
		}
		left := must(t, d, func(ctx context.Context, tx *db.Tx) (int64, error) {
			return db.One(ctx, tx, db.Int, `SELECT COUNT(*) FROM refresh_families`)
		})
		if left != 0 {
			t.Errorf("%d families are left, want none", left)
		}
	})
}

func TestGrantsAreListedAndEndWithTheirClient(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		u, c := pair(t, d)
		other, _ := pair(t, d)
		in := func(s session.ID) func(*grant.Grant) { return func(g *grant.Grant) { g.SessionID = s } }
		a, b := create(t, d, u, c, "a", in("s1")), create(t, d, u, c, "b", in("s1"))
		create(t, d, u, c, "c", in("s2"))
		create(t, d, u, c, "d", nil)
		create(t, d, other, c, "e", nil)
		for _, cl := range []client.ID{c, ""} {
			of := must(t, d, func(ctx context.Context, tx *db.Tx) ([]grant.Grant, error) { return grant.ByUser(ctx, tx, u, cl) })
			if len(of) != 4 || of[0].ID != a.ID {
				t.Errorf("of the user in %q: got %v, want 4 from %s", cl, of, a.ID)
			}
		}
		listed := must(t, d, func(ctx context.Context, tx *db.Tx) ([]grant.Grant, error) { return grant.BySession(ctx, tx, "s1") })
		if len(listed) != 2 || listed[0].ID != a.ID || listed[1].ID != b.ID {
			t.Errorf("of the session: got %v", listed)
		}
		none := must(t, d, func(ctx context.Context, tx *db.Tx) ([]grant.Grant, error) { return grant.BySession(ctx, tx, "") })
		if len(none) != 0 {
			t.Errorf("the empty session has %d grants", len(none))
		}
		n := must(t, d, func(ctx context.Context, tx *db.Tx) (int64, error) { return grant.EndByUserClient(ctx, tx, u, c) })
		if n != 4 {
			t.Errorf("of user and client: ended %d, want 4", n)
		}
		run(t, d, func(ctx context.Context, tx *db.Tx) error { return client.Delete(ctx, tx, c) })
		if n := count(t, d, "grants"); n != 0 {
			t.Errorf("%d grants outlive their client", n)
		}
	})
}

func count(t *testing.T, d *db.DB, table string) int64 {
	t.Helper()
	return must(t, d, func(ctx context.Context, tx *db.Tx) (int64, error) {
		return db.One(ctx, tx, db.Int, `SELECT COUNT(*) FROM `+table)
	})
}

func TestConsentsAddUp(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		u, c := pair(t, d)
		got := race(20, func() string {
			err := d.Write(context.Background(), func(ctx context.Context, tx *db.Tx) error {
				return grant.PutConsent(ctx, tx, grant.Consent{UserID: u, ClientID: c, Scope: []string{"openid", secret.Hex(4)}}, now)
			})
			return fmt.Sprint(err)
		})
		if got["<nil>"] != 20 {
			t.Errorf("got %v", got)
		}
		all := must(t, d, func(ctx context.Context, tx *db.Tx) ([]grant.Consent, error) { return grant.ConsentsOf(ctx, tx, u) })
		run(t, d, func(ctx context.Context, tx *db.Tx) error {
			return grant.PutConsent(ctx, tx, grant.Consent{UserID: u, ClientID: c, Resources: []string{"https://api"}, Claims: []string{"email"}, Scope: all[0].Scope}, now.Add(time.Hour))
		})
		all = must(t, d, func(ctx context.Context, tx *db.Tx) ([]grant.Consent, error) { return grant.ConsentsOf(ctx, tx, u) })
		if len(all) != 1 || len(all[0].Scope) != 21 || len(all[0].Resources) != 1 || len(all[0].Claims) != 1 || !all[0].CreatedAt.Equal(now) || !all[0].UpdatedAt.Equal(now.Add(time.Hour)) {
			t.Errorf("got %+v", all)
		}
		run(t, d, func(ctx context.Context, tx *db.Tx) error { return grant.EndConsent(ctx, tx, u, c) })
		_, err := write(t, d, func(ctx context.Context, tx *db.Tx) (grant.Consent, error) { return grant.ConsentOf(ctx, tx, u, c) })
		if !errors.Is(err, db.ErrNotFound) {
			t.Errorf("after its end: got %v, want ErrNotFound", err)
		}
	})
}

// To read here and to write there is not to write here: a client that asks for
// little at a time does not put together what nobody agreed to.
func TestConsentsAddUpToNoMoreThanWasAgreedTo(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		u, c := pair(t, d)
		for _, step := range []struct{ scope, resources, wantScope, wantResources string }{
			{"read", "here", "read", "here"},
			{"write", "there", "write", "there"},
			{"read", "there", "write read", "there"},
			{"read", "here there", "read", "here there"},
			{"read", "here", "read", "here there"},
			{"read write", "here there", "read write", "here there"},
			{"admin", "", "admin", ""},
		} {
			run(t, d, func(ctx context.Context, tx *db.Tx) error {
				return grant.PutConsent(ctx, tx, grant.Consent{UserID: u, ClientID: c, Scope: strings.Fields(step.scope), Resources: strings.Fields(step.resources)}, now)
			})
			got := must(t, d, func(ctx context.Context, tx *db.Tx) (grant.Consent, error) { return grant.ConsentOf(ctx, tx, u, c) })
			if s, r := strings.Join(got.Scope, " "), strings.Join(got.Resources, " "); s != step.wantScope || r != step.wantResources {
				t.Errorf("%s at %s: got %q at %q, want %q at %q", step.scope, step.resources, s, r, step.wantScope, step.wantResources)
			}
		}
	})
}

func TestWhatMayComeOnceIsFreshOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		got := race(100, func() string {
			fresh := false
			err := d.Write(context.Background(), func(ctx context.Context, tx *db.Tx) (err error) {
				fresh, err = grant.See(ctx, tx, []byte("jti"), now.Add(time.Minute))
				return err
			})
			return fmt.Sprint(fresh, err)
		})
		if got["true <nil>"] != 1 || got["false <nil>"] != 99 {
			t.Errorf("got %v, want one that is fresh", got)
		}
	})
}

func TestSweepLeavesWhatLives(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		u, c := pair(t, d)
		for i := range 5 {
			end := now.Add(time.Duration(i-2) * time.Minute)
			create(t, d, u, c, fmt.Sprint(i), func(g *grant.Grant) { g.ExpiresAt = end })
			run(t, d, func(ctx context.Context, tx *db.Tx) error {
				if _, err := grant.See(ctx, tx, []byte{byte(i)}, end); err != nil {
					return err
				}
				if err := grant.RevokeToken(ctx, tx, fmt.Sprint(i), end); err != nil {
					return err
				}
				dev := grant.Device{ClientID: c, UserCode: fmt.Sprint(i), PollEvery: time.Second, CreatedAt: now.Add(-time.Hour), ExpiresAt: end}
				return grant.CreateDevice(ctx, tx, dev, []byte{byte(i)})
			})
		}
		for _, want := range []int64{8, 4, 0} {
			n := must(t, d, func(ctx context.Context, tx *db.Tx) (int64, error) { return grant.Sweep(ctx, tx, now, 2) })
			if n != want {
				t.Errorf("swept %d, want %d", n, want)
			}
		}
		for _, table := range []string{"grants", "seen", "revoked_tokens", "device_codes"} {
			if n := count(t, d, table); n != 2 {
				t.Errorf("%s: %d are left, want the 2 that live", table, n)
			}
		}
	})
}
