package signin

import (
	"context"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
)

// standing is all that the gates judge by, as it is at the moment: the user,
// their place in the client ("" for none), and whether they have a second
// factor.
type standing struct {
	user      identity.User
	enrolment client.Status
	roles     []string
	factor    bool
}

func scanStanding(r db.Row) (s standing, err error) {
	var verified db.Time
	u := &s.user
	err = r.Scan(&u.ID, &u.Email, &verified, &u.DisplayName, &u.GivenName, &u.FamilyName, &u.Status, &u.PasswordHash,
		&s.enrolment, db.JSON(&s.roles), &s.factor)
	u.EmailVerified = !verified.IsZero()
	return s, err
}

// standingOf reads a user's standing in a client with one statement, because
// every sign-in asks for all of it inside its write transaction, and every
// refresh asks for nothing else.
func standingOf(ctx context.Context, tx *db.Tx, u identity.UserID, c client.ID) (standing, error) {
	return db.One(ctx, tx, scanStanding, `SELECT u.id, m.address, m.verified_at, u.display_name, u.given_name, u.family_name, u.status, u.password_hash,
		e.status, e.roles, EXISTS (SELECT 1 FROM totp t WHERE t.user_id = u.id AND t.confirmed_at IS NOT NULL)
		FROM users u JOIN emails m ON m.user_id = u.id AND m.is_primary
		LEFT JOIN enrolments e ON e.user_id = u.id AND e.client_id = $2 WHERE u.id = $1`, u, c)
}
