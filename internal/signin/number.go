package signin

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/limit"
)

// maxNumbers is how many numbers one transaction tries before it commits what it
// found taken.
const maxNumbers = 100

// Number is the whole number by which a client knows a user, for a surface whose
// ids are such. Whoever has none gets the next.
func (c *Core) Number(ctx context.Context, id client.ID, u identity.UserID) (int64, error) {
	alias := ""
	err := c.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		alias, err = identity.Alias(ctx, tx, string(id), u)
		if errors.Is(err, db.ErrNotFound) {
			return nil
		}
		return err
	})
	for err == nil && alias == "" {
		err = c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
			alias, err = nextNumber(ctx, tx, string(id), u)
			return err
		})
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(alias, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("alias of user %s in client %s: %w", u, id, err)
	}
	return n, nil
}

// nextNumber gives a user the first number that is free, or none after
// maxNumbers: those that were imported are taken, and what was counted stays so.
func nextNumber(ctx context.Context, tx *db.Tx, client string, u identity.UserID) (string, error) {
	for range maxNumbers {
		if has, err := identity.Alias(ctx, tx, client, u); !errors.Is(err, db.ErrNotFound) {
			return has, err // another sign-in of theirs was first
		}
		n, err := identity.NextAlias(ctx, tx, client)
		if err != nil {
			return "", err
		}
		alias := strconv.FormatInt(n, 10)
		err = identity.SetAlias(ctx, tx, client, alias, u)
		if !errors.Is(err, identity.ErrAliasTaken) {
			return alias, err
		}
	}
	return "", nil
}

// Count counts one attempt against every rule, for what a surface does without an
// operation of ours, or refuses with RateLimited.
func (c *Core) Count(ctx context.Context, rules ...limit.Rule) error { return c.take(ctx, rules...) }
