package grant

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/secret"
	"sallyport/internal/session"
)

// Columns are those of a Row, of grants named g.
const Columns = `g.id, g.client_id, g.user_id, g.session_id, g.issuer, g.subject, g.scope, g.resources, g.claims, g.amr, g.acr, g.upstream, g.binding, g.actor,
	g.authenticated_at, g.code, g.code_expires_at, g.redeemed_at, g.created_at, g.expires_at`

// Row is a grant on its way from the database, alone or beside other columns.
type Row struct {
	Grant
	claims, actor string
	times         [5]db.Time
}

// Dest is where Columns are scanned to; Scanned completes the grant after that.
func (g *Row) Dest() []any {
	return []any{&g.ID, &g.ClientID, &g.UserID, &g.SessionID, &g.Issuer, &g.Subject, db.JSON(&g.Scope), db.JSON(&g.Resources), &g.claims, db.JSON(&g.AMR), &g.ACR, &g.Upstream,
		db.JSON(&g.Binding), &g.actor, &g.times[0], db.JSON(&g.Code), &g.times[1], &g.times[2], &g.times[3], &g.times[4]}
}

// Scanned completes a grant whose columns were scanned.
func (g *Row) Scanned() {
	g.Claims, g.Actor = raw(g.claims), raw(g.actor)
	g.AuthenticatedAt, g.CodeExpiresAt, g.RedeemedAt = g.times[0].Time, g.times[1].Time, g.times[2].Time
	g.CreatedAt, g.ExpiresAt = g.times[3].Time, g.times[4].Time
}

func scan(r db.Row) (Grant, error) {
	var g Row
	err := r.Scan(g.Dest()...)
	g.Scanned()
	return g.Grant, err
}

// raw is the JSON of a column, nil if there is none.
func raw(s string) json.RawMessage {
	if s == "" {
		return nil
	}
	return json.RawMessage(s)
}

// Create stores g with the hash of its code, nil for a grant without one. The
// caller fills every field but RedeemedAt; ExpiresAt is when it may be swept
// unless something came of it. Fails with db.ErrReference for a user or client
// that does not exist.
func Create(ctx context.Context, tx *db.Tx, g Grant, codeHash []byte) error {
	_, err := tx.Exec(ctx, `INSERT INTO grants (id, client_id, user_id, session_id, issuer, subject, scope, resources, claims, amr, acr, upstream, binding, actor,
		authenticated_at, code_hash, code, code_expires_at, redeemed_at, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, NULL, $19, $20)`,
		g.ID, g.ClientID, g.UserID, g.SessionID, g.Issuer, g.Subject, db.JSON(nonNil(g.Scope)), db.JSON(nonNil(g.Resources)), string(g.Claims), db.JSON(nonNil(g.AMR)), g.ACR, g.Upstream,
		db.JSON(g.Binding), string(g.Actor), db.At(g.AuthenticatedAt), codeHash, db.JSON(g.Code), db.AtOrNull(g.CodeExpiresAt), db.At(g.CreatedAt), db.At(g.ExpiresAt))
	if err != nil {
		return fmt.Errorf("create grant: %w", err)
	}
	return nil
}

// ByID returns a grant, or db.ErrNotFound. One past its ExpiresAt is found until
// it is swept.
func ByID(ctx context.Context, tx *db.Tx, id ID) (Grant, error) {
	return db.One(ctx, tx, scan, `SELECT `+Columns+` FROM grants g WHERE g.id = $1`, id)
}

// ByCode returns the grant of a code, redeemed or not, or db.ErrNotFound.
func ByCode(ctx context.Context, tx *db.Tx, hash []byte) (Grant, error) {
	return db.One(ctx, tx, scan, `SELECT `+Columns+` FROM grants g WHERE g.code_hash = $1`, hash)
}

// Redeem spends the code of a grant, which then lives on until the time given.
// Of any number of concurrent callers one succeeds. Fails with ErrReplayed if
// the code was spent before, and db.ErrNotFound if it has expired or there is
// none.
func Redeem(ctx context.Context, tx *db.Tx, id ID, until, now time.Time) error {
	n, err := tx.Exec(ctx, `UPDATE grants SET redeemed_at = $3, expires_at = $2 WHERE id = $1 AND redeemed_at IS NULL AND code_expires_at > $3`,
		id, db.At(until), db.At(now))
	if err != nil {
		return fmt.Errorf("redeem code: %w", err)
	}
	if n == 1 {
		return nil
	}
	switch g, err := ByID(ctx, tx, id); {
	case err != nil:
		return err
	case g.RedeemedAt.IsZero():
		return db.ErrNotFound
	}
	return ErrReplayed
}

// Bind notes the key that the tokens of a grant are bound to.
func Bind(ctx context.Context, tx *db.Tx, id ID, b Binding) error {
	_, err := tx.Exec(ctx, `UPDATE grants SET binding = $2 WHERE id = $1`, id, db.JSON(b))
	return err
}

// Extend lets a grant live until the time given, if that is later than what it
// has; db.ErrNotFound if it has ended.
func Extend(ctx context.Context, tx *db.Tx, id ID, until time.Time) error {
	n, err := tx.Exec(ctx, `UPDATE grants SET expires_at = CASE WHEN expires_at < $2 THEN $2 ELSE expires_at END WHERE id = $1`, id, db.At(until))
	if err == nil && n == 0 {
		return db.ErrNotFound
	}
	return err
}

// End ends a grant with its refresh-token families; false if it had ended.
func End(ctx context.Context, tx *db.Tx, id ID) (bool, error) {
	n, err := tx.Exec(ctx, `DELETE FROM grants WHERE id = $1`, id)
	return n == 1, err
}

// EndByUserClient ends all that a user granted a client, and reports how many
// grants there were.
func EndByUserClient(ctx context.Context, tx *db.Tx, u identity.UserID, c client.ID) (int64, error) {
	return tx.Exec(ctx, `DELETE FROM grants WHERE user_id = $1 AND client_id = $2`, u, c)
}

// BySession returns what was granted in a session, oldest first.
func BySession(ctx context.Context, tx *db.Tx, s session.ID) ([]Grant, error) {
	if s == "" {
		return nil, nil
	}
	return db.All(ctx, tx, scan, `SELECT `+Columns+` FROM grants g WHERE g.session_id = $1 ORDER BY g.created_at, g.id`, s)
}

// ByUser returns what a user granted a client, to any if it is empty, oldest
// first.
func ByUser(ctx context.Context, tx *db.Tx, u identity.UserID, c client.ID) ([]Grant, error) {
	return db.All(ctx, tx, scan, `SELECT `+Columns+` FROM grants g WHERE g.user_id = $1 AND ($2 = '' OR g.client_id = $2) ORDER BY g.created_at, g.id`, u, c)
}

const consentColumns = `user_id, client_id, scope, resources, claims, created_at, updated_at`

func scanConsent(r db.Row) (c Consent, err error) {
	var created, updated db.Time
	err = r.Scan(&c.UserID, &c.ClientID, db.JSON(&c.Scope), db.JSON(&c.Resources), db.JSON(&c.Claims), &created, &updated)
	c.CreatedAt, c.UpdatedAt = created.Time, updated.Time
	return c, err
}

// ConsentOf returns what a user lets a client have, or db.ErrNotFound.
func ConsentOf(ctx context.Context, tx *db.Tx, u identity.UserID, c client.ID) (Consent, error) {
	return db.One(ctx, tx, scanConsent, `SELECT `+consentColumns+` FROM consents WHERE user_id = $1 AND client_id = $2`, u, c)
}

// ConsentsOf returns all consents of a user, newest first.
func ConsentsOf(ctx context.Context, tx *db.Tx, u identity.UserID) ([]Consent, error) {
	return db.All(ctx, tx, scanConsent, `SELECT `+consentColumns+` FROM consents WHERE user_id = $1 ORDER BY updated_at DESC, client_id`, u)
}

// PutConsent adds c to what the user lets the client have already. A consent is
// to all its scopes at all its resources. Where both together would be to more
// than either was (to write here and to read there, but not to write there), the
// new one alone is kept, and the client asks again for the other.
func PutConsent(ctx context.Context, tx *db.Tx, c Consent, now time.Time) error {
	// The conflicting update takes the row before it is read, so that of two
	// consents at one time neither is lost.
	had, err := db.One(ctx, tx, scanConsent, `INSERT INTO consents (`+consentColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT (user_id, client_id) DO UPDATE SET updated_at = $6 RETURNING `+consentColumns,
		c.UserID, c.ClientID, db.JSON(nonNil(c.Scope)), db.JSON(nonNil(c.Resources)), db.JSON(nonNil(c.Claims)), db.At(now))
	if err != nil {
		return fmt.Errorf("put consent: %w", err)
	}
	scope, resources, claims := union(had.Scope, c.Scope), union(had.Resources, c.Resources), union(had.Claims, c.Claims)
	if len(scope) == len(had.Scope) && len(resources) == len(had.Resources) && len(claims) == len(had.Claims) {
		return nil
	}
	moreScope, moreResources := len(scope) > len(had.Scope), len(resources) > len(had.Resources)
	lessScope, lessResources := len(scope) > len(c.Scope), len(resources) > len(c.Resources)
	if moreScope && lessResources || moreResources && lessScope {
		scope, resources = nonNil(c.Scope), nonNil(c.Resources)
	}
	_, err = tx.Exec(ctx, `UPDATE consents SET scope = $3, resources = $4, claims = $5 WHERE user_id = $1 AND client_id = $2`,
		c.UserID, c.ClientID, db.JSON(scope), db.JSON(resources), db.JSON(claims))
	return err
}

// EndConsent forgets what a user lets a client have; none is no error. Grants
// that were made are ended by EndByUserClient.
func EndConsent(ctx context.Context, tx *db.Tx, u identity.UserID, c client.ID) error {
	_, err := tx.Exec(ctx, `DELETE FROM consents WHERE user_id = $1 AND client_id = $2`, u, c)
	return err
}

// RevokeToken remembers that the access token with this jti is void, until it
// would have ended by itself.
func RevokeToken(ctx context.Context, tx *db.Tx, jti string, until time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO revoked_tokens (id, expires_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`, jti, db.At(until))
	return err
}

// See notes that something which may come once came, and reports whether it is
// the first time. Of any number of concurrent callers one is told so. until is
// when the thing itself is no longer good, and may be forgotten.
func See(ctx context.Context, tx *db.Tx, key []byte, until time.Time) (fresh bool, err error) {
	n, err := tx.Exec(ctx, `INSERT INTO seen (hash, expires_at) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING`, secret.Hash(string(key)), db.At(until))
	return n == 1, err
}

// Sweep deletes up to n rows of each kind that have expired, and reports how
// many in all. Fewer than n means that there are no more. The outer conditions
// are judged again for a row that was changed meanwhile.
func Sweep(ctx context.Context, tx *db.Tx, now time.Time, n int) (total int64, err error) {
	for _, query := range []string{
		`DELETE FROM device_codes WHERE expires_at <= $1 AND hash IN (SELECT hash FROM device_codes WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)`,
		`DELETE FROM grants WHERE expires_at <= $1 AND id IN (SELECT id FROM grants WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)`,
		`DELETE FROM revoked_tokens WHERE id IN (SELECT id FROM revoked_tokens WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)`,
		`DELETE FROM seen WHERE hash IN (SELECT hash FROM seen WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)`,
	} {
		gone, err := tx.Exec(ctx, query, db.At(now), n)
		if err != nil {
			return 0, err
		}
		total += gone
	}
	return total, nil
}

// union is a with what b has besides.
func union(a, b []string) []string {
	out := slices.Clone(nonNil(a))
	for _, s := range b {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func nonNil(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
