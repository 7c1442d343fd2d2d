package invite

import (
	"context"
	"fmt"
	"strings"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/secret"
)

// tokenBytes is the size of the secret of an invitation to an organization, before
// it is written in hexadecimal.
const tokenBytes = 32

// CreateToOrg stores an invitation to an organization and returns it with its
// secret, which is not kept: it is for the mail to the invited address and for
// nothing else, unless in.Shown. Of in it takes OrgID, OrgRole, Email, ClientID,
// InvitedBy, ExpiresAt and Shown. While one for the address is pending another is ErrPending, under any
// race. db.ErrReference means that the organization is gone.
func CreateToOrg(ctx context.Context, tx *db.Tx, k *secret.Key, in Invite, now time.Time) (Invite, string, error) {
	in = fresh(in, now)
	in.Roles = []string{}
	// One that has expired is pending by its row, and would be in the way.
	if _, err := tx.Exec(ctx, `UPDATE invites SET status = 'revoked' WHERE org_id = $1 AND email = $2 AND status = 'pending' AND expires_at <= $3`,
		in.OrgID, in.Email, db.At(now)); err != nil {
		return Invite{}, "", fmt.Errorf("revoke expired invitation: %w", err)
	}
	raw := secret.Hex(tokenBytes)
	made, err := insert(ctx, tx, in, codeHash(k, raw))
	if err == nil && !made {
		err = ErrPending
	}
	if err != nil {
		return Invite{}, "", err
	}
	return in, raw, nil
}

// Renew gives a pending invitation to an organization, also one that has expired,
// another secret and another end, and returns both; the secret of before is void.
// db.ErrNotFound if it is not pending.
func Renew(ctx context.Context, tx *db.Tx, k *secret.Key, id string, until, now time.Time) (Invite, string, error) {
	raw := secret.Hex(tokenBytes)
	i, err := db.One(ctx, tx, scan(now), `UPDATE invites SET code_hash = $2, expires_at = $3, shown = FALSE WHERE id = $1 AND status = 'pending' AND org_id IS NOT NULL
		RETURNING `+columns, id, codeHash(k, raw), db.At(until))
	return i, raw, err
}

// ByToken returns the pending invitation to an organization that has the secret, or
// db.ErrNotFound.
func ByToken(ctx context.Context, tx *db.Tx, k *secret.Key, raw string, now time.Time) (Invite, error) {
	if len(raw) != 2*tokenBytes || strings.Trim(raw, "0123456789abcdef") != "" {
		return Invite{}, db.ErrNotFound
	}
	return db.One(ctx, tx, scan(now), `SELECT `+columns+` FROM invites WHERE code_hash = $1 AND status = 'pending' AND expires_at > $2 AND org_id IS NOT NULL`,
		codeHash(k, raw), db.At(now))
}

// RevokeOf ends the pending invitations to an organization of somebody's, by any address
// that they have proved, and returns them.
func RevokeOf(ctx context.Context, tx *db.Tx, id org.ID, u identity.UserID) ([]Invite, error) {
	all, err := db.All(ctx, tx, scan(time.Time{}), `UPDATE invites SET status = 'revoked' WHERE org_id = $1 AND status = 'pending'
		AND email IN (SELECT address FROM emails WHERE user_id = $2 AND verified_at IS NOT NULL) RETURNING `+columns, id, u)
	if err != nil {
		return nil, fmt.Errorf("revoke invitations: %w", err)
	}
	return all, nil
}

func orNull[T ~string](id T) any {
	if id == "" {
		return nil
	}
	return string(id)
}
