package oauth

import (
	"context"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/grant"
	"sallyport/internal/secret"
	"sallyport/internal/session"
)

// sight is all that an authorization request is judged by: its client, the
// session of the browser it came by with the standing of its person, and what
// that person consented to. Everything but the client may be zero.
type sight struct {
	client   client.Client
	session  session.Session
	standing client.Standing
	consent  grant.Consent
}

// sightOf reads it with one statement, because each is a round trip on
// PostgreSQL. Fails with db.ErrNotFound for a client that does not exist.
func sightOf(ctx context.Context, tx *db.Tx, id client.ID, cookie string, now time.Time) (sight, error) {
	return db.One(ctx, tx, func(r db.Row) (s sight, err error) {
		var cl client.Row
		var st client.StandingRow
		var authenticated db.Time
		dest := append(cl.Dest(), st.Dest()...)
		err = r.Scan(append(dest, &s.session.ID, &s.session.UserID, db.JSON(&s.session.AMR), &s.session.Partial, &s.session.Upstream, &authenticated,
			&s.consent.UserID, db.JSON(&s.consent.Scope), db.JSON(&s.consent.Resources), db.JSON(&s.consent.Claims))...)
		cl.Scanned()
		st.Scanned()
		s.client, s.standing, s.session.AuthenticatedAt = cl.Client, st.Standing, authenticated.Time
		return s, err
	}, `SELECT `+client.Columns+`, `+client.StandingColumns+`, s.id, s.user_id, s.amr, s.partial, s.upstream, s.authenticated_at, k.user_id, k.scope, k.resources, k.claims
		FROM clients c LEFT JOIN tenants t ON t.id = c.tenant_id
		LEFT JOIN sessions s ON s.token_hash = $2 AND s.expires_at > $3
		LEFT JOIN users u ON u.id = s.user_id LEFT JOIN emails m ON m.user_id = u.id AND m.is_primary
		LEFT JOIN enrolments e ON e.user_id = u.id AND e.client_id = c.id
		LEFT JOIN consents k ON k.user_id = u.id AND k.client_id = c.id
		WHERE c.id = $1`, id, secret.Hash(cookie), db.At(now))
}
