package signin

import (
	"context"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
)

// standing is all that the gates judge by, as it is at the moment of writing.
type standing struct {
	status    identity.Status
	hash      string
	verified  bool
	enrolment client.Status // "" if there is none
	roles     []string
	factor    bool // has a second factor
}

func scanStanding(r db.Row) (s standing, err error) {
	var verified db.Time
	err = r.Scan(&s.status, &s.hash, &verified, &s.enrolment, db.JSON(&s.roles), &s.factor)
	s.verified = !verified.IsZero()
	return s, err
}

// standingOf reads a user's standing in a client with one statement, because
// every sign-in asks for all of it inside its write transaction.
func standingOf(ctx context.Context, tx *db.Tx, u identity.UserID, c client.ID) (standing, error) {
	return db.One(ctx, tx, scanStanding, `SELECT u.status, u.password_hash, m.verified_at, e.status, e.roles,
		EXISTS (SELECT 1 FROM totp t WHERE t.user_id = u.id AND t.confirmed_at IS NOT NULL)
		FROM users u JOIN emails m ON m.user_id = u.id AND m.is_primary
		LEFT JOIN enrolments e ON e.user_id = u.id AND e.client_id = $2 WHERE u.id = $1`, u, c)
}
