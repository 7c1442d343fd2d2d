package self

import (
	"context"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
)

func scanHolder(r db.Row) (h Holder, err error) {
	err = r.Scan(&h.UserID, db.JSON(&h.Roles))
	return h, err
}

// holderOf reads the owner of a token with one statement, because every request
// of a surface whose tokens name a session asks for it.
func holderOf(ctx context.Context, tx *db.Tx, in HolderIn, now time.Time) (Holder, error) {
	return db.One(ctx, tx, scanHolder, `SELECT u.id, e.roles
		FROM aliases a JOIN users u ON u.id = a.user_id AND u.status = 'active'
		JOIN enrolments e ON e.user_id = u.id AND e.client_id = a.client_id AND e.status = 'active'
		JOIN clients c ON c.id = a.client_id AND c.active
		WHERE a.client_id = $1 AND a.alias = $2
		AND ($3 = '' OR EXISTS (SELECT 1 FROM sessions s WHERE s.id = $3 AND s.user_id = u.id AND NOT s.partial AND s.expires_at > $4))`,
		in.ClientID, in.Alias, in.Session, db.At(now))
}

// mayAct reports whether a user and their place in a client are active, and the
// client is switched on.
func mayAct(ctx context.Context, tx *db.Tx, u identity.UserID, id client.ID) (bool, error) {
	return db.One(ctx, tx, db.Bool, `SELECT EXISTS (SELECT 1 FROM users u
		JOIN enrolments e ON e.user_id = u.id AND e.client_id = $2 AND e.status = 'active'
		JOIN clients c ON c.id = $2 AND c.active
		WHERE u.id = $1 AND u.status = 'active')`, u, id)
}
