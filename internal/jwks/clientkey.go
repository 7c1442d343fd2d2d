package jwks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/secret"
)

// MostClientKeys is how many keys of its own a client has at a time, those
// included that only verify.
const MostClientKeys = 4

var (
	// ErrTooManyKeys reports a client that has MostClientKeys already.
	ErrTooManyKeys = errors.New("jwks: the client has as many keys as it may have")
	// ErrSigns reports a key that cannot be deleted because it signs.
	ErrSigns = errors.New("jwks: the key signs")
)

// AddClientKey stores a generated key as one of a client's own, under an id that
// AccountMaker's contract shapes (§8: "key_…"): the first one signs at once, a
// later one is published until RotateClientKey. Callers at once may leave one or
// two more than MostClientKeys.
func AddClientKey(ctx context.Context, tx *db.Tx, sk *secret.Key, c client.ID, k Key, now time.Time) (Key, error) {
	k, n, err := insertClientKey(ctx, tx, sk, c, k, now, `(SELECT COUNT(*) FROM signing_keys WHERE client_id = $3 AND alg = $2) < $6`, MostClientKeys)
	if err != nil {
		return Key{}, err
	}
	if n == 0 {
		return Key{}, ErrTooManyKeys
	}
	n, err = tx.Exec(ctx, `UPDATE signing_keys SET state = 'active', active_at = $2 WHERE id = $1
		AND NOT EXISTS (SELECT 1 FROM signing_keys s WHERE s.client_id = $3 AND s.alg = $4 AND s.state = 'active')`, k.ID, db.At(now), c, k.Alg)
	if err == nil && n == 1 {
		k.State, k.ActiveAt = Active, now
	}
	return k, err
}

// PublishClientKey is AddClientKey for a client that signs with another key so far,
// be it the server's: even the first one is published until RotateClientKey. It
// reports whether it was wanted: not if another one is published already.
func PublishClientKey(ctx context.Context, tx *db.Tx, sk *secret.Key, c client.ID, k Key, now time.Time) (Key, bool, error) {
	k, n, err := insertClientKey(ctx, tx, sk, c, k, now,
		`NOT EXISTS (SELECT 1 FROM signing_keys s WHERE s.client_id = $3 AND s.alg = $2 AND s.state = $6)`, Next)
	return k, n == 1, err
}

func insertClientKey(ctx context.Context, tx *db.Tx, sk *secret.Key, c client.ID, k Key, now time.Time, condition string, arg any) (Key, int64, error) {
	k.ID, k.ClientID, k.State, k.CreatedAt = identity.KSUID("key", identity.IDAt(now)), c, Next, now
	sealed, err := seal(sk, k)
	if err != nil {
		return Key{}, 0, err
	}
	n, err := tx.Exec(ctx, `INSERT INTO signing_keys (id, alg, client_id, sealed, state, created_at) SELECT $1, $2, $3, $4, 'next', $5 WHERE `+condition,
		k.ID, k.Alg, c, sealed, db.At(now), arg)
	if err != nil {
		return Key{}, 0, fmt.Errorf("insert client key: %w", err)
	}
	return k, n, nil
}

// RotateClientKey makes the oldest published key of a client's own the one that
// signs. The one that signed until now verifies for keep. Fails with ErrNoNext, or
// with *TooSoon while the key has not been published for publish.
func RotateClientKey(ctx context.Context, tx *db.Tx, c client.ID, alg string, publish, keep time.Duration, now time.Time) error {
	var created db.Time
	next, err := db.One(ctx, tx, func(r db.Row) (id string, err error) { err = r.Scan(&id, &created); return id, err },
		`SELECT id, created_at FROM signing_keys WHERE client_id = $1 AND alg = $2 AND state = 'next' ORDER BY created_at, id LIMIT 1`, c, alg)
	if errors.Is(err, db.ErrNotFound) {
		return ErrNoNext
	} else if err != nil {
		return fmt.Errorf("read next client key: %w", err)
	}
	if wait := created.Add(publish).Sub(now); wait > 0 {
		return &TooSoon{wait}
	}
	if _, err := tx.Exec(ctx, `UPDATE signing_keys SET state = 'retired', retired_at = $3, expires_at = $4 WHERE client_id = $1 AND alg = $2 AND state = 'active'`,
		c, alg, db.At(now), db.At(now.Add(keep))); err != nil {
		return fmt.Errorf("retire client key: %w", err)
	}
	n, err := tx.Exec(ctx, `UPDATE signing_keys SET state = 'active', active_at = $2 WHERE id = $1 AND state = 'next'`, next, db.At(now))
	if err == nil && n == 0 {
		err = ErrNoNext
	}
	return err
}

// ClientKeyOwner returns the client that a key is of, or db.ErrNotFound.
func ClientKeyOwner(ctx context.Context, tx *db.Tx, id string) (client.ID, error) {
	c, err := db.One(ctx, tx, db.Text, `SELECT client_id FROM signing_keys WHERE id = $1 AND client_id IS NOT NULL AND alg <> 'HS256'`, id)
	return client.ID(c), err
}

// DeleteClientKey removes a key of a client's own that does not sign, and with it
// what its tokens are verified by. ErrSigns if it is the one that does.
func DeleteClientKey(ctx context.Context, tx *db.Tx, id string) error {
	n, err := tx.Exec(ctx, `DELETE FROM signing_keys WHERE id = $1 AND state <> 'active'`, id)
	if err == nil && n == 0 {
		err = ErrSigns
	}
	return err
}

// JWK is the public half of a key (RFC 7517 §4); nil for a symmetric one.
func (k Key) JWK() json.RawMessage {
	j, err := publicJWK(k)
	if err != nil {
		return nil
	}
	text, err := json.Marshal(j)
	if err != nil {
		panic("jwks: " + err.Error()) // strings always marshal
	}
	return text
}
