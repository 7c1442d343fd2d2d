package identity

import (
	"context"
	"errors"
	"fmt"

	"sallyport/internal/db"
)

// An alias is the id by which one client knows a user, where that is not ours: a
// number, or the text that another system made. A client is named by its id.

// ErrAliasTaken reports an alias that another user has in the client, or a user
// who has another one there.
var ErrAliasTaken = errors.New("identity: alias is taken")

// Alias returns the alias of a user in a client, or db.ErrNotFound.
func Alias(ctx context.Context, tx *db.Tx, client string, id UserID) (string, error) {
	return db.One(ctx, tx, db.Text, `SELECT alias FROM aliases WHERE client_id = $1 AND user_id = $2`, client, id)
}

// ByAlias returns the user whom a client knows by an alias, or db.ErrNotFound.
func ByAlias(ctx context.Context, tx *db.Tx, client, alias string) (User, error) {
	return db.One(ctx, tx, scan, `SELECT `+columns+` FROM aliases a JOIN users u ON u.id = a.user_id
		LEFT JOIN emails e ON e.user_id = u.id AND e.is_primary WHERE a.client_id = $1 AND a.alias = $2`, client, alias)
}

// SetAlias gives a user an alias in a client, once and for ever. ErrAliasTaken
// means that either has another already, under any race.
func SetAlias(ctx context.Context, tx *db.Tx, client, alias string, id UserID) error {
	n, err := tx.Exec(ctx, `INSERT INTO aliases (client_id, alias, user_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, client, alias, id)
	if err != nil {
		return fmt.Errorf("set alias: %w", err)
	}
	if n == 1 {
		return nil
	}
	if has, err := Alias(ctx, tx, client, id); err == nil && has == alias {
		return nil
	} else if err != nil && !errors.Is(err, db.ErrNotFound) {
		return err
	}
	return ErrAliasTaken
}

// NextAlias returns a number that no user of the client has had: 1, 2, 3 … in the
// order in which transactions took them, with gaps where one was rolled back.
func NextAlias(ctx context.Context, tx *db.Tx, client string) (int64, error) {
	return db.One(ctx, tx, db.Int, `INSERT INTO alias_numbers (client_id, last) VALUES ($1, 1)
		ON CONFLICT (client_id) DO UPDATE SET last = alias_numbers.last + 1 RETURNING last`, client)
}
