package signin

import (
	"context"
	"errors"
	"slices"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/upstream"
)

// Offer is an upstream that people can sign in with, as a page shows it.
type Offer struct {
	Key   string
	Title string
	Kind  upstream.Kind
}

// Offers are the upstreams that a client signs people in by, in the order of its
// methods. One that is not configured is left out.
func (c *Core) Offers(ctx context.Context, cl client.Client) ([]Offer, error) {
	if !slices.ContainsFunc(cl.Policy.Methods, func(m string) bool { return !client.Own(m) }) {
		return nil, nil
	}
	var known []upstream.Upstream
	err := c.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		known, err = upstream.List(ctx, tx, c.Key)
		return err
	})
	var all []Offer
	for _, m := range cl.Policy.Methods {
		if i := slices.IndexFunc(known, func(u upstream.Upstream) bool { return u.Key == m }); i >= 0 {
			all = append(all, Offer{m, known[i].Title(), known[i].Kind})
		}
	}
	return all, err
}

// Knows reports whether an upstream is configured under a key.
func (c *Core) Knows(ctx context.Context, key string) (bool, error) {
	err := c.read(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := upstream.ByKey(ctx, tx, c.Key, key)
		return err
	})
	if errors.Is(err, db.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
