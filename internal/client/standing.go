package client

import (
	"context"

	"sallyport/internal/db"
	"sallyport/internal/identity"
)

// Standing is all that a user is judged by in a client, as it is at the moment:
// the user, their place in the client (Enrolment is "" for none), whether they have a
// second factor, and what their organization demands of a sign-in.
type Standing struct {
	User      identity.User
	Enrolment Status
	Roles     []string
	Factor    bool
	Demand    Demand
}

// StandingColumns are those of a StandingRow, of users named u, their primary
// emails m and their enrolments e.
const StandingColumns = `u.id, m.address, m.verified_at, u.display_name, u.given_name, u.family_name, u.status, u.password_hash,
	e.status, e.roles, EXISTS (SELECT 1 FROM totp o WHERE o.user_id = u.id AND o.confirmed_at IS NOT NULL)
		OR EXISTS (SELECT 1 FROM mailed_factors f WHERE f.user_id = u.id AND f.chosen),
	` + DemandColumn

// StandingRow is a standing on its way from the database, alone or beside
// other columns.
type StandingRow struct {
	Standing
	verified db.Time
	demand   string
}

// Dest is where StandingColumns are scanned to; Scanned completes the standing
// after that.
func (s *StandingRow) Dest() []any {
	u := &s.User
	return []any{&u.ID, &u.Email, &s.verified, &u.DisplayName, &u.GivenName, &u.FamilyName, &u.Status, &u.PasswordHash,
		&s.Enrolment, db.JSON(&s.Roles), &s.Factor, &s.demand}
}

// Scanned completes a standing whose columns were scanned.
func (s *StandingRow) Scanned() {
	s.User.EmailVerified, s.Demand = !s.verified.IsZero(), DemandIn(s.demand)
}

func scanStanding(r db.Row) (Standing, error) {
	var s StandingRow
	err := r.Scan(s.Dest()...)
	s.Scanned()
	return s.Standing, err
}

// StandingOf reads a user's standing in a client with one statement, because
// every sign-in asks for all of it inside its write transaction. Fails with
// db.ErrNotFound for a user that does not exist.
func StandingOf(ctx context.Context, tx *db.Tx, u identity.UserID, c ID) (Standing, error) {
	return db.One(ctx, tx, scanStanding, `SELECT `+StandingColumns+` FROM users u LEFT JOIN emails m ON m.user_id = u.id AND m.is_primary
		LEFT JOIN enrolments e ON e.user_id = u.id AND e.client_id = $2 WHERE u.id = $1`, u, c)
}
