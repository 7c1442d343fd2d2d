package signin

import (
	"context"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/token"
)

// presented is all that a refresh reads: the family of the token, its client and
// the standing of its user there.
type presented struct {
	family   token.Stored
	client   client.Row
	standing client.StandingRow
}

func scanPresented(r db.Row) (p presented, err error) {
	dest := append(p.family.Dest(), p.client.Dest()...)
	err = r.Scan(append(dest, p.standing.Dest()...)...)
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
	return db.One(ctx, tx, scanPresented, `SELECT `+token.Columns+`, `+client.Columns+`, `+client.StandingColumns+`
		FROM refresh_families f JOIN clients c ON c.id = f.client_id LEFT JOIN tenants t ON t.id = c.tenant_id
		JOIN users u ON u.id = f.user_id LEFT JOIN emails m ON m.user_id = u.id AND m.is_primary
		LEFT JOIN enrolments e ON e.user_id = f.user_id AND e.client_id = f.client_id
		WHERE f.id = $1 AND f.expires_at > $2 AND f.grant_id IS NULL`, family, db.At(now))
}
