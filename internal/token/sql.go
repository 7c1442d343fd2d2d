package token

import (
	"context"
	"fmt"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/session"
)

// Columns are those of a Stored, of refresh_families named f.
const Columns = `f.id, f.hash, f.recent, f.user_id, f.client_id, f.session_id, f.device_id, f.amr, f.grant_id, f.membership_id, f.org_role, f.upstream, f.created_at, f.used_at, f.expires_at`

// Stored is a family with what decides about a presented token.
type Stored struct {
	Family
	hash   []byte
	recent []int64
	times  [3]db.Time
}

// Dest is where Columns are scanned to; Scanned completes the family after that.
func (r *Stored) Dest() []any {
	return []any{&r.ID, &r.hash, db.JSON(&r.recent), &r.UserID, &r.ClientID, &r.SessionID, &r.DeviceID, db.JSON(&r.AMR), &r.GrantID, &r.Membership, &r.OrgRole, &r.Upstream,
		&r.times[0], &r.times[1], &r.times[2]}
}

// Scanned completes a family whose columns were scanned.
func (r *Stored) Scanned() {
	r.CreatedAt, r.UsedAt, r.ExpiresAt = r.times[0].Time, r.times[1].Time, r.times[2].Time
}

func scan(r db.Row) (f Stored, err error) {
	err = r.Scan(f.Dest()...)
	f.Scanned()
	return f, err
}

// sweepAt is when a family may be swept: its expiry rounded up to a whole day,
// so that the index over it changes once a day and not with every rotation.
func sweepAt(expires time.Time) int64 {
	const day = 24 * time.Hour
	return db.At(expires.Add(day - time.Microsecond).Truncate(day))
}

// insert stores a new family, and reports false if its id is taken.
func insert(ctx context.Context, tx *db.Tx, f Family, hash []byte) (bool, error) {
	n, err := tx.Exec(ctx, `INSERT INTO refresh_families
		(id, hash, recent, user_id, client_id, session_id, device_id, amr, grant_id, membership_id, org_role, upstream, created_at, used_at, expires_at, sweep_at)
		VALUES ($1, $2, '[]', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT (id) DO NOTHING`,
		f.ID, hash, f.UserID, f.ClientID, f.SessionID, f.DeviceID, db.JSON(f.AMR), orNull(f.GrantID), orNull(string(f.Membership)), f.OrgRole, f.Upstream,
		db.At(f.CreatedAt), db.At(f.UsedAt), db.At(f.ExpiresAt), sweepAt(f.ExpiresAt))
	if err != nil {
		return false, fmt.Errorf("issue refresh token: %w", err)
	}
	return n == 1, nil
}

// byID returns a family that is alive at now, or db.ErrNotFound.
func byID(ctx context.Context, tx *db.Tx, id int64, now time.Time) (Stored, error) {
	return db.One(ctx, tx, scan, `SELECT `+Columns+` FROM refresh_families f WHERE f.id = $1 AND f.expires_at > $2`, id, db.At(now))
}

// replace puts a new hash in the place of the presented one. The remembered
// times were read with that hash, which every rotation changes: if it still
// matches, so do they.
func replace(ctx context.Context, tx *db.Tx, f Found, hash []byte, recent []int64, expires, now time.Time) (bool, error) {
	if recent == nil {
		recent = []int64{}
	}
	n, err := tx.Exec(ctx, `UPDATE refresh_families SET hash = $3, recent = $4, used_at = $5, expires_at = $6, sweep_at = $7
		WHERE id = $1 AND hash = $2 AND expires_at > $5`,
		f.Family.ID, f.raw.hash(), hash, db.JSON(recent), db.At(now), db.At(expires), sweepAt(expires))
	return n == 1, err
}

// Prolong lets a family live until expires without replacing its Current token,
// where what is bound to a key need not be rotated (FAPI 2.0 §5.3.2.1). Fails
// with ErrUnknown if the family has ended, or was rotated meanwhile.
func Prolong(ctx context.Context, tx *db.Tx, f Found, expires, now time.Time) error {
	ok, err := replace(ctx, tx, f, f.raw.hash(), f.recent, expires, now)
	if err == nil && !ok {
		err = ErrUnknown
	}
	return err
}

// End ends a family. Ending one that has ended is no error. This and its
// siblings report how many families they ended.
func End(ctx context.Context, tx *db.Tx, id int64) (int64, error) {
	return end(ctx, tx, `DELETE FROM refresh_families WHERE id = $1`, id)
}

// EndByUserClient ends every family that a user has in a client.
func EndByUserClient(ctx context.Context, tx *db.Tx, u identity.UserID, c client.ID) (int64, error) {
	return end(ctx, tx, `DELETE FROM refresh_families WHERE user_id = $1 AND client_id = $2`, u, c)
}

// EndByUser ends every family of a user.
func EndByUser(ctx context.Context, tx *db.Tx, u identity.UserID) (int64, error) {
	return end(ctx, tx, `DELETE FROM refresh_families WHERE user_id = $1`, u)
}

// EndByUpstream ends the families of sign-ins that an upstream proved.
func EndByUpstream(ctx context.Context, tx *db.Tx, upstream string) (int64, error) {
	return end(ctx, tx, `DELETE FROM refresh_families WHERE upstream = $1 AND upstream <> ''`, upstream)
}

// EndByUserUpstream ends the families of a user's sign-ins that an upstream proved.
func EndByUserUpstream(ctx context.Context, tx *db.Tx, u identity.UserID, upstream string) (int64, error) {
	return end(ctx, tx, `DELETE FROM refresh_families WHERE user_id = $1 AND upstream = $2 AND upstream <> ''`, u, upstream)
}

// EndBySession ends the families that began in a session, but those of a grant:
// they end with it, and it may outlive the session. The empty session is none:
// families that began without one are left alone.
func EndBySession(ctx context.Context, tx *db.Tx, s session.ID) (int64, error) {
	if s == "" {
		return 0, nil
	}
	return end(ctx, tx, `DELETE FROM refresh_families WHERE session_id = $1 AND grant_id IS NULL`, s)
}

func end(ctx context.Context, tx *db.Tx, query string, args ...any) (int64, error) {
	n, err := tx.Exec(ctx, query, args...)
	if err != nil {
		return 0, fmt.Errorf("end refresh families: %w", err)
	}
	return n, nil
}

// Sweep deletes up to limit families that expired before the last midnight
// (UTC), and reports how many. The outer condition is judged again for a row
// that was changed meanwhile.
func Sweep(ctx context.Context, tx *db.Tx, now time.Time, limit int) (int64, error) {
	n, err := tx.Exec(ctx, `DELETE FROM refresh_families WHERE sweep_at <= $1
		AND id IN (SELECT id FROM refresh_families WHERE sweep_at <= $1 ORDER BY sweep_at LIMIT $2)`, db.At(now), limit)
	if err != nil {
		return 0, fmt.Errorf("sweep refresh families: %w", err)
	}
	return n, nil
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
