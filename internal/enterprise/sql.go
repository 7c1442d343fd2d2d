package enterprise

import (
	"context"

	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/org"
)

// linked counts the people who are linked by the connection of an organization.
func linked(ctx context.Context, tx *db.Tx, key string) (int, error) {
	n, err := db.One(ctx, tx, db.Int, `SELECT COUNT(*) FROM links WHERE upstream = $1`, key)
	return int(n), err
}

// hasLink reports whether a user has signed in by a connection as it is now.
func hasLink(ctx context.Context, tx *db.Tx, u identity.UserID, key, issuer string) (bool, error) {
	return db.One(ctx, tx, db.Bool, `SELECT EXISTS (SELECT 1 FROM links WHERE user_id = $1 AND upstream = $2 AND issuer = $3)`, u, key, issuer)
}

// unlinkAll drops the links of a connection and returns how many there were.
func unlinkAll(ctx context.Context, tx *db.Tx, key string) (int64, error) {
	return tx.Exec(ctx, `DELETE FROM links WHERE upstream = $1`, key)
}

// owner is whom an organization's mails go to.
type owner struct{ email, name string }

// owners are the members with that role who have a proved address.
func owners(ctx context.Context, tx *db.Tx, id org.ID) ([]owner, error) {
	return db.All(ctx, tx, func(r db.Row) (o owner, err error) {
		err = r.Scan(&o.email, &o.name)
		return o, err
	}, `SELECT e.address, u.display_name FROM memberships m JOIN users u ON u.id = m.user_id AND u.status = 'active'
		JOIN emails e ON e.user_id = u.id AND e.is_primary AND e.verified_at IS NOT NULL
		WHERE m.org_id = $1 AND m.role = 'owner' ORDER BY m.created_at, m.id LIMIT 50`, id)
}

// factors are the members of an organization with whether they have a second factor:
// an authenticator that is confirmed, codes by mail that they chose, or a passkey.
func factors(ctx context.Context, tx *db.Tx, id org.ID) ([]MemberFactor, error) {
	return db.All(ctx, tx, func(r db.Row) (f MemberFactor, err error) {
		err = r.Scan(&f.MembershipID, &f.UserID, &f.Role, &f.Email, &f.Name, &f.TwoFactor)
		return f, err
	}, `SELECT m.id, m.user_id, m.role, COALESCE(e.address, ''), u.display_name,
			EXISTS (SELECT 1 FROM totp t WHERE t.user_id = u.id AND t.confirmed_at IS NOT NULL)
			OR EXISTS (SELECT 1 FROM mailed_factors f WHERE f.user_id = u.id AND f.chosen) OR EXISTS (SELECT 1 FROM passkeys p WHERE p.user_id = u.id)
		FROM memberships m JOIN users u ON u.id = m.user_id LEFT JOIN emails e ON e.user_id = u.id AND e.is_primary
		WHERE m.org_id = $1 ORDER BY m.created_at, m.id`, id)
}
