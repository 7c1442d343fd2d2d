package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/secret"
)

// prefix begins every token, so that people and scanners for leaked secrets know it.
const prefix = "scim_"

// startLength is how much of the random part is kept to tell tokens apart by.
const startLength = 6

const tokenColumns = `id, org_id, start, agent, created_at, used_at` //nolint:gosec // names of columns

func scanToken(r db.Row) (t Token, err error) {
	var created, used db.Time
	err = r.Scan(&t.ID, &t.OrgID, &t.Start, &t.Agent, &created, &used)
	t.CreatedAt, t.UsedAt = created.Time, used.Time
	return t, err
}

// MakeToken gives the directory of an organization another token and returns it: it is
// shown once, and only its hash is kept. With the first one the directory is switched on:
// members of the organization whose address is of its verified domains are in it from
// then on. ErrMany means that it has MaxTokens.
func MakeToken(ctx context.Context, tx *db.Tx, id org.ID, now time.Time) (string, Token, error) {
	// Whoever makes another one waits here, and then counts this one.
	if _, err := tx.Exec(ctx, `INSERT INTO directories (org_id, created_at) VALUES ($1, $2) ON CONFLICT (org_id) DO UPDATE SET created_at = directories.created_at`,
		id, db.At(now)); err != nil {
		return "", Token{}, fmt.Errorf("make directory: %w", err)
	}
	raw := prefix + secret.Hex(32)
	t, err := db.One(ctx, tx, scanToken, `INSERT INTO directory_tokens (id, org_id, hash, start, agent, created_at)
		SELECT $1, $2, $3, $4, '', $5 FROM directories d WHERE d.org_id = $2 AND (SELECT COUNT(*) FROM directory_tokens x WHERE x.org_id = $2) < $6
		RETURNING `+tokenColumns, identity.NewID(), id, secret.Hash(raw), raw[:len(prefix)+startLength], db.At(now), MaxTokens)
	if errors.Is(err, db.ErrNotFound) {
		return "", Token{}, ErrMany
	}
	if err != nil {
		return "", Token{}, fmt.Errorf("make token: %w", err)
	}
	return raw, t, Adopt(ctx, tx, id, now)
}

// Tokens returns the tokens of a directory, oldest first.
func Tokens(ctx context.Context, tx *db.Tx, id org.ID) ([]Token, error) {
	return db.All(ctx, tx, scanToken, `SELECT `+tokenColumns+` FROM directory_tokens WHERE org_id = $1 ORDER BY created_at, id`, id)
}

// EndToken ends one token of a directory; db.ErrNotFound if there is none. With the last
// one the directory is switched off.
func EndToken(ctx context.Context, tx *db.Tx, id org.ID, token string) error {
	n, err := tx.Exec(ctx, `DELETE FROM directory_tokens WHERE org_id = $1 AND id = $2`, id, token)
	if err == nil && n == 0 {
		return db.ErrNotFound
	}
	return err
}

// Disable switches a directory off. What it said stays, and those whom it deactivated
// stay out.
func Disable(ctx context.Context, tx *db.Tx, id org.ID) error {
	_, err := tx.Exec(ctx, `DELETE FROM directory_tokens WHERE org_id = $1`, id)
	return err
}

// StatusOf tells how the directory of an organization stands.
func StatusOf(ctx context.Context, tx *db.Tx, id org.ID) (s Status, err error) {
	if s.Tokens, err = Tokens(ctx, tx, id); err != nil {
		return s, err
	}
	_, err = db.One(ctx, tx, func(r db.Row) (any, error) { return nil, r.Scan(&s.People, &s.Active, &s.Groups) }, `SELECT
		(SELECT COUNT(*) FROM directory_users x WHERE x.org_id = $1 AND NOT x.gone),
		(SELECT COUNT(*) FROM directory_users x WHERE x.org_id = $1 AND NOT x.gone AND x.active),
		(SELECT COUNT(*) FROM directory_groups g WHERE g.org_id = $1)`, id)
	return s, err
}

// ByToken returns the token that a text is, or db.ErrNotFound.
func ByToken(ctx context.Context, tx *db.Tx, raw string) (Token, error) {
	if len(raw) != len(prefix)+64 || !strings.HasPrefix(raw, prefix) {
		return Token{}, db.ErrNotFound
	}
	return db.One(ctx, tx, scanToken, `SELECT `+tokenColumns+` FROM directory_tokens WHERE hash = $1`, secret.Hash(raw))
}

// Use notes that a token was shown, by a program that calls itself agent, unless that was
// noted a moment ago; it reports whether it did. db.ErrNotFound means that it has ended.
func Use(ctx context.Context, tx *db.Tx, t Token, agent string, now time.Time) (bool, error) {
	if !t.UsedAt.IsZero() && now.Sub(t.UsedAt) < Touched {
		return false, nil
	}
	n, err := tx.Exec(ctx, `UPDATE directory_tokens SET used_at = $2, agent = $3 WHERE id = $1`, t.ID, db.At(now), agent)
	if err == nil && n == 0 {
		err = db.ErrNotFound
	}
	return err == nil, err
}

// Adopt takes the members of an organization whom its directory does not know into it,
// if their primary address is proved and of a domain that the organization has verified.
func Adopt(ctx context.Context, tx *db.Tx, id org.ID, now time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO directory_users (org_id, user_id, name, name_key, external_id, active, disabled, gone, role, attributes, version, created_at, updated_at)
		SELECT m.org_id, m.user_id, e.address, e.address, '', TRUE, FALSE, FALSE, m.role, '', 1, $2, $2
		FROM memberships m JOIN emails e ON e.user_id = m.user_id AND e.is_primary AND e.verified_at IS NOT NULL
		WHERE m.org_id = $1
		AND EXISTS (SELECT 1 FROM org_domains d WHERE d.org_id = m.org_id AND d.verified_at IS NOT NULL AND e.address LIKE '%@' || d.name)
		AND NOT EXISTS (SELECT 1 FROM directory_users x WHERE x.org_id = m.org_id AND x.user_id = m.user_id)
		ON CONFLICT DO NOTHING`, id, db.At(now))
	if err != nil {
		return fmt.Errorf("adopt members: %w", err)
	}
	return nil
}
