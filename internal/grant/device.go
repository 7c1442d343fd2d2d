package grant

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/db"
)

// slower is what an interval grows by when a device asks too soon (RFC 8628 §3.5).
const slower = 5 * time.Second

const deviceColumns = `client_id, user_code, request, status, grant_id, poll_every, polled_at, created_at, expires_at`

func scanDevice(r db.Row) (d Device, err error) {
	var request string
	var every, polled int64
	var created, expires db.Time
	err = r.Scan(&d.ClientID, &d.UserCode, &request, &d.Status, &d.GrantID, &every, &polled, &created, &expires)
	d.Request, d.PollEvery = raw(request), time.Duration(every)*time.Microsecond
	if polled != 0 {
		d.PolledAt = time.UnixMicro(polled).UTC()
	}
	d.CreatedAt, d.ExpiresAt = created.Time, expires.Time
	return d, err
}

// CreateDevice stores a device that waits, under the hash of its device code;
// db.ErrConflict if the user code is in use, which ends the transaction.
func CreateDevice(ctx context.Context, tx *db.Tx, d Device, hash []byte) error {
	_, err := tx.Exec(ctx, `INSERT INTO device_codes (hash, `+deviceColumns+`) VALUES ($1, $2, $3, $4, $5, NULL, $6, 0, $7, $8)`,
		hash, d.ClientID, d.UserCode, string(d.Request), DevicePending, d.PollEvery.Microseconds(), db.At(d.CreatedAt), db.At(d.ExpiresAt))
	if err != nil {
		return fmt.Errorf("create device code: %w", err)
	}
	return nil
}

// DeviceByUserCode returns the device that shows a user code, expired or not, or
// db.ErrNotFound.
func DeviceByUserCode(ctx context.Context, tx *db.Tx, userCode string) (Device, error) {
	return db.One(ctx, tx, scanDevice, `SELECT `+deviceColumns+` FROM device_codes WHERE user_code = $1`, userCode)
}

// DecideDevice stores what a person said to a device that waits: DeviceApproved
// with a grant, or DeviceDenied. False if it does not wait any more. Of any
// number of concurrent callers one decides.
func DecideDevice(ctx context.Context, tx *db.Tx, userCode string, s DeviceStatus, g ID, now time.Time) (bool, error) {
	var id any
	if g != "" {
		id = g
	}
	n, err := tx.Exec(ctx, `UPDATE device_codes SET status = $2, grant_id = $3 WHERE user_code = $1 AND status = 'pending' AND expires_at > $4`,
		userCode, s, id, db.At(now))
	return n == 1, err
}

// PollDevice notes that a device asked. tooSoon says that it did so before its
// interval was over, which is longer from now on. A device past its ExpiresAt
// is returned until it is swept; db.ErrNotFound after.
func PollDevice(ctx context.Context, tx *db.Tx, hash []byte, now time.Time) (d Device, tooSoon bool, err error) {
	d, ok, err := found(db.One(ctx, tx, scanDevice, `UPDATE device_codes SET polled_at = $2 WHERE hash = $1 AND polled_at + poll_every <= $2 RETURNING `+deviceColumns,
		hash, db.At(now)))
	if ok || err != nil {
		return d, false, err
	}
	d, err = db.One(ctx, tx, scanDevice, `UPDATE device_codes SET polled_at = $2, poll_every = poll_every + $3 WHERE hash = $1 RETURNING `+deviceColumns,
		hash, db.At(now), slower.Microseconds())
	return d, true, err
}

// SpendDevice uses up a device code that was decided upon and returns what was
// decided. Of any number of concurrent callers one succeeds; the others, and
// all for one that waits, get db.ErrNotFound.
func SpendDevice(ctx context.Context, tx *db.Tx, hash []byte) (Device, error) {
	return db.One(ctx, tx, scanDevice, `DELETE FROM device_codes WHERE hash = $1 AND status <> 'pending' RETURNING `+deviceColumns, hash)
}

func found[T any](v T, err error) (T, bool, error) {
	if errors.Is(err, db.ErrNotFound) {
		return v, false, nil
	}
	return v, err == nil, err
}
