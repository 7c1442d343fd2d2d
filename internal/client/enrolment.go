package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/identity"
)

// Enrol gives a user a place in a client unless they have one; it reports
// whether this call made it. Of any number of callers one does.
func Enrol(ctx context.Context, tx *db.Tx, e Enrolment) (bool, error) {
	n, err := tx.Exec(ctx, `INSERT INTO enrolments (user_id, client_id, status, roles, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)
		ON CONFLICT (user_id, client_id) DO NOTHING`, e.UserID, e.ClientID, e.Status, db.JSON(nonNil(e.Roles)), db.At(e.CreatedAt))
	return n == 1, err
}

// PutEnrolment stores e over whatever was there. Of roles it is what SetRoles is.
func PutEnrolment(ctx context.Context, tx *db.Tx, e Enrolment, now time.Time) error {
	switch was, err := lockRoles(ctx, tx, e.UserID, e.ClientID); {
	case err == nil:
		if err := byHand(ctx, tx, e.UserID, e.ClientID, was, e.Roles); err != nil {
			return err
		}
	case !errors.Is(err, db.ErrNotFound):
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO enrolments (user_id, client_id, status, roles, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)
		ON CONFLICT (user_id, client_id) DO UPDATE SET status = $3, roles = $4, updated_at = $5`,
		e.UserID, e.ClientID, e.Status, db.JSON(nonNil(e.Roles)), db.At(now))
	return err
}

// Activate makes a missing or pending enrolment active with the given roles;
// false if it was active or suspended already and nothing was changed.
func Activate(ctx context.Context, tx *db.Tx, u identity.UserID, c ID, roles []string, now time.Time) (bool, error) {
	n, err := tx.Exec(ctx, `INSERT INTO enrolments (user_id, client_id, status, roles, created_at, updated_at) VALUES ($1, $2, 'active', $3, $4, $4)
		ON CONFLICT (user_id, client_id) DO UPDATE SET status = 'active', roles = $3, updated_at = $4 WHERE enrolments.status = 'pending'`,
		u, c, db.JSON(nonNil(roles)), db.At(now))
	return n == 1, err
}

// Move changes the status of an enrolment that is in the status was; false if
// it is not there or in another one.
func Move(ctx context.Context, tx *db.Tx, u identity.UserID, c ID, was, becomes Status, now time.Time) (bool, error) {
	n, err := tx.Exec(ctx, `UPDATE enrolments SET status = $4, updated_at = $5 WHERE user_id = $1 AND client_id = $2 AND status = $3`,
		u, c, was, becomes, db.At(now))
	return n == 1, err
}

// SetRoles replaces the roles of an enrolment; db.ErrNotFound if there is none.
// What it takes away no rule gives again, and what it adds no rule takes back.
func SetRoles(ctx context.Context, tx *db.Tx, u identity.UserID, c ID, roles []string, now time.Time) error {
	was, err := lockRoles(ctx, tx, u, c)
	if err != nil {
		return err
	}
	if err := byHand(ctx, tx, u, c, was, roles); err != nil {
		return err
	}
	return putRoles(ctx, tx, u, c, roles, now)
}

// Remove ends a user's place in a client; db.ErrNotFound if there is none.
func Remove(ctx context.Context, tx *db.Tx, u identity.UserID, c ID) error {
	return one(tx.Exec(ctx, `DELETE FROM enrolments WHERE user_id = $1 AND client_id = $2`, u, c))
}

// RemovePending ends a user's place in a client if it waits for approval.
func RemovePending(ctx context.Context, tx *db.Tx, u identity.UserID, c ID) (bool, error) {
	n, err := tx.Exec(ctx, `DELETE FROM enrolments WHERE user_id = $1 AND client_id = $2 AND status = 'pending'`, u, c)
	return n == 1, err
}

// EnrolmentsOf returns the places of all the given users, by user, in one
// statement a hundred users.
func EnrolmentsOf(ctx context.Context, tx *db.Tx, users ...identity.UserID) (map[identity.UserID][]Enrolment, error) {
	all := make(map[identity.UserID][]Enrolment, len(users))
	for start := 0; start < len(users); start += 100 {
		chunk := users[start:min(start+100, len(users))]
		marks, args := "", make([]any, len(chunk))
		for i, u := range chunk {
			if i > 0 {
				marks += ", "
			}
			marks += fmt.Sprintf("$%d", i+1)
			args[i] = u
		}
		es, err := db.All(ctx, tx, scanEnrolment, `SELECT `+enrolmentColumns+` FROM enrolments e WHERE e.user_id IN (`+marks+`) ORDER BY e.created_at, e.client_id`, args...)
		if err != nil {
			return nil, fmt.Errorf("list enrolments: %w", err)
		}
		for _, e := range es {
			all[e.UserID] = append(all[e.UserID], e)
		}
	}
	return all, nil
}

// DemandsFactor reports whether a client in which the user is active demands a
// second factor of everybody.
func DemandsFactor(ctx context.Context, tx *db.Tx, u identity.UserID) (bool, error) {
	policies, err := db.All(ctx, tx, func(r db.Row) (p Policy, err error) { err = r.Scan(db.JSON(&p)); return p, err },
		`SELECT c.policy FROM enrolments e JOIN clients c ON c.id = e.client_id WHERE e.user_id = $1 AND e.status = 'active' AND c.active`, u)
	for _, p := range policies {
		if p.SecondFactor == FactorRequired {
			return true, nil
		}
	}
	return false, err
}

// PasswordOf is the strictest password policy among the clients that the user
// has a place in.
func PasswordOf(ctx context.Context, tx *db.Tx, u identity.UserID) (PasswordPolicy, error) {
	clients, err := db.All(ctx, tx, scan, `SELECT `+Columns+from+` JOIN enrolments e ON e.client_id = c.id WHERE e.user_id = $1 AND c.active`, u)
	p := PasswordPolicy{}.Stricter(PasswordPolicy{})
	for _, c := range clients {
		p = p.Stricter(c.Password())
	}
	return p, err
}

// Enrolled returns one page of the enrolments of a client, oldest first, and
// how many match. status and search (in address and display name) narrow it
// if not empty.
func Enrolled(ctx context.Context, tx *db.Tx, c ID, status Status, search string, limit, offset int) ([]Enrolment, int, error) {
	const where = ` FROM enrolments e JOIN users u ON u.id = e.user_id LEFT JOIN emails m ON m.user_id = u.id AND m.is_primary
		WHERE e.client_id = $1 AND ($2 = '' OR e.status = $2) AND ($3 = '' OR m.address LIKE $3 ESCAPE '!' OR LOWER(u.display_name) LIKE $3 ESCAPE '!')`
	if search != "" {
		search = identity.Like(search)
	}
	total, err := db.One(ctx, tx, db.Int, `SELECT COUNT(*)`+where, c, status, search)
	if err != nil {
		return nil, 0, fmt.Errorf("count enrolments: %w", err)
	}
	all, err := db.All(ctx, tx, scanEnrolment, `SELECT `+enrolmentColumns+where+` ORDER BY e.created_at, e.user_id LIMIT $4 OFFSET $5`, c, status, search, limit, offset)
	return all, int(total), err
}

func nonNil(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
