package onetime_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/onetime"
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

func newUser(t *testing.T, d *db.DB, email string) identity.UserID {
	t.Helper()
	return must(t, d, func(ctx context.Context, tx *db.Tx) (identity.UserID, error) {
		u := identity.User{ID: identity.NewUserID(), Email: email, Status: identity.Active, CreatedAt: now}
		return u.ID, identity.Create(ctx, tx, u)
	})
}

func newClient(t *testing.T, d *db.DB) client.ID {
	t.Helper()
	return must(t, d, func(ctx context.Context, tx *db.Tx) (client.ID, error) {
		c := client.Client{ID: client.NewID(), Name: "Shop", Active: true, CreatedAt: now}
		return c.ID, client.Create(ctx, tx, c)
	})
}

func create(t *testing.T, d *db.DB, s onetime.Secret, at time.Time) string {
	t.Helper()
	return must(t, d, func(ctx context.Context, tx *db.Tx) (string, error) { return onetime.Create(ctx, tx, s, at) })
}

func peek(t *testing.T, d *db.DB, p onetime.Purpose, raw string, at time.Time) (s onetime.Secret, err error) {
	t.Helper()
	err = d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
		s, err = onetime.Peek(ctx, tx, p, raw, at)
		return err
	})
	return s, err
}

func spend(t *testing.T, d *db.DB, p onetime.Purpose, raw string, at time.Time) (onetime.Secret, error) {
	t.Helper()
	return write(t, d, func(ctx context.Context, tx *db.Tx) (onetime.Secret, error) {
		return onetime.Spend(ctx, tx, p, raw, at)
	})
}

func try(t *testing.T, d *db.DB, raw string, most int) (onetime.Secret, error) {
	t.Helper()
	return write(t, d, func(ctx context.Context, tx *db.Tx) (onetime.Secret, error) {
		return onetime.Try(ctx, tx, onetime.Pending, raw, most, now)
	})
}

func count(t *testing.T, d *db.DB) int64 {
	t.Helper()
	return must(t, d, func(ctx context.Context, tx *db.Tx) (int64, error) {
		return db.One(ctx, tx, db.Int, `SELECT COUNT(*) FROM onetime_secrets`)
	})
}

func TestSpendReturnsWhatWasCreatedOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		in := onetime.Secret{
			Purpose: onetime.Reset, UserID: newUser(t, d, "jane@example.com"), ClientID: newClient(t, d),
			Email: "jane@example.com", Data: json.RawMessage(`{"redirect_uri":"https://shop.example/?a=1&b=2"}`), ExpiresAt: now.Add(time.Hour),
		}
		raw := create(t, d, in, now)
		if len(raw) != 64 || strings.Trim(raw, "0123456789abcdef") != "" {
			t.Fatalf("secret is %q, want 64 lower-case hexadecimal digits", raw)
		}
		want := in
		want.CreatedAt = now
		for _, step := range []struct {
			name string
			do   func() (onetime.Secret, error)
		}{
			{"peek", func() (onetime.Secret, error) { return peek(t, d, onetime.Reset, raw, now) }},
			{"peek again", func() (onetime.Secret, error) { return peek(t, d, onetime.Reset, raw, now) }},
			{"spend", func() (onetime.Secret, error) { return spend(t, d, onetime.Reset, raw, now) }},
		} {
			got, err := step.do()
			if err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", step.name, diff)
			}
		}
		if _, err := spend(t, d, onetime.Reset, raw, now); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("second spend: got %v, want ErrNotFound", err)
		}
		if _, err := peek(t, d, onetime.Reset, raw, now); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("peek after spend: got %v, want ErrNotFound", err)
		}
	})
}

func TestSecretNeedsNoUserClientOrData(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		raw := create(t, d, onetime.Secret{Purpose: onetime.OperatorSetup, ExpiresAt: now.Add(time.Hour)}, now)
		s, err := spend(t, d, onetime.OperatorSetup, raw, now)
		if err != nil {
			t.Fatal(err)
		}
		if s.UserID != "" || s.ClientID != "" || s.Email != "" || s.Data != nil {
			t.Errorf("got %+v, want empty user, client, e-mail and data", s)
		}
	})
}

func TestSecretIsFoundOnlyAsWhatItIs(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		raw := create(t, d, onetime.Secret{Purpose: onetime.MagicLink, ExpiresAt: now.Add(15 * time.Minute)}, now)
		flipped := []byte(raw)
		flipped[0] ^= 1
		for _, c := range []struct {
			name string
			p    onetime.Purpose
			raw  string
			at   time.Time
		}{
			{"other purpose", onetime.Reset, raw, now},
			{"at expiry", onetime.MagicLink, raw, now.Add(15 * time.Minute)},
			{"unknown", onetime.MagicLink, string(flipped), now},
			{"upper case", onetime.MagicLink, strings.ToUpper(raw), now},
			{"empty", onetime.MagicLink, "", now},
			{"longer", onetime.MagicLink, raw + "0", now},
			{"not text", onetime.MagicLink, strings.Repeat("\xff", 64), now},
			{"NUL", onetime.MagicLink, strings.Repeat("\x00", 64), now},
		} {
			if _, err := peek(t, d, c.p, c.raw, c.at); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("%s: peek: got %v, want ErrNotFound", c.name, err)
			}
			if _, err := spend(t, d, c.p, c.raw, c.at); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("%s: spend: got %v, want ErrNotFound", c.name, err)
			}
			_, err := write(t, d, func(ctx context.Context, tx *db.Tx) (onetime.Secret, error) {
				return onetime.Try(ctx, tx, c.p, c.raw, 1, c.at)
			})
			if !errors.Is(err, db.ErrNotFound) {
				t.Errorf("%s: try: got %v, want ErrNotFound", c.name, err)
			}
		}
		if _, err := spend(t, d, onetime.MagicLink, raw, now.Add(15*time.Minute-time.Microsecond)); err != nil {
			t.Errorf("a microsecond before expiry: %v", err)
		}
	})
}

func TestSpendHasOneWinner(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		raw := create(t, d, onetime.Secret{Purpose: onetime.MagicLink, ExpiresAt: now.Add(time.Minute)}, now)
		won := race(t, 100, func() error { _, err := spend(t, d, onetime.MagicLink, raw, now); return err })
		if won != 1 {
			t.Errorf("%d callers spent the secret, want 1", won)
		}
	})
}

// race runs n callers at once and returns how many had no error; any other
// error than ErrNotFound fails the test.
func race(t *testing.T, n int, call func() error) (won int) {
	t.Helper()
	start, errs := make(chan struct{}), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = call()
		})
	}
	close(start)
	wg.Wait()
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, db.ErrNotFound):
			t.Error(err)
		}
	}
	return won
}

func TestSpendRolledBackIsNotSpent(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		raw := create(t, d, onetime.Secret{Purpose: onetime.Pending, ExpiresAt: now.Add(time.Minute)}, now)
		refused := errors.New("refused")
		_, err := write(t, d, func(ctx context.Context, tx *db.Tx) (onetime.Secret, error) {
			if _, err := onetime.Spend(ctx, tx, onetime.Pending, raw, now); err != nil {
				return onetime.Secret{}, err
			}
			return onetime.Secret{}, refused
		})
		if err != refused {
			t.Fatalf("got %v, want %v", err, refused)
		}
		if _, err := spend(t, d, onetime.Pending, raw, now); err != nil {
			t.Errorf("spend after a rolled-back one: %v", err)
		}
	})
}

func TestLastTryEndsSecret(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		raw := create(t, d, onetime.Secret{Purpose: onetime.Pending, ExpiresAt: now.Add(time.Minute)}, now)
		for i := 1; i <= 3; i++ {
			s, err := try(t, d, raw, 3)
			if err != nil || s.Tries != i {
				t.Fatalf("try %d: got %d tries, %v", i, s.Tries, err)
			}
			_, err = peek(t, d, onetime.Pending, raw, now)
			if alive := err == nil; alive != (i < 3) {
				t.Errorf("after try %d: peek says %v", i, err)
			}
		}
		if _, err := try(t, d, raw, 3); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("try after the last: got %v, want ErrNotFound", err)
		}
		if _, err := spend(t, d, onetime.Pending, raw, now); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("spend after the last try: got %v, want ErrNotFound", err)
		}
	})
}

func TestTriesAreCountedUnderRace(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		raw := create(t, d, onetime.Secret{Purpose: onetime.Pending, ExpiresAt: now.Add(time.Minute)}, now)
		if won := race(t, 100, func() error { _, err := try(t, d, raw, 5); return err }); won != 5 {
			t.Errorf("%d tries were counted, want 5", won)
		}
		if n := count(t, d); n != 0 {
			t.Errorf("%d rows are left, want 0", n)
		}
	})
}

func TestKeepEndsTheOldest(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		u, other := newUser(t, d, "jane@example.com"), newUser(t, d, "john@example.com")
		aged := func(u identity.UserID, p onetime.Purpose, age int) string {
			return create(t, d, onetime.Secret{Purpose: p, UserID: u, ExpiresAt: now.Add(time.Hour)}, now.Add(-time.Duration(age)*time.Minute))
		}
		var resets []string
		for age := range 7 {
			resets = append(resets, aged(u, onetime.Reset, age))
		}
		link, theirs := aged(u, onetime.MagicLink, 50), aged(other, onetime.Reset, 50)
		run(t, d, func(ctx context.Context, tx *db.Tx) error { return onetime.Keep(ctx, tx, u, onetime.Reset, 4) })
		for age, raw := range resets {
			_, err := peek(t, d, onetime.Reset, raw, now)
			if alive := err == nil; alive != (age < 4) {
				t.Errorf("reset of age %d: %v", age, err)
			}
		}
		if _, err := peek(t, d, onetime.MagicLink, link, now); err != nil {
			t.Errorf("another purpose: %v", err)
		}
		if _, err := peek(t, d, onetime.Reset, theirs, now); err != nil {
			t.Errorf("another user: %v", err)
		}
		run(t, d, func(ctx context.Context, tx *db.Tx) error { return onetime.Keep(ctx, tx, u, onetime.Reset, 0) })
		if n := count(t, d); n != 2 {
			t.Errorf("%d secrets are left, want the 2 others", n)
		}
	})
}

func TestEndAllEndsThePurposesNamed(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		u, other := newUser(t, d, "jane@example.com"), newUser(t, d, "john@example.com")
		all := []onetime.Purpose{onetime.Reset, onetime.MagicLink, onetime.Challenge}
		for _, u := range []identity.UserID{u, other} {
			for _, p := range all {
				create(t, d, onetime.Secret{Purpose: p, UserID: u, ExpiresAt: now.Add(time.Hour)}, now)
			}
		}
		for _, c := range []struct {
			name     string
			purposes []onetime.Purpose
			left     int64
		}{
			{"two purposes", all[:2], 4},
			{"the same again", all[:2], 4},
			{"all", nil, 3},
		} {
			run(t, d, func(ctx context.Context, tx *db.Tx) error { return onetime.EndAll(ctx, tx, u, c.purposes...) })
			if n := count(t, d); n != c.left {
				t.Errorf("%s: %d secrets are left, want %d", c.name, n, c.left)
			}
		}
	})
}

func TestSecretEndsWithItsUserOrClient(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		u, c := newUser(t, d, "jane@example.com"), newClient(t, d)
		create(t, d, onetime.Secret{Purpose: onetime.Reset, UserID: u, ExpiresAt: now.Add(time.Hour)}, now)
		create(t, d, onetime.Secret{Purpose: onetime.MagicLink, ClientID: c, ExpiresAt: now.Add(time.Hour)}, now)
		must(t, d, func(ctx context.Context, tx *db.Tx) (int64, error) {
			return tx.Exec(ctx, `DELETE FROM users WHERE id = $1`, u)
		})
		if n := count(t, d); n != 1 {
			t.Errorf("%d secrets after the user ended, want 1", n)
		}
		must(t, d, func(ctx context.Context, tx *db.Tx) (int64, error) {
			return tx.Exec(ctx, `DELETE FROM clients WHERE id = $1`, c)
		})
		if n := count(t, d); n != 0 {
			t.Errorf("%d secrets after the client ended, want 0", n)
		}
		_, err := write(t, d, func(ctx context.Context, tx *db.Tx) (string, error) {
			return onetime.Create(ctx, tx, onetime.Secret{Purpose: onetime.Reset, UserID: u, ExpiresAt: now.Add(time.Hour)}, now)
		})
		if !errors.Is(err, db.ErrReference) {
			t.Errorf("for a user that has ended: got %v, want ErrReference", err)
		}
	})
}

func TestReplacedSecretIsAnother(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		u, c := newUser(t, d, "jane@example.com"), newClient(t, d)
		raw := create(t, d, onetime.Secret{Purpose: onetime.PushedRequest, ClientID: c, ExpiresAt: now.Add(time.Minute)}, now)
		replace := func(at time.Time, data string) error {
			_, err := write(t, d, func(ctx context.Context, tx *db.Tx) (any, error) {
				s := onetime.Secret{Purpose: onetime.Authorization, UserID: u, Data: json.RawMessage(data), ExpiresAt: now.Add(time.Hour)}
				return nil, onetime.Replace(ctx, tx, onetime.PushedRequest, raw, s, at)
			})
			return err
		}
		if err := replace(now.Add(time.Minute), `{}`); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("at its end: got %v, want ErrNotFound", err)
		}
		if err := replace(now, `{`); !errors.Is(err, onetime.ErrData) {
			t.Errorf("bad data: got %v, want ErrData", err)
		}
		if won := race(t, 100, func() error { return replace(now, `{"a":1}`) }); won != 1 {
			t.Errorf("%d callers replaced it, want 1", won)
		}
		if _, err := peek(t, d, onetime.PushedRequest, raw, now); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("by its old purpose: got %v, want ErrNotFound", err)
		}
		got, err := peek(t, d, onetime.Authorization, raw, now.Add(59*time.Minute))
		if err != nil || got.UserID != u || got.ClientID != c || string(got.Data) != `{"a":1}` {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

func TestCreateRefusesBadData(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for name, data := range map[string]string{
			"too large": `"` + strings.Repeat("x", onetime.MaxData-1) + `"`,
			"not JSON":  `{"a":`,
			"two":       `{} {}`,
			"empty":     ``,
		} {
			_, err := write(t, d, func(ctx context.Context, tx *db.Tx) (string, error) {
				return onetime.Create(ctx, tx, onetime.Secret{Purpose: onetime.Handle, Data: json.RawMessage(data), ExpiresAt: now.Add(time.Hour)}, now)
			})
			if !errors.Is(err, onetime.ErrData) {
				t.Errorf("%s: got %v, want ErrData", name, err)
			}
		}
		largest := json.RawMessage(`"` + strings.Repeat("x", onetime.MaxData-2) + `"`)
		raw := create(t, d, onetime.Secret{Purpose: onetime.Handle, Data: largest, ExpiresAt: now.Add(time.Hour)}, now)
		if s, err := spend(t, d, onetime.Handle, raw, now); err != nil || !bytes.Equal(s.Data, largest) {
			t.Errorf("largest data: %d bytes back, %v", len(s.Data), err)
		}
	})
}

func TestSweepDeletesOnlyTheExpired(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for i := range 7 {
			create(t, d, onetime.Secret{Purpose: onetime.Handle, ExpiresAt: now.Add(time.Duration(i-4) * time.Minute)}, now.Add(-time.Hour))
		}
		for _, want := range []int64{3, 2, 0} {
			n := must(t, d, func(ctx context.Context, tx *db.Tx) (int64, error) { return onetime.Sweep(ctx, tx, now, 3) })
			if n != want {
				t.Errorf("swept %d, want %d", n, want)
			}
		}
		if n := count(t, d); n != 2 {
			t.Errorf("%d secrets are left, want the 2 live ones", n)
		}
	})
}
