package totp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/secret"
)

// row is a user's authenticator as it is kept.
type row struct {
	sealed    []byte
	lastStep  int64
	createdAt time.Time
}

const columns = `sealed, last_step, created_at`

func scan(r db.Row) (v row, err error) {
	var created db.Time
	err = r.Scan(&v.sealed, &v.lastStep, &created)
	v.createdAt = created.Time
	return v, err
}

// Begin makes a secret for u, in place of one not yet confirmed, and returns it
// in base32. It proves nothing before Confirm. Fails with ErrEnabled, or
// db.ErrReference when there is no such user.
func Begin(ctx context.Context, tx *db.Tx, k *secret.Key, u identity.UserID, now time.Time) (base32 string, err error) {
	shared := secret.Bytes(secretBytes)
	n, err := tx.Exec(ctx, `INSERT INTO totp (user_id, sealed, confirmed_at, last_step, created_at) VALUES ($1, $2, NULL, 0, $3)
		ON CONFLICT (user_id) DO UPDATE SET sealed = excluded.sealed, created_at = excluded.created_at WHERE totp.confirmed_at IS NULL`,
		u, k.Seal(sealLabel, shared, string(u)), db.At(now))
	if err != nil {
		return "", fmt.Errorf("begin totp: %w", err)
	}
	if n == 0 {
		return "", ErrEnabled
	}
	return base32NoPad.EncodeToString(shared), nil
}

// BeginWithCodes is Begin for who shows the backup codes beside the secret: they
// are good once the secret is in force, if ConfirmOnly puts it so.
func BeginWithCodes(ctx context.Context, tx *db.Tx, k *secret.Key, u identity.UserID, now time.Time) (base32 string, backup []string, err error) {
	if base32, err = Begin(ctx, tx, k, u, now); err != nil {
		return "", nil, err
	}
	backup, err = replaceBackupCodes(ctx, tx, k, u)
	return base32, backup, err
}

// Confirm puts u's pending secret in force with a code it made, and returns the
// first backup codes. The code's time step is used up. Fails with ErrNotStarted
// when nothing is pending, and ErrCode.
func Confirm(ctx context.Context, tx *db.Tx, k *secret.Key, u identity.UserID, code string, now time.Time) (backup []string, err error) {
	if err := ConfirmOnly(ctx, tx, k, u, code, now); err != nil {
		return nil, err
	}
	return replaceBackupCodes(ctx, tx, k, u)
}

// ConfirmOnly is Confirm for a secret whose backup codes were shown with it.
func ConfirmOnly(ctx context.Context, tx *db.Tx, k *secret.Key, u identity.UserID, code string, now time.Time) error {
	r, err := db.One(ctx, tx, scan, `SELECT `+columns+` FROM totp WHERE user_id = $1 AND confirmed_at IS NULL AND created_at > $2`,
		u, db.At(now.Add(-Pending)))
	if errors.Is(err, db.ErrNotFound) {
		return ErrNotStarted
	}
	if err != nil {
		return fmt.Errorf("confirm totp: %w", err)
	}
	g, ok := read(code)
	if !ok {
		return ErrCode
	}
	s, err := r.step(k, u, g, now)
	if err != nil {
		return err
	}
	// Sealed bytes are never the same twice, so this is the secret just checked.
	n, err := tx.Exec(ctx, `UPDATE totp SET confirmed_at = $3, last_step = $4 WHERE user_id = $1 AND sealed = $2 AND confirmed_at IS NULL`,
		u, r.sealed, db.At(now), s)
	if err != nil {
		return fmt.Errorf("confirm totp: %w", err)
	}
	if n == 0 {
		return ErrNotStarted
	}
	return nil
}

// Enabled reports whether u has an authenticator in force.
func Enabled(ctx context.Context, tx *db.Tx, u identity.UserID) (bool, error) {
	_, err := db.One(ctx, tx, db.Int, `SELECT 1 FROM totp WHERE user_id = $1 AND confirmed_at IS NOT NULL`, u)
	if errors.Is(err, db.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("find totp: %w", err)
	}
	return true, nil
}

// Use spends a code: one of the authenticator's, or a backup code. Of any number
// of callers with codes of one time step, or with one backup code, exactly one
// succeeds, if its transaction commits. Fails with ErrCode, or ErrNotStarted when
// no authenticator is in force; then nothing has changed.
func Use(ctx context.Context, tx *db.Tx, k *secret.Key, u identity.UserID, code string, now time.Time) error {
	r, err := inForce(ctx, tx, u)
	if err != nil {
		return err
	}
	g, ok := read(code)
	if !ok {
		return ErrCode
	}
	var n int64
	if g.backup != "" {
		n, err = tx.Exec(ctx, `DELETE FROM backup_codes WHERE user_id = $1 AND hash = $2`, u, backupHash(k, u, g.backup))
	} else {
		var s int64
		if s, err = r.step(k, u, g, now); err != nil {
			return err
		}
		n, err = tx.Exec(ctx, `UPDATE totp SET last_step = $3 WHERE user_id = $1 AND sealed = $2 AND confirmed_at IS NOT NULL AND last_step < $3`,
			u, r.sealed, s)
	}
	if err != nil {
		return fmt.Errorf("use totp: %w", err)
	}
	if n == 0 {
		return ErrCode
	}
	return nil
}

// NewBackupCodes gives u ten new backup codes and voids the old ones. The codes,
// "xxxxx-xxxxx", cannot be had again. Fails with ErrNotStarted when no
// authenticator is in force.
func NewBackupCodes(ctx context.Context, tx *db.Tx, k *secret.Key, u identity.UserID) ([]string, error) {
	// Changing the row, to what it is, makes concurrent callers take turns: each
	// then sees, and voids, the codes of the one before.
	n, err := tx.Exec(ctx, `UPDATE totp SET last_step = last_step WHERE user_id = $1 AND confirmed_at IS NOT NULL`, u)
	if err != nil {
		return nil, fmt.Errorf("new backup codes: %w", err)
	}
	if n == 0 {
		return nil, ErrNotStarted
	}
	return replaceBackupCodes(ctx, tx, k, u)
}

// Remaining counts u's unused backup codes.
func Remaining(ctx context.Context, tx *db.Tx, u identity.UserID) (int, error) {
	n, err := db.One(ctx, tx, db.Int, `SELECT COUNT(*) FROM backup_codes WHERE user_id = $1`, u)
	if err != nil {
		return 0, fmt.Errorf("count backup codes: %w", err)
	}
	return int(n), nil
}

// Disable removes u's authenticator, pending or in force, and the backup codes.
// Where there is none it changes nothing.
func Disable(ctx context.Context, tx *db.Tx, u identity.UserID) error {
	for _, query := range []string{`DELETE FROM totp WHERE user_id = $1`, `DELETE FROM backup_codes WHERE user_id = $1`} {
		if _, err := tx.Exec(ctx, query, u); err != nil {
			return fmt.Errorf("disable totp: %w", err)
		}
	}
	return nil
}

// Cancel removes a secret of u's that is not yet confirmed.
func Cancel(ctx context.Context, tx *db.Tx, u identity.UserID) error {
	_, err := tx.Exec(ctx, `DELETE FROM totp WHERE user_id = $1 AND confirmed_at IS NULL`, u)
	return err
}

// Import puts a secret in force that u's app has already, from another system,
// in place of any other. It makes no backup codes. Fails with ErrSecret, or
// db.ErrReference when there is no such user.
func Import(ctx context.Context, tx *db.Tx, k *secret.Key, u identity.UserID, base32 string, now time.Time) error {
	shared, err := decode(base32)
	if err != nil {
		return err
	}
	// last_step stays: an import repeated must not make a used code good again.
	_, err = tx.Exec(ctx, `INSERT INTO totp (user_id, sealed, confirmed_at, last_step, created_at) VALUES ($1, $2, $3, 0, $3)
		ON CONFLICT (user_id) DO UPDATE SET sealed = excluded.sealed, confirmed_at = excluded.confirmed_at, created_at = excluded.created_at`,
		u, k.Seal(sealLabel, shared, string(u)), db.At(now))
	if err != nil {
		return fmt.Errorf("import totp: %w", err)
	}
	return nil
}

// Export returns u's secret in force, in base32, or ErrNotStarted.
func Export(ctx context.Context, tx *db.Tx, k *secret.Key, u identity.UserID) (base32 string, err error) {
	r, err := inForce(ctx, tx, u)
	if err != nil {
		return "", err
	}
	shared, err := k.Open(sealLabel, r.sealed, string(u))
	if err != nil {
		return "", fmt.Errorf("open totp secret: %w", err)
	}
	return base32NoPad.EncodeToString(shared), nil
}

// Shared returns u's secret in base32, whether in force or waiting to be confirmed,
// or ErrNotStarted.
func Shared(ctx context.Context, tx *db.Tx, k *secret.Key, u identity.UserID, now time.Time) (string, error) {
	r, err := db.One(ctx, tx, scan, `SELECT `+columns+` FROM totp WHERE user_id = $1 AND (confirmed_at IS NOT NULL OR created_at > $2)`, u, db.At(now.Add(-Pending)))
	if errors.Is(err, db.ErrNotFound) {
		return "", ErrNotStarted
	} else if err != nil {
		return "", fmt.Errorf("find totp: %w", err)
	}
	shared, err := k.Open(sealLabel, r.sealed, string(u))
	return base32NoPad.EncodeToString(shared), err
}

// UseCode is Use for a code of the app alone, UseBackup for a backup code alone.
func UseCode(ctx context.Context, tx *db.Tx, k *secret.Key, u identity.UserID, code string, now time.Time) error {
	if g, ok := read(code); !ok || g.passcode == "" {
		_, err := inForce(ctx, tx, u)
		return cmp.Or(err, ErrCode)
	}
	return Use(ctx, tx, k, u, code, now)
}

// UseBackup spends a backup code; see UseCode.
func UseBackup(ctx context.Context, tx *db.Tx, k *secret.Key, u identity.UserID, code string, now time.Time) error {
	if g, ok := read(code); !ok || g.backup == "" {
		_, err := inForce(ctx, tx, u)
		return cmp.Or(err, ErrCode)
	}
	return Use(ctx, tx, k, u, code, now)
}

// inForce returns u's confirmed row, or ErrNotStarted.
func inForce(ctx context.Context, tx *db.Tx, u identity.UserID) (row, error) {
	r, err := db.One(ctx, tx, scan, `SELECT `+columns+` FROM totp WHERE user_id = $1 AND confirmed_at IS NOT NULL`, u)
	if errors.Is(err, db.ErrNotFound) {
		return row{}, ErrNotStarted
	}
	if err != nil {
		return row{}, fmt.Errorf("find totp: %w", err)
	}
	return r, nil
}

// step returns the unused time step that the passcode in g is of, or ErrCode.
func (r row) step(k *secret.Key, u identity.UserID, g given, now time.Time) (int64, error) {
	shared, err := k.Open(sealLabel, r.sealed, string(u))
	if err != nil {
		return 0, fmt.Errorf("open totp secret: %w", err)
	}
	s, ok := match(shared, g.passcode, r.lastStep, now)
	if !ok {
		return 0, ErrCode
	}
	return s, nil
}

// replaceBackupCodes makes u's set of backup codes anew. The caller has changed
// u's row of totp in this transaction, which keeps others out.
func replaceBackupCodes(ctx context.Context, tx *db.Tx, k *secret.Key, u identity.UserID) ([]string, error) {
	if _, err := tx.Exec(ctx, `DELETE FROM backup_codes WHERE user_id = $1`, u); err != nil {
		return nil, fmt.Errorf("void backup codes: %w", err)
	}
	codes, rows, args := make([]string, backupCodes), make([]string, backupCodes), []any{u}
	for i := range codes {
		code := secret.Code(backupAlphabet, backupLength)
		codes[i] = code[:backupLength/2] + "-" + code[backupLength/2:]
		args = append(args, backupHash(k, u, code))
		rows[i] = fmt.Sprintf("($1, $%d)", len(args))
	}
	if _, err := tx.Exec(ctx, `INSERT INTO backup_codes (user_id, hash) VALUES `+strings.Join(rows, ", "), args...); err != nil {
		return nil, fmt.Errorf("store backup codes: %w", err)
	}
	return codes, nil
}

// backupHash is how a backup code is kept. Fifty bits can be guessed from a
// plain hash, so it is keyed; the user's id keeps a copied row useless.
func backupHash(k *secret.Key, u identity.UserID, code string) []byte {
	return k.MAC(backupLabel, []byte(u), []byte(code))
}
