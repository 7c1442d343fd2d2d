package identity

import (
	"context"

	"sallyport/internal/db"
)

// Hold makes others that hold the same user wait until this transaction ends. A
// decision that rests on several rows of theirs, such as which is the last way
// in, takes it before it reads them. db.ErrNotFound if there is no such user.
func Hold(ctx context.Context, tx *db.Tx, id UserID) error {
	return one(tx.Exec(ctx, `UPDATE users SET status = status WHERE id = $1`, id))
}
