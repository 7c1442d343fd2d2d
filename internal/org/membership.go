package org

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
)

const membershipColumns = `m.id, m.org_id, m.user_id, m.role, m.created_at, m.updated_at`

// rank is the height of a role that is in a column or an argument.
func rank(role string) string {
	return `(CASE ` + role + ` WHEN 'owner' THEN 3 WHEN 'admin' THEN 2 WHEN 'member' THEN 1 ELSE 0 END)`
}

type membershipRow struct {
	Membership
	times [2]db.Time
}

func (r *membershipRow) dest() []any {
	return []any{&r.ID, &r.OrgID, &r.UserID, &r.Role, &r.times[0], &r.times[1]}
}

func (r *membershipRow) scanned() Membership {
	r.CreatedAt, r.UpdatedAt = r.times[0].Time, r.times[1].Time
	return r.Membership
}

func scanMembership(r db.Row) (Membership, error) {
	var m membershipRow
	err := r.Scan(m.dest()...)
	return m.scanned(), err
}

func scanSeat(r db.Row) (s Seat, err error) {
	var m membershipRow
	var o row
	err = r.Scan(append(append(m.dest(), o.dest()...), &s.Preferred)...)
	s.Membership, s.Org = m.scanned(), o.scanned()
	return s, err
}

// Join makes a user a member with a role, or raises the role of one who is: it
// never lowers it. It reports whether this call made the membership; of any number
// of callers one does. db.ErrReference means that user or organization is gone.
func Join(ctx context.Context, tx *db.Tx, id ID, u identity.UserID, role Role, now time.Time) (Membership, bool, error) {
	mine := MembershipID(identity.NewID())
	m, err := db.One(ctx, tx, scanMembership, `INSERT INTO memberships (id, org_id, user_id, role, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)
		ON CONFLICT (org_id, user_id) DO UPDATE SET role = $4, base_role = `+byHand+`, updated_at = $5 WHERE `+rank(`memberships.role`)+` < `+rank(`$4`)+`
		RETURNING id, org_id, user_id, role, created_at, updated_at`,
		mine, id, u, role, db.At(now))
	if errors.Is(err, db.ErrNotFound) { // there already, with that much or more
		m, err = MembershipOf(ctx, tx, id, u)
	}
	if err != nil {
		return m, false, fmt.Errorf("join organization: %w", err)
	}
	return m, m.ID == mine, nil
}

// MembershipOf returns a user's place in an organization, or db.ErrNotFound.
func MembershipOf(ctx context.Context, tx *db.Tx, id ID, u identity.UserID) (Membership, error) {
	return db.One(ctx, tx, scanMembership, `SELECT `+membershipColumns+` FROM memberships m WHERE m.org_id = $1 AND m.user_id = $2`, id, u)
}

// MembershipByID returns a membership, or db.ErrNotFound.
func MembershipByID(ctx context.Context, tx *db.Tx, id MembershipID) (Membership, error) {
	return db.One(ctx, tx, scanMembership, `SELECT `+membershipColumns+` FROM memberships m WHERE m.id = $1`, id)
}

// SetRole gives a member another role. ErrLastOwner means that it would leave the
// organization without an owner, db.ErrNotFound that they are no member.
func SetRole(ctx context.Context, tx *db.Tx, id ID, u identity.UserID, role Role, now time.Time) error {
	n, err := guarded(ctx, tx, id, `UPDATE memberships SET role = $3, base_role = `+byHand+`, updated_at = $4 WHERE org_id = $1 AND user_id = $2
		AND ($3 = 'owner' OR role <> 'owner' OR `+otherOwner+`)`, id, u, role, db.At(now))
	return refused(ctx, tx, id, u, n, err)
}

// Leave ends a membership, and with it the sign-ins that act in it. Its failures
// are those of SetRole.
func Leave(ctx context.Context, tx *db.Tx, id ID, u identity.UserID) error {
	n, err := guarded(ctx, tx, id, `DELETE FROM memberships WHERE org_id = $1 AND user_id = $2 AND (role <> 'owner' OR `+otherOwner+`)`, id, u)
	return refused(ctx, tx, id, u, n, err)
}

const otherOwner = `EXISTS (SELECT 1 FROM memberships x WHERE x.org_id = $1 AND x.user_id <> $2 AND x.role = 'owner')`

// guarded runs a statement that counts owners. Two of them, each for the other
// owner, would both be right by what they see: so each waits for the one before.
func guarded(ctx context.Context, tx *db.Tx, id ID, query string, args ...any) (int64, error) {
	if err := Lock(ctx, tx, id); err != nil {
		return 0, err
	}
	return tx.Exec(ctx, query, args...)
}

// refused says why a guarded statement changed nothing.
func refused(ctx context.Context, tx *db.Tx, id ID, u identity.UserID, n int64, err error) error {
	if err != nil || n == 1 {
		return err
	}
	if _, err := MembershipOf(ctx, tx, id, u); err != nil {
		return err
	}
	return ErrLastOwner
}

// Seats returns the memberships of a user with their organizations in one
// statement, oldest first.
func Seats(ctx context.Context, tx *db.Tx, u identity.UserID) ([]Seat, error) {
	return db.All(ctx, tx, scanSeat, seats+` WHERE m.user_id = $1 ORDER BY m.created_at, m.id`, u)
}

// SeatOf returns a user's place in one organization, or db.ErrNotFound.
func SeatOf(ctx context.Context, tx *db.Tx, id ID, u identity.UserID) (Seat, error) {
	return db.One(ctx, tx, scanSeat, seats+` WHERE m.org_id = $1 AND m.user_id = $2`, id, u)
}

// Chosen returns the membership that a sign-in acts in: the preferred one, else
// the oldest, of those in an open organization. db.ErrNotFound means that there
// is none.
func Chosen(ctx context.Context, tx *db.Tx, u identity.UserID) (Seat, error) {
	return db.One(ctx, tx, scanSeat, seats+` WHERE m.user_id = $1 AND o.status NOT IN ('suspended', 'closed')
		ORDER BY p.user_id IS NULL, m.created_at, m.id LIMIT 1`, u)
}

const seats = `SELECT ` + membershipColumns + `, ` + columns + `, p.user_id IS NOT NULL
	FROM memberships m JOIN orgs o ON o.id = m.org_id LEFT JOIN preferred_memberships p ON p.membership_id = m.id`

// Prefer notes the membership that its user prefers from now on.
func Prefer(ctx context.Context, tx *db.Tx, m Membership) error {
	_, err := tx.Exec(ctx, `INSERT INTO preferred_memberships (user_id, membership_id) VALUES ($1, $2)
		ON CONFLICT (user_id) DO UPDATE SET membership_id = $2`, m.UserID, m.ID)
	return err
}

// Preferred is the membership that a user prefers, "" for none.
func Preferred(ctx context.Context, tx *db.Tx, u identity.UserID) (MembershipID, error) {
	id, err := db.One(ctx, tx, db.Text, `SELECT membership_id FROM preferred_memberships WHERE user_id = $1`, u)
	if errors.Is(err, db.ErrNotFound) {
		err = nil
	}
	return MembershipID(id), err
}

// Own founds an organization of a user's own below a tenant, if there is one, and
// if they are a member of none; it reports whether it did.
func Own(ctx context.Context, tx *db.Tx, u identity.UserID, t client.TenantID, now time.Time) (Seat, bool, error) {
	member, err := db.One(ctx, tx, db.Bool, `SELECT EXISTS (SELECT 1 FROM memberships WHERE user_id = $1)`, u)
	if err != nil || member {
		return Seat{}, false, err
	}
	s, err := Found(ctx, tx, Org{Tenant: t}, u, now)
	return s, err == nil, err
}

// Share reports whether two users are members of one organization.
func Share(ctx context.Context, tx *db.Tx, a, b identity.UserID) (bool, error) {
	return db.One(ctx, tx, db.Bool, `SELECT EXISTS (SELECT 1 FROM memberships x JOIN memberships y ON y.org_id = x.org_id WHERE x.user_id = $1 AND y.user_id = $2)`, a, b)
}

// Members returns one page of the members of an organization, oldest first, and
// how many there are.
func Members(ctx context.Context, tx *db.Tx, id ID, limit, offset int) ([]Membership, int, error) {
	total, err := db.One(ctx, tx, db.Int, `SELECT COUNT(*) FROM memberships WHERE org_id = $1`, id)
	if err != nil {
		return nil, 0, fmt.Errorf("count members: %w", err)
	}
	all, err := db.All(ctx, tx, scanMembership, `SELECT `+membershipColumns+` FROM memberships m WHERE m.org_id = $1
		ORDER BY m.created_at, m.id LIMIT $2 OFFSET $3`, id, limit, offset)
	return all, int(total), err
}
