package signin

import (
	"context"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/org"
	"sallyport/internal/sso"
	"sallyport/internal/token"
)

// presented is all that a refresh reads: the family of the token, its client, the
// standing of its user there, and the organization that it acts in with the role
// that the user has in it now.
type presented struct {
	family   token.Stored
	client   client.Row
	standing client.StandingRow
	org      org.Org // id and status
	role     org.Role
}

func scanPresented(r db.Row) (p presented, err error) {
	dest := append(p.family.Dest(), p.client.Dest()...)
	dest = append(dest, p.standing.Dest()...)
	err = r.Scan(append(dest, &p.org.ID, &p.org.Status, &p.role)...)
	p.family.Scanned()
	p.client.Scanned()
	p.standing.Scanned()
	return p, err
}

// presentedBy reads it with one statement, because a refresh is the most frequent
// of all operations and each statement is a round trip on PostgreSQL. Fails with
// db.ErrNotFound for a family that has ended, and for one of a grant: it is
// refreshed at the provider, where the client proves itself.
func presentedBy(ctx context.Context, tx *db.Tx, family int64, now time.Time) (presented, error) {
	return db.One(ctx, tx, scanPresented, `SELECT `+token.Columns+`, `+client.Columns+`, `+client.StandingColumns+`, o.id, o.status, ms.role
		FROM refresh_families f JOIN clients c ON c.id = f.client_id LEFT JOIN tenants t ON t.id = c.tenant_id
		JOIN users u ON u.id = f.user_id LEFT JOIN emails m ON m.user_id = u.id AND m.is_primary
		LEFT JOIN enrolments e ON e.user_id = f.user_id AND e.client_id = f.client_id
		LEFT JOIN memberships ms ON ms.id = f.membership_id LEFT JOIN orgs o ON o.id = ms.org_id
		WHERE f.id = $1 AND f.expires_at > $2 AND f.grant_id IS NULL`, family, db.At(now))
}

// doorFor reads a client, and where the people of a domain sign in, with one
// statement. Fails with db.ErrNotFound for a client that does not exist.
func doorFor(ctx context.Context, tx *db.Tx, id client.ID, domain string) (cl client.Client, to sso.Routed, err error) {
	cl, err = db.One(ctx, tx, func(r db.Row) (client.Client, error) {
		var c client.Row
		err := r.Scan(append(c.Dest(), to.Dest()...)...)
		c.Scanned()
		return c.Client, err
	}, `SELECT `+client.Columns+`, `+sso.RouteColumns+` FROM clients c LEFT JOIN tenants t ON t.id = c.tenant_id`+sso.RouteJoin(`$2`)+` WHERE c.id = $1`, id, domain)
	return cl, to, err
}
