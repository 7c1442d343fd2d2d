package jwks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/secret"
)

const columns = `id, alg, client_id, sealed, state, created_at, active_at, retired_at, expires_at`

// label is the purpose under which private keys are sealed.
const label = "signing-key"

// row is a key whose private half is still sealed.
type row struct {
	Key
	sealed []byte
}

func scan(r db.Row) (k row, err error) {
	var created, active, retired, expires db.Time
	err = r.Scan(&k.ID, &k.Alg, &k.ClientID, &k.sealed, &k.State, &created, &active, &retired, &expires)
	k.CreatedAt, k.ActiveAt, k.RetiredAt, k.ExpiresAt = created.Time, active.Time, retired.Time, expires.Time
	return k, err
}

func (k row) open(sk *secret.Key) (Key, error) {
	plain, err := sk.Open(label, k.sealed, k.ID, k.Alg, string(k.ClientID))
	if err != nil {
		return Key{}, fmt.Errorf("open signing key %s: %w", k.ID, err)
	}
	private, err := parsePrivate(k.Alg, plain)
	if err != nil {
		return Key{}, fmt.Errorf("parse signing key %s: %w", k.ID, err)
	}
	return k.Key.withPrivate(private), nil
}

func seal(sk *secret.Key, k Key) ([]byte, error) {
	plain, err := marshalPrivate(k.private)
	if err != nil {
		return nil, fmt.Errorf("marshal signing key: %w", err)
	}
	return sk.Seal(label, plain, k.ID, k.Alg, string(k.ClientID)), nil
}

// Load returns every key, in no particular state: what a Ring is set to. A key
// that does not open, because the process key is another one, is an error.
func Load(ctx context.Context, tx *db.Tx, sk *secret.Key) ([]Key, error) {
	rows, err := db.All(ctx, tx, scan, `SELECT `+columns+` FROM signing_keys ORDER BY created_at, id`)
	if err != nil {
		return nil, fmt.Errorf("load signing keys: %w", err)
	}
	keys := make([]Key, len(rows))
	for i, r := range rows {
		if keys[i], err = r.open(sk); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// insert stores a server key in a state, and reports false if that place of its
// algorithm is taken.
func insert(ctx context.Context, tx *db.Tx, sk *secret.Key, k Key, s State, now time.Time) (bool, error) {
	sealed, err := seal(sk, k)
	if err != nil {
		return false, err
	}
	var active time.Time
	if s == Active {
		active = now
	}
	n, err := tx.Exec(ctx, `INSERT INTO signing_keys (id, alg, sealed, state, created_at, active_at)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`, k.ID, k.Alg, sealed, s, db.At(now), db.AtOrNull(active))
	if err != nil {
		return false, fmt.Errorf("insert signing key: %w", err)
	}
	return n == 1, nil
}

// Ensure stores generated keys where there are none: each becomes the active
// key of its algorithm, else the next one, else is dropped. Of nodes that start
// at once, one's keys are kept and all go on to Load them.
func Ensure(ctx context.Context, tx *db.Tx, sk *secret.Key, fresh []Key, now time.Time) error {
	for _, k := range fresh {
		for _, s := range []State{Active, Next} {
			ok, err := insert(ctx, tx, sk, k, s, now)
			if err != nil {
				return err
			}
			if ok {
				break
			}
		}
	}
	return nil
}

// Rotation is one step of an algorithm's keys: From is retired, the next key
// becomes active, Fresh becomes the next one.
type Rotation struct {
	From    string        // id of the active key, as Due or Load gave it
	Fresh   Key           // from Generate, of the same algorithm
	Publish time.Duration // how long the next key must have been published
	// Keep is how long the retired key stays published and verifies: the longest
	// lifetime of a token, and the time that a node may take to load this
	// rotation, and clock skew. Zero ends its tokens at once, for a key that
	// leaked.
	Keep  time.Duration
	Force bool // do not wait for Publish
}

// Rotate carries out r and returns the id of the key that is active now. Of
// any number of calls away from the same key, one succeeds and the others fail
// with ErrNotActive. Without Force it fails with *TooSoon while the next key is
// too young. ErrNoNext means that Ensure must run first. After an error the
// caller's transaction is to be given up.
func Rotate(ctx context.Context, tx *db.Tx, sk *secret.Key, r Rotation, now time.Time) (id string, err error) {
	next, err := db.One(ctx, tx, scan, `SELECT `+columns+` FROM signing_keys WHERE alg = $1 AND state = 'next' AND client_id IS NULL`, r.Fresh.Alg)
	if errors.Is(err, db.ErrNotFound) {
		return "", ErrNoNext
	}
	if err != nil {
		return "", fmt.Errorf("read next signing key: %w", err)
	}
	// The next key is one that opens, or nothing signs after this.
	if _, err := next.open(sk); err != nil {
		return "", err
	}
	if wait := next.CreatedAt.Add(r.Publish).Sub(now); wait > 0 && !r.Force {
		return "", &TooSoon{wait}
	}
	// This statement has one winner: whoever waited for it finds From retired.
	n, err := tx.Exec(ctx, `UPDATE signing_keys SET state = 'retired', retired_at = $3, expires_at = $4
		WHERE id = $1 AND alg = $2 AND state = 'active' AND client_id IS NULL`, r.From, r.Fresh.Alg, db.At(now), db.At(now.Add(r.Keep)))
	if err != nil {
		return "", fmt.Errorf("retire signing key: %w", err)
	}
	if n == 0 {
		return "", ErrNotActive
	}
	n, err = tx.Exec(ctx, `UPDATE signing_keys SET state = 'active', active_at = $2 WHERE id = $1 AND state = 'next'`, next.ID, db.At(now))
	if err != nil {
		return "", fmt.Errorf("promote signing key: %w", err)
	}
	if n == 0 {
		return "", ErrNoNext
	}
	if _, err := insert(ctx, tx, sk, r.Fresh, Next, now); err != nil {
		return "", err
	}
	return next.ID, nil
}

// SetClientSecret makes secret the key that signs HS256 for a client, and
// reports whether it was another one before. The tokens that the other one
// signed are refused from now on. Fails with ErrShortSecret, or
// db.ErrReference for a client that does not exist.
func SetClientSecret(ctx context.Context, tx *db.Tx, sk *secret.Key, c client.ID, shared []byte, now time.Time) (changed bool, err error) {
	if len(shared) < MinSecret {
		return false, ErrShortSecret
	}
	old, err := db.One(ctx, tx, scan, `SELECT `+columns+` FROM signing_keys WHERE client_id = $1 AND alg = $2 AND state = 'active'`, c, HS256)
	if err != nil && !errors.Is(err, db.ErrNotFound) {
		return false, fmt.Errorf("read client secret: %w", err)
	}
	if err == nil {
		k, err := old.open(sk)
		if err != nil {
			return false, err
		}
		if secret.Equal(k.private.([]byte), shared) {
			return false, nil
		}
	}
	k := Key{ID: secret.Hex(16), Alg: HS256, ClientID: c}.withPrivate(shared)
	sealed, err := seal(sk, k)
	if err != nil {
		return false, err
	}
	_, err = tx.Exec(ctx, `INSERT INTO signing_keys (id, alg, client_id, sealed, state, created_at, active_at) VALUES ($1, $2, $3, $4, 'active', $5, $6)
		ON CONFLICT (client_id, alg) WHERE state = 'active' AND client_id IS NOT NULL
		DO UPDATE SET id = excluded.id, sealed = excluded.sealed, created_at = excluded.created_at, active_at = excluded.active_at`,
		k.ID, k.Alg, k.ClientID, sealed, db.At(now), db.At(now))
	if err != nil {
		return false, fmt.Errorf("store client secret: %w", err)
	}
	return true, nil
}

// SetPreviousSecret makes secret the one that a client signed with before, whose
// tokens are still good; nil means none, so that they are refused from now on. It
// reports whether that changed anything. Fails as SetClientSecret does.
func SetPreviousSecret(ctx context.Context, tx *db.Tx, sk *secret.Key, c client.ID, shared []byte, now time.Time) (changed bool, err error) {
	if shared != nil && len(shared) < MinSecret {
		return false, ErrShortSecret
	}
	old, err := db.All(ctx, tx, scan, `SELECT `+columns+` FROM signing_keys WHERE client_id = $1 AND alg = $2 AND state = 'retired'`, c, HS256)
	if err != nil {
		return false, fmt.Errorf("read previous client secret: %w", err)
	}
	if len(old) == 1 && shared != nil {
		k, err := old[0].open(sk)
		if err != nil {
			return false, err
		}
		if secret.Equal(k.private.([]byte), shared) {
			return false, nil
		}
	}
	n, err := tx.Exec(ctx, `DELETE FROM signing_keys WHERE client_id = $1 AND alg = $2 AND state = 'retired'`, c, HS256)
	if err != nil {
		return false, fmt.Errorf("remove previous client secret: %w", err)
	}
	if shared == nil {
		return n > 0, nil
	}
	k := Key{ID: secret.Hex(16), Alg: HS256, ClientID: c}.withPrivate(shared)
	sealed, err := seal(sk, k)
	if err != nil {
		return false, err
	}
	_, err = tx.Exec(ctx, `INSERT INTO signing_keys (id, alg, client_id, sealed, state, created_at, retired_at) VALUES ($1, $2, $3, $4, 'retired', $5, $6)`,
		k.ID, k.Alg, k.ClientID, sealed, db.At(now), db.At(now))
	if err != nil {
		return false, fmt.Errorf("store previous client secret: %w", err)
	}
	return true, nil
}

// Sweep deletes the retired keys that have expired and reports how many.
func Sweep(ctx context.Context, tx *db.Tx, now time.Time) (int64, error) {
	n, err := tx.Exec(ctx, `DELETE FROM signing_keys WHERE state = 'retired' AND expires_at <= $1`, db.At(now))
	if err != nil {
		return 0, fmt.Errorf("sweep signing keys: %w", err)
	}
	return n, nil
}
