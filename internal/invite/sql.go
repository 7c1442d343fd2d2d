package invite

import (
	"context"
	"fmt"
	"strings"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/secret"
)

const columns = `id, client_id, org_id, email, roles, org_role, shown, status, invited_by, accepted_by, created_at, expires_at, accepted_at`

// scan reads an invitation as it is at now.
func scan(now time.Time) func(db.Row) (Invite, error) {
	return func(r db.Row) (i Invite, err error) {
		var created, expires, accepted db.Time
		err = r.Scan(&i.ID, &i.ClientID, &i.OrgID, &i.Email, db.JSON(&i.Roles), &i.OrgRole, &i.Shown, &i.Status, &i.InvitedBy, &i.AcceptedBy, &created, &expires, &accepted)
		i.CreatedAt, i.ExpiresAt, i.AcceptedAt = created.Time, expires.Time, accepted.Time
		if i.Status == Pending && !i.ExpiresAt.After(now) {
			i.Status = Expired
		}
		return i, err
	}
}

// rounds is how often Create starts over. Each round is lost only to another
// Create for the same address that committed within it, or to a code that was
// drawn before.
const rounds = 10

// Create stores an invitation, revoking an earlier pending one for the same
// client and address, and returns it with its code, which is not kept. Of in it
// takes ClientID, Email, Roles, InvitedBy and ExpiresAt. Of concurrent calls for
// one address all succeed and the last one's invitation stays pending;
// db.ErrConflict means that others kept coming in between and the call may be
// repeated. db.ErrReference means that there is no such client.
func Create(ctx context.Context, tx *db.Tx, k *secret.Key, in Invite, now time.Time) (Invite, string, error) {
	if in.Roles == nil {
		in.Roles = []string{}
	}
	in = fresh(in, now)
	in.OrgID, in.OrgRole, in.Shown = "", "", false
	for range rounds {
		if in.Email != "" {
			_, err := tx.Exec(ctx, `UPDATE invites SET status = 'revoked' WHERE client_id = $1 AND email = $2 AND status = 'pending' AND org_id IS NULL`, in.ClientID, in.Email)
			if err != nil {
				return Invite{}, "", fmt.Errorf("revoke earlier invitation: %w", err)
			}
		}
		code := secret.Code(Alphabet, CodeLength)
		// A concurrent invitation to the same address makes this wait for its
		// commit and then insert nothing; the next round sees and revokes it.
		made, err := insert(ctx, tx, in, codeHash(k, code))
		if err != nil {
			return Invite{}, "", err
		}
		if made {
			return in, code, nil
		}
	}
	return Invite{}, "", fmt.Errorf("create invitation: %w", db.ErrConflict)
}

// fresh is a new invitation as it is stored.
func fresh(in Invite, now time.Time) Invite {
	in.ID = identity.NewID()
	in.Status, in.AcceptedBy, in.AcceptedAt = Pending, "", time.Time{}
	in.CreatedAt, in.ExpiresAt = stored(now), stored(in.ExpiresAt)
	return in
}

// insert stores an invitation, and reports false where another is in its way.
func insert(ctx context.Context, tx *db.Tx, in Invite, hash []byte) (bool, error) {
	n, err := tx.Exec(ctx, `INSERT INTO invites (id, code_hash, client_id, org_id, email, roles, org_role, shown, status, invited_by, accepted_by, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'pending', $9, '', $10, $11) ON CONFLICT DO NOTHING`,
		in.ID, hash, orNull(in.ClientID), orNull(in.OrgID), in.Email, db.JSON(in.Roles), in.OrgRole, in.Shown, in.InvitedBy, db.At(in.CreatedAt), db.At(in.ExpiresAt))
	if err != nil {
		return false, fmt.Errorf("create invitation: %w", err)
	}
	return n == 1, nil
}

// stored is t as it comes back from the database.
func stored(t time.Time) time.Time { return time.UnixMicro(db.At(t)).UTC() }

// ByCode returns the pending invitation with the code as somebody typed it, or
// db.ErrNotFound: for a code that was accepted, revoked, has expired, never was
// or cannot be. The caller checks that it is for the client in question.
func ByCode(ctx context.Context, tx *db.Tx, k *secret.Key, code string, now time.Time) (Invite, error) {
	code, ok := NormalizeCode(code)
	if !ok {
		return Invite{}, db.ErrNotFound
	}
	return db.One(ctx, tx, scan(now), `SELECT `+columns+` FROM invites WHERE code_hash = $1 AND status = 'pending' AND expires_at > $2 AND org_id IS NULL`,
		codeHash(k, code), db.At(now))
}

// ByID returns an invitation in whatever status, or db.ErrNotFound.
func ByID(ctx context.Context, tx *db.Tx, id string, now time.Time) (Invite, error) {
	return db.One(ctx, tx, scan(now), `SELECT `+columns+` FROM invites WHERE id = $1`, id)
}

// Accept marks a pending invitation accepted by a user. Of any number of
// concurrent callers exactly one succeeds, if its transaction commits; the
// others, and callers too late for its expiry, get db.ErrNotFound.
func Accept(ctx context.Context, tx *db.Tx, id string, by identity.UserID, now time.Time) error {
	n, err := tx.Exec(ctx, `UPDATE invites SET status = 'accepted', accepted_by = $2, accepted_at = $3
		WHERE id = $1 AND status = 'pending' AND expires_at > $3`, id, by, db.At(now))
	if err != nil {
		return fmt.Errorf("accept invitation: %w", err)
	}
	if n == 0 {
		return db.ErrNotFound
	}
	return nil
}

// Revoke ends an invitation. Revoking a revoked or expired one is no error;
// ErrAccepted and db.ErrNotFound are.
func Revoke(ctx context.Context, tx *db.Tx, id string) error {
	n, err := tx.Exec(ctx, `UPDATE invites SET status = 'revoked' WHERE id = $1 AND status <> 'accepted'`, id)
	if err != nil {
		return fmt.Errorf("revoke invitation: %w", err)
	}
	if n == 1 {
		return nil
	}
	// Accepted is final, so what is found now is why nothing was revoked.
	_, err = db.One(ctx, tx, db.Text, `SELECT status FROM invites WHERE id = $1`, id)
	if err == nil {
		err = ErrAccepted
	}
	return err
}

// Filter chooses invitations: those to an organization with OrgID, else those to
// clients. Empty parts choose all. Status is one of the four
// that a reader sees. Limit and Offset cut the page.
type Filter struct {
	OrgID         org.ID
	ClientID      client.ID
	Tenant        client.TenantID
	Status        Status
	Limit, Offset int
}

// where is the condition of f at now, with its arguments.
func (f Filter) where(now time.Time) (string, []any) {
	var conds []string
	var args []any
	add := func(cond string, arg any) {
		args = append(args, arg)
		conds = append(conds, fmt.Sprintf(cond, len(args)))
	}
	if f.OrgID != "" {
		add(`org_id = $%d`, f.OrgID)
	} else {
		conds = append(conds, `org_id IS NULL`)
	}
	if f.ClientID != "" {
		add(`client_id = $%d`, f.ClientID)
	}
	if f.Tenant != "" {
		add(`client_id IN (SELECT id FROM clients WHERE tenant_id = $%d)`, f.Tenant)
	}
	switch f.Status {
	case "":
	case Pending:
		add(`status = 'pending' AND expires_at > $%d`, db.At(now))
	case Expired:
		add(`status = 'pending' AND expires_at <= $%d`, db.At(now))
	default:
		add(`status = $%d`, f.Status)
	}
	return ` WHERE ` + strings.Join(conds, ` AND `), args
}

// List returns the page of the invitations that f chooses, newest first, and how
// many f chooses in all, as they are at now.
func List(ctx context.Context, tx *db.Tx, f Filter, now time.Time) ([]Invite, int, error) {
	where, args := f.where(now)
	total, err := db.One(ctx, tx, db.Int, `SELECT COUNT(*) FROM invites`+where, args...)
	if err != nil {
		return nil, 0, fmt.Errorf("count invitations: %w", err)
	}
	page := fmt.Sprintf(` ORDER BY created_at DESC, id DESC LIMIT $%d OFFSET $%d`, len(args)+1, len(args)+2)
	list, err := db.All(ctx, tx, scan(now), `SELECT `+columns+` FROM invites`+where+page, append(args, f.Limit, f.Offset)...)
	if err != nil {
		return nil, 0, fmt.Errorf("list invitations: %w", err)
	}
	return list, int(total), nil
}
