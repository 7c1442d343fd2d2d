package totp_test

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"slices"
	"testing"
	"time"

	app "github.com/pquerna/otp/totp"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/secret"
	"sallyport/internal/totp"
)

var now = time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC)

// fixture is a database with one person, and the process key.
type fixture struct {
	t *testing.T
	d *db.DB
	k *secret.Key
	u identity.UserID
}

// each runs f on both engines.
func each(t *testing.T, f func(t *testing.T, x fixture)) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k, err := secret.NewKey(bytes.Repeat([]byte{7}, secret.KeySize))
		if err != nil {
			t.Fatal(err)
		}
		x := fixture{t: t, d: d, k: k}
		x.u = x.newUser("jane@example.com")
		f(t, x)
	})
}

func (x fixture) newUser(email string) identity.UserID {
	x.t.Helper()
	u := identity.User{ID: identity.NewUserID(), Email: email, Status: identity.Active, CreatedAt: now}
	if err := x.write(func(ctx context.Context, tx *db.Tx) error { return identity.Create(ctx, tx, u) }); err != nil {
		x.t.Fatal(err)
	}
	return u.ID
}

func (x fixture) write(f func(context.Context, *db.Tx) error) error {
	return x.d.Write(x.t.Context(), f)
}

func (x fixture) begin(at time.Time) (base32 string, err error) {
	err = x.write(func(ctx context.Context, tx *db.Tx) error {
		base32, err = totp.Begin(ctx, tx, x.k, x.u, at)
		return err
	})
	return base32, err
}

func (x fixture) confirm(code string, at time.Time) (backup []string, err error) {
	err = x.write(func(ctx context.Context, tx *db.Tx) error {
		backup, err = totp.Confirm(ctx, tx, x.k, x.u, code, at)
		return err
	})
	return backup, err
}

func (x fixture) use(code string, at time.Time) error {
	return x.write(func(ctx context.Context, tx *db.Tx) error { return totp.Use(ctx, tx, x.k, x.u, code, at) })
}

func (x fixture) newBackupCodes() (codes []string, err error) {
	err = x.write(func(ctx context.Context, tx *db.Tx) error {
		codes, err = totp.NewBackupCodes(ctx, tx, x.k, x.u)
		return err
	})
	return codes, err
}

func (x fixture) importSecret(base32 string) error {
	return x.write(func(ctx context.Context, tx *db.Tx) error { return totp.Import(ctx, tx, x.k, x.u, base32, now) })
}

func (x fixture) state() (enabled bool, remaining int) {
	x.t.Helper()
	err := x.d.Read(x.t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
		if enabled, err = totp.Enabled(ctx, tx, x.u); err != nil {
			return err
		}
		remaining, err = totp.Remaining(ctx, tx, x.u)
		return err
	})
	if err != nil {
		x.t.Fatal(err)
	}
	return enabled, remaining
}

func (x fixture) want(enabled bool, remaining int) {
	x.t.Helper()
	if e, r := x.state(); e != enabled || r != remaining {
		x.t.Errorf("enabled %v with %d backup codes, want %v with %d", e, r, enabled, remaining)
	}
}

// enable takes the person through enrolment, at now.
func (x fixture) enable() (base32 string, backup []string) {
	x.t.Helper()
	base32, err := x.begin(now)
	if err != nil {
		x.t.Fatal(err)
	}
	backup, err = x.confirm(code(x.t, base32, now), now)
	if err != nil {
		x.t.Fatal(err)
	}
	return base32, backup
}

// code is what the person's app shows.
func code(t *testing.T, base32 string, at time.Time) string {
	t.Helper()
	c, err := app.GenerateCode(base32, at)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func later(seconds int) time.Time { return now.Add(time.Duration(seconds) * time.Second) }

func TestEnrolmentNeedsAProof(t *testing.T) {
	each(t, func(t *testing.T, x fixture) {
		if _, err := x.confirm("123456", now); err != totp.ErrNotStarted {
			t.Errorf("confirm before begin: %v, want ErrNotStarted", err)
		}
		first, err := x.begin(now)
		if err != nil {
			t.Fatal(err)
		}
		second, err := x.begin(now)
		if err != nil || first == second {
			t.Fatalf("begin again: %v, same secret %v; want a new one", err, first == second)
		}
		x.want(false, 0)
		if err := x.use(code(t, second, now), now); err != totp.ErrNotStarted {
			t.Errorf("use before confirm: %v, want ErrNotStarted", err)
		}
		for _, wrong := range []string{code(t, first, now), "", "12345", "a1b2c-d3e4f", code(t, second, later(120))} {
			if _, err := x.confirm(wrong, now); err != totp.ErrCode {
				t.Errorf("confirm with %q: %v, want ErrCode", wrong, err)
			}
		}
		x.want(false, 0)
		backup, err := x.confirm(code(t, second, now), now)
		if err != nil {
			t.Fatal(err)
		}
		x.want(true, 10)
		slices.Sort(backup)
		if len(slices.Compact(backup)) != 10 {
			t.Errorf("backup codes %v, want ten different ones", backup)
		}
		for _, c := range backup {
			if !regexp.MustCompile(`^[a-z0-9]{5}-[a-z0-9]{5}$`).MatchString(c) {
				t.Errorf("backup code %q, want xxxxx-xxxxx", c)
			}
		}
		if _, err := x.begin(now); err != totp.ErrEnabled {
			t.Errorf("begin when in force: %v, want ErrEnabled", err)
		}
		if _, err := x.confirm(code(t, second, later(30)), later(30)); err != totp.ErrNotStarted {
			t.Errorf("confirm again: %v, want ErrNotStarted", err)
		}
		if err := x.use(code(t, second, now), now); err != totp.ErrCode {
			t.Errorf("the code that confirmed, used again: %v, want ErrCode", err)
		}
	})
}

func TestPendingSecretLapses(t *testing.T) {
	each(t, func(t *testing.T, x fixture) {
		base32, err := x.begin(now)
		if err != nil {
			t.Fatal(err)
		}
		at := now.Add(totp.Pending)
		if _, err := x.confirm(code(t, base32, at), at); err != totp.ErrNotStarted {
			t.Errorf("after 15 minutes: %v, want ErrNotStarted", err)
		}
		at = at.Add(-time.Second)
		if _, err := x.confirm(code(t, base32, at), at); err != nil {
			t.Errorf("a second before: %v", err)
		}
	})
}

func TestEachStepIsUsedOnce(t *testing.T) {
	each(t, func(t *testing.T, x fixture) {
		base32, _ := x.enable()
		for _, c := range []struct {
			at, clock int // seconds: of our clock, of the app's
			want      error
		}{
			{0, 0, totp.ErrCode}, // spent by confirming
			{60, 60, nil},
			{60, 60, totp.ErrCode},
			{60, 30, totp.ErrCode}, // an older step after a newer one
			{60, 0, totp.ErrCode},
			{60, 120, totp.ErrCode}, // two steps ahead
			{60, 90, nil},           // one ahead
			{90, 90, totp.ErrCode},
			{150, 120, nil}, // one behind
			{150, 90, totp.ErrCode},
			{150, 150, nil},
		} {
			if err := x.use(code(t, base32, later(c.clock)), later(c.at)); err != c.want {
				t.Errorf("at %d s with the code of %d s: %v, want %v", c.at, c.clock, err, c.want)
			}
		}
		if err := x.use("000 000", later(600)); err != totp.ErrCode {
			t.Errorf("a made-up code: %v, want ErrCode", err)
		}
	})
}

func TestUndoneUseIsNotUsed(t *testing.T) {
	each(t, func(t *testing.T, x fixture) {
		base32, backup := x.enable()
		undo := errors.New("undo")
		for _, c := range []string{code(t, base32, later(60)), backup[0]} {
			err := x.write(func(ctx context.Context, tx *db.Tx) error {
				if err := totp.Use(ctx, tx, x.k, x.u, c, later(60)); err != nil {
					return err
				}
				return undo
			})
			if !errors.Is(err, undo) {
				t.Fatal(err)
			}
			if err := x.use(c, later(60)); err != nil {
				t.Errorf("%q after an undone use: %v", c, err)
			}
		}
	})
}

func TestBackupCodesWorkOnce(t *testing.T) {
	each(t, func(t *testing.T, x fixture) {
		_, backup := x.enable()
		for i, typed := range []string{backup[0], " " + backup[1][:5] + " " + backup[1][6:] + " "} {
			if err := x.use(typed, now); err != nil {
				t.Errorf("%q: %v", typed, err)
			}
			if err := x.use(backup[i], now); err != totp.ErrCode {
				t.Errorf("%q again: %v, want ErrCode", backup[i], err)
			}
		}
		x.want(true, 8)

		fresh, err := x.newBackupCodes()
		if err != nil {
			t.Fatal(err)
		}
		x.want(true, 10)
		if err := x.use(backup[2], now); err != totp.ErrCode {
			t.Errorf("a voided code: %v, want ErrCode", err)
		}
		if err := x.use(fresh[2], now); err != nil {
			t.Errorf("a new code: %v", err)
		}
		other := x
		other.u = x.newUser("other@example.com")
		if _, err := other.newBackupCodes(); err != totp.ErrNotStarted {
			t.Errorf("backup codes without an authenticator: %v, want ErrNotStarted", err)
		}
		other.enable()
		if err := other.use(fresh[3], now); err != totp.ErrCode {
			t.Errorf("another person's code: %v, want ErrCode", err)
		}
	})
}

func TestSealedSecretIsBoundToItsUser(t *testing.T) {
	each(t, func(t *testing.T, x fixture) {
		base32, _ := x.enable()
		thief := x
		thief.u = x.newUser("thief@example.com")
		thief.enable()
		err := x.write(func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE totp SET sealed = (SELECT sealed FROM totp WHERE user_id = $1) WHERE user_id = $2`, x.u, thief.u)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := thief.use(code(t, base32, later(60)), later(60)); !errors.Is(err, secret.ErrSeal) {
			t.Errorf("a secret moved to another row: %v, want ErrSeal", err)
		}
	})
}

func TestDisableRemovesEverything(t *testing.T) {
	each(t, func(t *testing.T, x fixture) {
		disable := func() {
			if err := x.write(func(ctx context.Context, tx *db.Tx) error { return totp.Disable(ctx, tx, x.u) }); err != nil {
				t.Error(err)
			}
		}
		disable() // nothing there
		base32, backup := x.enable()
		disable()
		x.want(false, 0)
		for _, c := range []string{code(t, base32, later(60)), backup[0]} {
			if err := x.use(c, later(60)); err != totp.ErrNotStarted {
				t.Errorf("%q afterwards: %v, want ErrNotStarted", c, err)
			}
		}
		x.enable()
		x.want(true, 10)
	})
}

func TestImportIsInForceAtOnce(t *testing.T) {
	each(t, func(t *testing.T, x fixture) {
		const base32 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
		export := func() (out string, err error) {
			err = x.d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				out, err = totp.Export(ctx, tx, x.k, x.u)
				return err
			})
			return out, err
		}
		if _, err := export(); err != totp.ErrNotStarted {
			t.Errorf("export of nothing: %v, want ErrNotStarted", err)
		}
		if err := x.importSecret("no secret"); err != totp.ErrSecret {
			t.Errorf("import of nonsense: %v, want ErrSecret", err)
		}
		if _, err := x.begin(now); err != nil {
			t.Fatal(err)
		}
		if _, err := export(); err != totp.ErrNotStarted {
			t.Errorf("export of what is pending: %v, want ErrNotStarted", err)
		}
		if err := x.importSecret("gezd gnbv gy3t qojq gezd gnbv gy3t qojq"); err != nil {
			t.Fatal(err)
		}
		x.want(true, 0)
		if got, err := export(); got != base32 || err != nil {
			t.Errorf("export = %q, %v; want %q", got, err, base32)
		}
		c := code(t, base32, later(60))
		if err := x.use(c, later(60)); err != nil {
			t.Errorf("the imported app's code: %v", err)
		}
		if err := x.importSecret(base32); err != nil {
			t.Fatal(err)
		}
		if err := x.use(c, later(60)); err != totp.ErrCode {
			t.Errorf("a used code after a repeated import: %v, want ErrCode", err)
		}
		stranger := x
		stranger.u = identity.NewUserID()
		if err := stranger.importSecret(base32); !errors.Is(err, db.ErrReference) {
			t.Errorf("import for nobody: %v, want db.ErrReference", err)
		}
	})
}

func TestUserTakesTheirFactorAlong(t *testing.T) {
	each(t, func(t *testing.T, x fixture) {
		x.enable()
		err := x.write(func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `DELETE FROM users WHERE id = $1`, x.u)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		x.want(false, 0)
	})
}
