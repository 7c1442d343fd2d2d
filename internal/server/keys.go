package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/jwks"
	"sallyport/internal/secret"
)

// keyAlgorithms are those that every installation has server keys of.
var keyAlgorithms = []string{jwks.RS256, jwks.ES256, jwks.EdDSA}

const (
	// keyReload is how often a node looks for what others did to the keys.
	keyReload = 5 * time.Second
	// keyAge is how long a key signs before it is rotated.
	keyAge = 90 * 24 * time.Hour
	// keyPublish is how long a key is published before it signs: relying
	// parties may keep the key set for an hour (contract keymaster §5.5).
	keyPublish = 65 * time.Minute
	// keyLinger is added to the longest lifetime of a token before a retired
	// key goes: time for every node to have loaded the rotation, and for clocks
	// to differ.
	keyLinger = 5 * time.Minute
	// keyKeep is the least time that a retired key is kept: clients' lifetimes
	// may have been longer when it signed.
	keyKeep = 24 * time.Hour
)

// Keys looks after the signing keys of an installation.
type Keys struct {
	DB   *db.DB
	Key  *secret.Key
	Now  func() time.Time
	Ring *jwks.Ring // what Load fills; nil for a command that serves nothing
}

// Load reads the keys, and sets the ring to them if there is one.
func (k *Keys) Load(ctx context.Context) ([]jwks.Key, error) {
	var keys []jwks.Key
	err := k.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		keys, err = jwks.Load(ctx, tx, k.Key)
		return err
	})
	if errors.Is(err, secret.ErrSeal) {
		return nil, fmt.Errorf("secret_key is not the one that this database was made with: %w", err)
	}
	if err != nil {
		return nil, err
	}
	if k.Ring != nil {
		k.Ring.Set(keys, k.Now())
	}
	return keys, nil
}

// Ensure loads the keys after making those that an algorithm lacks. Generating
// happens on a new installation only, so a start costs one read.
func (k *Keys) Ensure(ctx context.Context) error {
	keys, err := k.Load(ctx)
	if err != nil {
		return err
	}
	missing := jwks.Missing(keys, keyAlgorithms...)
	if len(missing) == 0 {
		return nil
	}
	fresh := make([]jwks.Key, len(missing))
	failed := make([]error, len(missing))
	var all sync.WaitGroup
	for i, alg := range missing {
		all.Go(func() { fresh[i], failed[i] = jwks.Generate(alg) })
	}
	all.Wait()
	if err := errors.Join(failed...); err != nil {
		return err
	}
	err = k.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error { return jwks.Ensure(ctx, tx, k.Key, fresh, k.Now()) })
	if err != nil {
		return fmt.Errorf("store signing keys: %w", err)
	}
	_, err = k.Load(ctx)
	return err
}

// Rotate makes the next key of an algorithm the one that signs, and returns its
// id. Without force the next key must have been published for long enough
// (*jwks.TooSoon). actor is who wants it.
func (k *Keys) Rotate(ctx context.Context, alg string, force bool, actor audit.Actor) (string, error) {
	keys, err := k.Load(ctx)
	if err != nil {
		return "", err
	}
	for _, key := range keys {
		if key.Alg == alg && key.ClientID == "" && key.State == jwks.Active {
			id, err := k.rotate(ctx, key, force, actor)
			if err != nil {
				return "", err
			}
			_, err = k.Load(ctx)
			return id, err
		}
	}
	return "", fmt.Errorf("%s: %w", alg, jwks.ErrNoKey)
}

func (k *Keys) rotate(ctx context.Context, from jwks.Key, force bool, actor audit.Actor) (id string, err error) {
	fresh, err := jwks.Generate(from.Alg)
	if err != nil {
		return "", err
	}
	err = k.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		now := k.Now()
		lifetime, err := longestToken(ctx, tx)
		if err != nil {
			return err
		}
		id, err = jwks.Rotate(ctx, tx, k.Key, jwks.Rotation{
			From: from.ID, Fresh: fresh, Publish: keyPublish, Keep: max(keyKeep, lifetime+keyLinger), Force: force,
		}, now)
		if err != nil {
			return err
		}
		return audit.Record(ctx, tx, now, audit.Event{Actor: actor, Action: audit.KeyRotated, Detail: map[string]any{
			"alg": from.Alg, "forced": force, "retired": from.ID, "active": id,
		}})
	})
	return id, err
}

// longestToken is the longest lifetime that any client's access tokens have.
func longestToken(ctx context.Context, tx *db.Tx) (time.Duration, error) {
	clients, _, err := client.List(ctx, tx, client.Filter{})
	longest := client.DefaultAccessLifetime
	for _, c := range clients {
		longest = max(longest, c.Policy.AccessToken.Lifetime.D())
	}
	return longest, err
}

// Tend rotates the keys that have signed for long enough, gives clients their own
// (tendClients), and removes those that nothing needs any more. Every node may do it; one wins.
func (k *Keys) Tend(ctx context.Context) error {
	keys, err := k.Load(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for _, key := range jwks.Due(keys, k.Now(), keyAge) {
		_, err := k.rotate(ctx, key, false, audit.System())
		_, early := errors.AsType[*jwks.TooSoon](err)
		if err != nil && !early && !errors.Is(err, jwks.ErrNotActive) {
			failed = append(failed, fmt.Errorf("rotate %s key: %w", key.Alg, err))
		}
	}
	failed = append(failed, k.tendClients(ctx, keys))
	err = k.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := jwks.Sweep(ctx, tx, k.Now())
		return err
	})
	return errors.Join(append(failed, err)...)
}
