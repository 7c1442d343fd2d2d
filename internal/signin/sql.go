package signin

import (
	"context"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/token"
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

// presented is all that a refresh reads: the family of the token, its client and
// the standing of its user there.
type presented struct {
	family   token.Stored
	client   client.Row
	standing standing
}

func scanPresented(r db.Row) (p presented, err error) {
	var verified db.Time
	s := &p.standing
	u := &s.user
	dest := append(p.family.Dest(), p.client.Dest()...)
	err = r.Scan(append(dest, &u.ID, &u.Email, &verified, &u.DisplayName, &u.GivenName, &u.FamilyName, &u.Status, &u.PasswordHash,
		&s.enrolment, db.JSON(&s.roles), &s.factor)...)
	p.family.Scanned()
	p.client.Scanned()
	u.EmailVerified = !verified.IsZero()
	return p, err
}

// presentedBy reads it with one statement, because a refresh is the most frequent
// of all operations and each statement is a round trip on PostgreSQL. Fails with
// db.ErrNotFound for a family that has ended.
func presentedBy(ctx context.Context, tx *db.Tx, family int64, now time.Time) (presented, error) {
	return db.One(ctx, tx, scanPresented, `SELECT `+token.Columns+`, `+client.Columns+`,
		u.id, m.address, m.verified_at, u.display_name, u.given_name, u.family_name, u.status, u.password_hash,
		e.status, e.roles, EXISTS (SELECT 1 FROM totp o WHERE o.user_id = u.id AND o.confirmed_at IS NOT NULL)
		FROM refresh_families f JOIN clients c ON c.id = f.client_id LEFT JOIN tenants t ON t.id = c.tenant_id
		JOIN users u ON u.id = f.user_id JOIN emails m ON m.user_id = u.id AND m.is_primary
		LEFT JOIN enrolments e ON e.user_id = f.user_id AND e.client_id = f.client_id
		WHERE f.id = $1 AND f.expires_at > $2`, family, db.At(now))
}
