package identity

import (
	"context"
	"fmt"
	"strings"
	"time"

	"sallyport/internal/db"
)

const columns = `u.id, e.address, e.verified_at, u.display_name, u.given_name, u.family_name, u.status, u.password_hash, u.created_at, u.updated_at`

// from joins a user with the primary address, if there is one.
const from = ` FROM users u LEFT JOIN emails e ON e.user_id = u.id AND e.is_primary`

func scan(r db.Row) (User, error) { return scanAnd(r) }

// scanAnd scans a user and whatever columns follow.
func scanAnd(r db.Row, more ...any) (u User, err error) {
	var verified, created, updated db.Time
	err = r.Scan(append([]any{&u.ID, &u.Email, &verified, &u.DisplayName, &u.GivenName, &u.FamilyName, &u.Status, &u.PasswordHash, &created, &updated}, more...)...)
	u.EmailVerified = !verified.IsZero()
	u.CreatedAt, u.UpdatedAt = created.Time, updated.Time
	return u, err
}

// Create stores u with u.Email as the primary address, or with none if it is
// empty. ErrEmailTaken means that another user has the address, under any race.
func Create(ctx context.Context, tx *db.Tx, u User) error {
	if _, err := tx.Exec(ctx, `INSERT INTO users (id, display_name, given_name, family_name, status, password_hash, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		u.ID, u.DisplayName, u.GivenName, u.FamilyName, u.Status, u.PasswordHash, db.At(u.CreatedAt), db.At(u.CreatedAt)); err != nil {
		return fmt.Errorf("create user: %w", err)
	}
	if u.Email == "" {
		return nil
	}
	var verified time.Time
	if u.EmailVerified {
		verified = u.CreatedAt
	}
	n, err := tx.Exec(ctx, `INSERT INTO emails (address, user_id, is_primary, verified_at, created_at)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT (address) DO NOTHING`, u.Email, u.ID, true, db.AtOrNull(verified), db.At(u.CreatedAt))
	if err != nil {
		return fmt.Errorf("create e-mail: %w", err)
	}
	if n == 0 {
		return ErrEmailTaken
	}
	return nil
}

// ByID returns a user, or db.ErrNotFound.
func ByID(ctx context.Context, tx *db.Tx, id UserID) (User, error) {
	return db.One(ctx, tx, scan, `SELECT `+columns+from+` WHERE u.id = $1`, id)
}

// ByEmail returns the user who has the normalised address, or db.ErrNotFound.
func ByEmail(ctx context.Context, tx *db.Tx, address string) (User, error) {
	u, _, err := Owner(ctx, tx, address)
	return u, err
}

// Owner is ByEmail and whether that very address is verified: User.EmailVerified
// tells of the primary one.
func Owner(ctx context.Context, tx *db.Tx, address string) (u User, verified bool, err error) {
	var at db.Time
	u, err = db.One(ctx, tx, func(r db.Row) (User, error) { return scanAnd(r, &at) }, `SELECT `+columns+`, a.verified_at FROM emails a JOIN users u ON u.id = a.user_id
		LEFT JOIN emails e ON e.user_id = u.id AND e.is_primary WHERE a.address = $1`, address)
	return u, !at.IsZero(), err
}

// List returns one page of users, oldest first, and how many there are in all.
// search, if not empty, is looked for in the address and the display name.
func List(ctx context.Context, tx *db.Tx, search string, limit, offset int) ([]User, int, error) {
	where, args := ``, []any{}
	if search != "" {
		where = ` WHERE e.address LIKE $1 ESCAPE '!' OR LOWER(u.display_name) LIKE $1 ESCAPE '!'`
		args = append(args, Like(search))
	}
	total, err := db.One(ctx, tx, db.Int, `SELECT COUNT(*)`+from+where, args...)
	if err != nil {
		return nil, 0, fmt.Errorf("count users: %w", err)
	}
	n := len(args)
	page := fmt.Sprintf(` ORDER BY u.created_at, u.id LIMIT $%d OFFSET $%d`, n+1, n+2)
	users, err := db.All(ctx, tx, scan, `SELECT `+columns+from+where+page, append(args, limit, offset)...)
	return users, int(total), err
}

// Like returns the LIKE pattern for "contains s" with the escape character "!".
func Like(s string) string {
	return "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(strings.ToLower(s)) + "%"
}

// SetName changes the names of a user; db.ErrNotFound if there is none.
func SetName(ctx context.Context, tx *db.Tx, id UserID, display, given, family string, now time.Time) error {
	return one(tx.Exec(ctx, `UPDATE users SET display_name = $2, given_name = $3, family_name = $4, updated_at = $5 WHERE id = $1`,
		id, display, given, family, db.At(now)))
}

// SetPassword stores a new hash if the stored one still is old; false means
// that another change came first. It decides the race between two changes.
func SetPassword(ctx context.Context, tx *db.Tx, id UserID, old, hash string, now time.Time) (bool, error) {
	n, err := tx.Exec(ctx, `UPDATE users SET password_hash = $3, updated_at = $4 WHERE id = $1 AND password_hash = $2`,
		id, old, hash, db.At(now))
	return n == 1, err
}

// ReplacePassword stores a new hash whatever was there; db.ErrNotFound if
// there is no such user.
func ReplacePassword(ctx context.Context, tx *db.Tx, id UserID, hash string, now time.Time) error {
	return one(tx.Exec(ctx, `UPDATE users SET password_hash = $2, updated_at = $3 WHERE id = $1`, id, hash, db.At(now)))
}

// SetStatus changes the status of a user; db.ErrNotFound if there is none.
func SetStatus(ctx context.Context, tx *db.Tx, id UserID, s Status, now time.Time) error {
	return one(tx.Exec(ctx, `UPDATE users SET status = $2, updated_at = $3 WHERE id = $1`, id, s, db.At(now)))
}

// Delete removes a user with all that is theirs; db.ErrNotFound if there is none.
func Delete(ctx context.Context, tx *db.Tx, id UserID) error {
	return one(tx.Exec(ctx, `DELETE FROM users WHERE id = $1`, id))
}

// SetPrimary puts a verified address in the place of a user's primary one, or
// gives them their first. ErrEmailTaken if somebody has it, under any race.
func SetPrimary(ctx context.Context, tx *db.Tx, id UserID, address string, now time.Time) error {
	if _, err := tx.Exec(ctx, `DELETE FROM emails WHERE user_id = $1 AND is_primary`, id); err != nil {
		return fmt.Errorf("replace address: %w", err)
	}
	n, err := tx.Exec(ctx, `INSERT INTO emails (address, user_id, is_primary, verified_at, created_at) VALUES ($1, $2, TRUE, $3, $3)
		ON CONFLICT (address) DO NOTHING`, address, id, db.At(now))
	if err != nil {
		return fmt.Errorf("replace address: %w", err)
	}
	if n == 0 {
		return ErrEmailTaken
	}
	return nil
}

// VerifyEmail marks the address verified. It reports whether this call was the
// one that did; false also for an address that the user does not have.
func VerifyEmail(ctx context.Context, tx *db.Tx, id UserID, address string, now time.Time) (bool, error) {
	n, err := tx.Exec(ctx, `UPDATE emails SET verified_at = $3 WHERE address = $2 AND user_id = $1 AND verified_at IS NULL`,
		id, address, db.At(now))
	return n == 1, err
}

// one turns "no row was changed" into db.ErrNotFound.
func one(n int64, err error) error {
	if err == nil && n == 0 {
		return db.ErrNotFound
	}
	return err
}
