package client

import (
	"context"
	"slices"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/identity"
)

// What a rule did with a role of an enrolment.
const (
	roleGiven  = "given"
	roleBarred = "barred"
)

// ruleState is what a rule did with a role, and whose: "" for the client's own.
type ruleState struct{ state, source string }

// lockRoles reads the roles of an enrolment and has whoever else changes them
// wait until this transaction ends.
func lockRoles(ctx context.Context, tx *db.Tx, u identity.UserID, c ID) (roles []string, err error) {
	return db.One(ctx, tx, func(r db.Row) (roles []string, err error) { err = r.Scan(db.JSON(&roles)); return roles, err },
		`UPDATE enrolments SET status = status WHERE user_id = $1 AND client_id = $2 RETURNING roles`, u, c)
}

// putRoles stores the roles of an enrolment that is locked.
func putRoles(ctx context.Context, tx *db.Tx, u identity.UserID, c ID, roles []string, now time.Time) error {
	return one(tx.Exec(ctx, `UPDATE enrolments SET roles = $3, updated_at = $4 WHERE user_id = $1 AND client_id = $2`,
		u, c, db.JSON(nonNil(roles)), db.At(now)))
}

// ruleStates are the states of an enrolment's roles that a rule gave.
func ruleStates(ctx context.Context, tx *db.Tx, u identity.UserID, c ID) (map[string]ruleState, error) {
	rows, err := db.All(ctx, tx, func(r db.Row) (row [3]string, err error) { err = r.Scan(&row[0], &row[1], &row[2]); return row, err },
		`SELECT role, state, source FROM rule_roles WHERE user_id = $1 AND client_id = $2`, u, c)
	states := make(map[string]ruleState, len(rows))
	for _, row := range rows {
		states[row[0]] = ruleState{row[1], row[2]}
	}
	return states, err
}

func putRuleState(ctx context.Context, tx *db.Tx, u identity.UserID, c ID, role string, s ruleState) error {
	_, err := tx.Exec(ctx, `INSERT INTO rule_roles (user_id, client_id, role, state, source) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (user_id, client_id, role) DO UPDATE SET state = $4, source = $5`, u, c, role, s.state, s.source)
	return err
}

// RuledBy are the clients in which rules of a source gave a user roles.
func RuledBy(ctx context.Context, tx *db.Tx, u identity.UserID, source string) ([]ID, error) {
	return db.All(ctx, tx, func(r db.Row) (c ID, err error) { err = r.Scan(&c); return c, err },
		`SELECT DISTINCT client_id FROM rule_roles WHERE user_id = $1 AND source = $2 AND state = 'given' ORDER BY client_id`, u, source)
}

// RuledPeople are the users whom rules of a source gave roles, in whatever client.
func RuledPeople(ctx context.Context, tx *db.Tx, source string) ([]identity.UserID, error) {
	return db.All(ctx, tx, func(r db.Row) (u identity.UserID, err error) { err = r.Scan(&u); return u, err },
		`SELECT DISTINCT user_id FROM rule_roles WHERE source = $1 AND source <> '' AND state = 'given' ORDER BY user_id`, source)
}

func clearRuleState(ctx context.Context, tx *db.Tx, u identity.UserID, c ID, role string) error {
	_, err := tx.Exec(ctx, `DELETE FROM rule_roles WHERE user_id = $1 AND client_id = $2 AND role = $3`, u, c, role)
	return err
}

// byHand notes which roles somebody took away and which they gave, so that no rule
// undoes it.
func byHand(ctx context.Context, tx *db.Tx, u identity.UserID, c ID, before, after []string) error {
	for _, role := range before {
		if !slices.Contains(after, role) {
			if err := putRuleState(ctx, tx, u, c, role, ruleState{state: roleBarred}); err != nil {
				return err
			}
		}
	}
	for _, role := range after {
		if !slices.Contains(before, role) {
			if err := clearRuleState(ctx, tx, u, c, role); err != nil {
				return err
			}
		}
	}
	return nil
}

// holders are the users who have a role in a client, oldest enrolment first;
// active leaves out who cannot sign in. A role is looked for in its stored form.
func holders(ctx context.Context, tx *db.Tx, c ID, role string, active bool) ([]identity.UserID, error) {
	pattern, err := holding("", role)
	if err != nil {
		return nil, err
	}
	where := ``
	if active {
		where = ` AND e.status = 'active' AND u.status = 'active'`
	}
	all, err := db.All(ctx, tx, scanEnrolment, `SELECT `+enrolmentColumns+` FROM enrolments e JOIN users u ON u.id = e.user_id
		WHERE e.client_id = $1 AND e.roles LIKE $2 ESCAPE '!'`+where+` ORDER BY e.created_at, e.user_id`, c, pattern)
	users := []identity.UserID{}
	for _, e := range all {
		if slices.Contains(e.Roles, role) {
			users = append(users, e.UserID)
		}
	}
	return users, err
}
