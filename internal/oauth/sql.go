package oauth

import (
	"context"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/grant"
	"sallyport/internal/token"
)

// held is a grant with its client and the standing of its person there: all
// that a token request is judged by. revoked is asked of an access token alone.
type held struct {
	grant    grant.Row
	client   client.Row
	standing client.StandingRow
	revoked  bool
}

// One statement reads it, because each is a round trip on PostgreSQL.
const (
	heldColumns = grant.Columns + `, ` + client.Columns + `, ` + client.StandingColumns
	heldFrom    = ` JOIN clients c ON c.id = g.client_id LEFT JOIN tenants t ON t.id = c.tenant_id
		JOIN users u ON u.id = g.user_id LEFT JOIN emails m ON m.user_id = u.id AND m.is_primary
		LEFT JOIN enrolments e ON e.user_id = g.user_id AND e.client_id = g.client_id `
)

func (h *held) dest() []any {
	return append(append(h.grant.Dest(), h.client.Dest()...), h.standing.Dest()...)
}

func (h *held) scanned() {
	h.grant.Scanned()
	h.client.Scanned()
	h.standing.Scanned()
}

func scanHeld(r db.Row) (h held, err error) {
	err = r.Scan(h.dest()...)
	h.scanned()
	return h, err
}

// heldByCode reads the grant of a code, redeemed or not, or fails with
// db.ErrNotFound.
func heldByCode(ctx context.Context, tx *db.Tx, hash []byte) (held, error) {
	return db.One(ctx, tx, scanHeld, `SELECT `+heldColumns+` FROM grants g`+heldFrom+`WHERE g.code_hash = $1`, hash)
}

// heldByToken reads the grant that an access token names, and whether the token
// was revoked. Fails with db.ErrNotFound for a grant that has ended.
func heldByToken(ctx context.Context, tx *db.Tx, id grant.ID, jti string) (held, error) {
	return db.One(ctx, tx, func(r db.Row) (h held, err error) {
		err = r.Scan(append(h.dest(), &h.revoked)...)
		h.scanned()
		return h, err
	}, `SELECT `+heldColumns+`, EXISTS (SELECT 1 FROM revoked_tokens r WHERE r.id = $2) FROM grants g`+heldFrom+`WHERE g.id = $1`, id, jti)
}

// clientByToken reads the client of a token that no person is behind, and
// whether the token was revoked, or fails with db.ErrNotFound.
func clientByToken(ctx context.Context, tx *db.Tx, id client.ID, jti string) (h held, err error) {
	return db.One(ctx, tx, func(r db.Row) (h held, err error) {
		err = r.Scan(append(h.client.Dest(), &h.revoked)...)
		h.client.Scanned()
		return h, err
	}, `SELECT `+client.Columns+`, EXISTS (SELECT 1 FROM revoked_tokens r WHERE r.id = $2)
		FROM clients c LEFT JOIN tenants t ON t.id = c.tenant_id WHERE c.id = $1`, id, jti)
}

// heldFamily is a refresh-token family with what it hangs on.
type heldFamily struct {
	held
	family token.Stored
}

// heldByFamily reads a living family of a grant, or fails with db.ErrNotFound.
func heldByFamily(ctx context.Context, tx *db.Tx, family int64, now time.Time) (heldFamily, error) {
	return db.One(ctx, tx, func(r db.Row) (h heldFamily, err error) {
		err = r.Scan(append(h.family.Dest(), h.dest()...)...)
		h.family.Scanned()
		h.scanned()
		return h, err
	}, `SELECT `+token.Columns+`, `+heldColumns+` FROM refresh_families f JOIN grants g ON g.id = f.grant_id`+heldFrom+`WHERE f.id = $1 AND f.expires_at > $2`,
		family, db.At(now))
}
