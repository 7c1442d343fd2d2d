package token

import (
	"bytes"
	"context"
	"encoding/base64"
	"math/big"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/jwks"
	"sallyport/internal/secret"
)

var (
	start   = time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC)
	allAlgs = []string{jwks.RS256, jwks.ES256, jwks.EdDSA, jwks.HS256}
	shared  = bytes.Repeat([]byte("s"), 50)
)

func processKey(t testing.TB) *secret.Key {
	t.Helper()
	k, err := secret.NewKey(bytes.Repeat([]byte{7}, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// write may be called from any goroutine.
func write(t testing.TB, d *db.DB, fn func(context.Context, *db.Tx) error) {
	t.Helper()
	if err := d.Write(t.Context(), fn); err != nil {
		t.Error(err)
	}
}

// newClient puts the row there that keys and families refer to.
func newClient(t testing.TB, d *db.DB, id client.ID) client.ID {
	t.Helper()
	write(t, d, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO clients (id, is_console, name, bundle_id, active, policy, has_webhooks, created_at, updated_at)
			VALUES ($1, $2, '', '', $3, '{}', $2, 0, 0)`, id, false, true)
		return err
	})
	return id
}

// everyAlg is a ring with an active key of each algorithm, the HS256 one being
// client c's, and those keys by algorithm. Client d has another HS256 key.
func everyAlg(t testing.TB) (*jwks.Ring, map[string]jwks.Key) {
	t.Helper()
	sk, d := processKey(t), dbtest.SQLite(t)
	newClient(t, d, "c")
	newClient(t, d, "d")
	var fresh []jwks.Key
	for _, alg := range []string{jwks.RS256, jwks.ES256, jwks.EdDSA} {
		k, err := jwks.Generate(alg)
		if err != nil {
			t.Fatal(err)
		}
		fresh = append(fresh, k)
	}
	ring, keys := new(jwks.Ring), map[string]jwks.Key{}
	write(t, d, func(ctx context.Context, tx *db.Tx) error {
		if err := jwks.Ensure(ctx, tx, sk, fresh, start); err != nil {
			return err
		}
		for c, s := range map[client.ID][]byte{"c": shared, "d": bytes.Repeat([]byte("d"), 32)} {
			if _, err := jwks.SetClientSecret(ctx, tx, sk, c, s, start); err != nil {
				return err
			}
		}
		all, err := jwks.Load(ctx, tx, sk)
		ring.Set(all, start)
		for _, k := range all {
			if k.ClientID != "d" {
				keys[k.Alg] = k
			}
		}
		return err
	})
	return ring, keys
}

func signed(t testing.TB, k jwks.Key, claims any) string {
	t.Helper()
	raw, err := Sign(k, "JWT", claims)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func unb64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func number(t testing.TB, s string) *big.Int { return new(big.Int).SetBytes(unb64(t, s)) }

const lifetime = 30 * 24 * time.Hour

// world is a database with user u in clients c and d.
type world struct {
	testing.TB
	d *db.DB
	k *secret.Key
}

func newWorld(t testing.TB, d *db.DB) world {
	t.Helper()
	newClient(t, d, "c")
	newClient(t, d, "d")
	w := world{t, d, processKey(t)}
	w.newUser("u")
	return w
}

func (w world) newUser(id identity.UserID) {
	w.Helper()
	write(w, w.d, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO users (id, display_name, given_name, family_name, status, password_hash, created_at, updated_at)
			VALUES ($1, '', '', '', 'active', '', 0, 0)`, id)
		return err
	})
}

func (w world) issue(f Family, now time.Time) (raw string) {
	w.Helper()
	if f.UserID == "" {
		f.UserID = "u"
	}
	if f.ClientID == "" {
		f.ClientID = "c"
	}
	if f.ExpiresAt.IsZero() {
		f.ExpiresAt = now.Add(lifetime)
	}
	write(w, w.d, func(ctx context.Context, tx *db.Tx) (err error) {
		raw, err = Issue(ctx, tx, w.k, f, now)
		return err
	})
	return raw
}

func (w world) find(raw string, now time.Time, grace time.Duration) (f Found, err error) {
	err = w.d.Read(w.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
		f, err = Find(ctx, tx, w.k, raw, now, grace)
		return err
	})
	return f, err
}

func (w world) rotate(f Found, now time.Time) (next string, err error) {
	err = w.d.Write(w.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
		next, err = Rotate(ctx, tx, w.k, f, now.Add(lifetime), now)
		return err
	})
	return next, err
}

// refresh is what a caller does with a presented token.
func (w world) refresh(raw string, now time.Time, grace time.Duration) (next string, err error) {
	f, err := w.find(raw, now, grace)
	if err != nil {
		return "", err
	}
	return w.rotate(f, now)
}

func (w world) mustRefresh(raw string, now time.Time, grace time.Duration) string {
	w.Helper()
	next, err := w.refresh(raw, now, grace)
	if err != nil {
		w.Fatal(err)
	}
	return next
}
