package server

import (
	"context"
	"errors"
	"fmt"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/jwks"
)

// tendClients looks after the keys of clients whose people have accounts: each
// signs with one of its own (contract accountmaker §8). A client that has none yet
// signs with the server's, so its first key is published like any later one before
// it signs: who verifies has the server's in mind.
func (k *Keys) tendClients(ctx context.Context, keys []jwks.Key) error {
	var all []client.Client
	err := k.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		all, _, err = client.List(ctx, tx, client.Filter{})
		return err
	})
	failed := []error{err}
	own := map[client.ID][]jwks.Key{}
	for _, key := range keys {
		if key.Alg == jwks.RS256 {
			own[key.ClientID] = append(own[key.ClientID], key)
		}
	}
	for _, c := range all {
		if !c.Policy.Accounts || !c.Active || c.Source != client.Operator {
			continue
		}
		if err := k.tendClient(ctx, c, own[c.ID]); err != nil {
			failed = append(failed, fmt.Errorf("keys of client %s: %w", c.ID, err))
		}
	}
	return errors.Join(failed...)
}

func (k *Keys) tendClient(ctx context.Context, c client.Client, own []jwks.Key) error {
	now := k.Now()
	var next *jwks.Key
	for _, key := range own {
		switch {
		case key.State == jwks.Active && key.ActiveAt.Add(keyAge).After(now):
			return nil
		case key.State == jwks.Next && (next == nil || key.CreatedAt.Before(next.CreatedAt)):
			next = &key
		}
	}
	if next == nil {
		return k.publishFor(ctx, c)
	}
	if next.CreatedAt.Add(keyPublish).After(now) {
		return nil
	}
	err := k.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		keep := max(keyKeep, c.Policy.AccessToken.Lifetime.D()+keyLinger)
		if err := jwks.RotateClientKey(ctx, tx, c.ID, jwks.RS256, keyPublish, keep, now); err != nil {
			return err
		}
		return audit.Record(ctx, tx, now, audit.Event{
			Actor: audit.System(), Action: audit.KeyRotated, ClientID: c.ID, Detail: map[string]any{"alg": jwks.RS256, "active": next.ID},
		})
	})
	_, soon := errors.AsType[*jwks.TooSoon](err)
	if soon || errors.Is(err, jwks.ErrNoNext) || errors.Is(err, db.ErrConflict) { // another node was first
		return nil
	}
	return err
}

func (k *Keys) publishFor(ctx context.Context, c client.Client) error {
	fresh, err := jwks.Generate(jwks.RS256) // before the transaction: it takes a while
	if err != nil {
		return err
	}
	return k.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		made, wanted, err := jwks.PublishClientKey(ctx, tx, k.Key, c.ID, fresh, k.Now())
		if err != nil || !wanted {
			return err
		}
		return audit.Record(ctx, tx, k.Now(), audit.Event{
			Actor: audit.System(), Action: audit.KeyCreated, ClientID: c.ID, Detail: map[string]any{"kid": made.ID},
		})
	})
}
