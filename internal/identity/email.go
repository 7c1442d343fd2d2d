package identity

import (
	"context"
	"slices"
	"time"

	"sallyport/internal/db"
)

// Email is an address of a user. VerifiedAt is zero until somebody showed that
// they read its mail.
type Email struct {
	Address    string
	Primary    bool
	VerifiedAt time.Time
	CreatedAt  time.Time
}

func scanEmail(r db.Row) (e Email, err error) {
	var verified, created db.Time
	err = r.Scan(&e.Address, &e.Primary, &verified, &created)
	e.VerifiedAt, e.CreatedAt = verified.Time, created.Time
	return e, err
}

// Emails returns the addresses of a user, the primary one first.
func Emails(ctx context.Context, tx *db.Tx, id UserID) ([]Email, error) {
	return db.All(ctx, tx, scanEmail, `SELECT address, is_primary, verified_at, created_at FROM emails WHERE user_id = $1
		ORDER BY is_primary DESC, created_at, address`, id)
}

// AddressIn finds an address among a user's, or the first that nobody proved if
// address is empty; nil if there is none.
func AddressIn(emails []Email, address string) *Email {
	i := slices.IndexFunc(emails, func(e Email) bool {
		return e.Address == address || address == "" && e.VerifiedAt.IsZero()
	})
	if i < 0 {
		return nil
	}
	return &emails[i]
}
