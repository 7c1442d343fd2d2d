package resource

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
	"sallyport/internal/org"
)

// The rows of settings that are this package's.
const (
	ownedRow   = "resources"
	surfaceRow = "surface:" // and the surface's name
)

func readOwned(ctx context.Context, tx *db.Tx) (string, error) {
	text, err := db.One(ctx, tx, db.Text, `SELECT value FROM settings WHERE name = $1`, ownedRow)
	if errors.Is(err, db.ErrNotFound) {
		return "", nil
	}
	return text, err
}

// takeOwned takes the row that says what the file owns, if it still holds text
// ("" for none). Of concurrent applies one gets it; the others wait for that
// one's end and then find that it holds something else.
func takeOwned(ctx context.Context, tx *db.Tx, text string, now time.Time) (bool, error) {
	query, args := `UPDATE settings SET updated_at = $3 WHERE name = $1 AND value = $2`, []any{ownedRow, text, db.At(now)}
	if text == "" {
		query = `INSERT INTO settings (name, value, updated_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING`
	}
	n, err := tx.Exec(ctx, query, args...)
	return n == 1, err
}

func putSetting(ctx context.Context, tx *db.Tx, name, value string, now time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO settings (name, value, updated_at) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET value = $2, updated_at = $3`, name, value, db.At(now))
	return err
}

func deleteSetting(ctx context.Context, tx *db.Tx, name string) error {
	_, err := tx.Exec(ctx, `DELETE FROM settings WHERE name = $1`, name)
	return err
}

// surfaceTexts returns the stored settings of all surfaces, by surface.
func surfaceTexts(ctx context.Context, tx *db.Tx) (map[string]string, error) {
	type row struct{ name, value string }
	rows, err := db.All(ctx, tx, func(r db.Row) (s row, err error) { err = r.Scan(&s.name, &s.value); return s, err },
		`SELECT name, value FROM settings WHERE name LIKE 'surface:%'`)
	if err != nil {
		return nil, fmt.Errorf("read settings of surfaces: %w", err)
	}
	texts := make(map[string]string, len(rows))
	for _, r := range rows {
		texts[strings.TrimPrefix(r.name, surfaceRow)] = r.value
	}
	return texts, nil
}

// chunk is how many values one statement looks up.
const chunk = 100

// inChunks calls query with the placeholders, from $first on, and the arguments
// for up to chunk values at a time. The last chunk is filled up with its last
// value, so that there is one statement to prepare.
func inChunks[T ~string](values []T, first int, query func(marks string, args []any) error) error {
	if len(values) == 0 {
		return nil
	}
	marks := make([]string, chunk)
	for i := range marks {
		marks[i] = fmt.Sprintf("$%d", first+i)
	}
	list := strings.Join(marks, ", ")
	for len(values) > 0 {
		n := min(chunk, len(values))
		args := make([]any, chunk)
		for i := range args {
			args[i] = values[min(i, n-1)]
		}
		if err := query(list, args); err != nil {
			return err
		}
		values = values[n:]
	}
	return nil
}

// person is a user as found by one of their addresses.
type person struct {
	identity.User
	address  string // the one looked for
	verified bool   // and whether that one is
}

func scanPerson(r db.Row) (p person, err error) {
	var own, verified, created, updated db.Time
	err = r.Scan(&p.address, &own, &p.ID, &p.Email, &verified, &p.DisplayName, &p.GivenName, &p.FamilyName, &p.Status, &p.PasswordHash, &created, &updated)
	p.verified, p.EmailVerified = !own.IsZero(), !verified.IsZero()
	p.CreatedAt, p.UpdatedAt = created.Time, updated.Time
	return p, err
}

const people = `SELECT a.address, a.verified_at, u.id, e.address, e.verified_at, u.display_name, u.given_name, u.family_name, u.status, u.password_hash, u.created_at, u.updated_at
	FROM emails a JOIN users u ON u.id = a.user_id LEFT JOIN emails e ON e.user_id = u.id AND e.is_primary WHERE `

// byAddress returns the users who have the addresses, in one statement a
// hundred addresses.
func byAddress(ctx context.Context, tx *db.Tx, addresses []string) (all []person, err error) {
	err = inChunks(addresses, 1, func(marks string, args []any) error {
		some, err := db.All(ctx, tx, scanPerson, people+`a.address IN (`+marks+`)`, args...)
		all = append(all, some...)
		return err
	})
	return all, err
}

// byID returns users by their primary address.
func byID(ctx context.Context, tx *db.Tx, ids []identity.UserID) (all []person, err error) {
	err = inChunks(ids, 1, func(marks string, args []any) error {
		some, err := db.All(ctx, tx, scanPerson, people+`a.is_primary AND a.user_id IN (`+marks+`)`, args...)
		all = append(all, some...)
		return err
	})
	return all, err
}

// scanInvite reads an invitation as far as it is compared, as it is at now.
func scanInvite(now time.Time) func(db.Row) (invite.Invite, error) {
	return func(r db.Row) (i invite.Invite, err error) {
		var expires db.Time
		err = r.Scan(&i.ID, &i.ClientID, &i.OrgID, &i.Email, db.JSON(&i.Roles), &i.OrgRole, &i.Status, &expires)
		if i.ExpiresAt = expires.Time; i.Status == invite.Pending && !i.ExpiresAt.After(now) {
			i.Status = invite.Expired
		}
		return i, err
	}
}

const invites = `SELECT id, client_id, org_id, email, roles, org_role, status, expires_at FROM invites WHERE `

// pendingInvites returns the invitations of a client to the addresses that were
// neither accepted nor revoked.
func pendingInvites(ctx context.Context, tx *db.Tx, c client.ID, addresses []string, now time.Time) (all []invite.Invite, err error) {
	err = inChunks(addresses, 2, func(marks string, args []any) error {
		some, err := db.All(ctx, tx, scanInvite(now), invites+`status = 'pending' AND email <> '' AND org_id IS NULL AND client_id = $1 AND email IN (`+marks+`)`,
			append([]any{c}, args...)...)
		all = append(all, some...)
		return err
	})
	return all, err
}

func invitesByID(ctx context.Context, tx *db.Tx, ids []string, now time.Time) (all []invite.Invite, err error) {
	err = inChunks(ids, 1, func(marks string, args []any) error {
		some, err := db.All(ctx, tx, scanInvite(now), invites+`id IN (`+marks+`)`, args...)
		all = append(all, some...)
		return err
	})
	return all, err
}

// pendingToOrg returns the invitation of an address to an organization that was
// neither accepted nor revoked, or db.ErrNotFound.
func pendingToOrg(ctx context.Context, tx *db.Tx, id org.ID, email string, now time.Time) (invite.Invite, error) {
	return db.One(ctx, tx, scanInvite(now), invites+`status = 'pending' AND org_id = $1 AND email = $2`, id, email)
}

// tenantOrgs returns every organization of the given tenants.
func tenantOrgs(ctx context.Context, tx *db.Tx, tenants []client.TenantID) (all []org.Org, err error) {
	for _, t := range tenants {
		some, _, err := org.List(ctx, tx, org.Filter{Tenant: t})
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

func orgsByID(ctx context.Context, tx *db.Tx, ids []org.ID) (all []org.Org, err error) {
	for _, id := range ids {
		o, err := org.ByID(ctx, tx, id)
		if errors.Is(err, db.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, nil
}

func orgsBySlug(ctx context.Context, tx *db.Tx, slugs []string) (all []org.Org, err error) {
	for _, slug := range slugs {
		o, err := org.BySlug(ctx, tx, slug)
		if errors.Is(err, db.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, nil
}

func scanMembership(r db.Row) (m org.Membership, err error) {
	err = r.Scan(&m.ID, &m.OrgID, &m.UserID, &m.Role)
	return m, err
}

// membershipsOf returns the memberships of users, in one statement a hundred users.
func membershipsOf(ctx context.Context, tx *db.Tx, users []identity.UserID) (all []org.Membership, err error) {
	err = inChunks(users, 1, func(marks string, args []any) error {
		some, err := db.All(ctx, tx, scanMembership, `SELECT id, org_id, user_id, role FROM memberships WHERE user_id IN (`+marks+`)`, args...)
		all = append(all, some...)
		return err
	})
	return all, err
}

// holders returns the organizations that clients belong to, by client.
func holders(ctx context.Context, tx *db.Tx) (map[client.ID]org.ID, error) {
	type held struct {
		client client.ID
		org    org.ID
	}
	all, err := db.All(ctx, tx, func(r db.Row) (h held, err error) { err = r.Scan(&h.client, &h.org); return h, err },
		`SELECT h.client_id, h.org_id FROM org_clients h JOIN clients c ON c.id = h.client_id WHERE c.source = ''`)
	found := make(map[client.ID]org.ID, len(all))
	for _, h := range all {
		found[h.client] = h.org
	}
	return found, err
}

// deleteUser removes a user and everything that hangs on them.
func deleteUser(ctx context.Context, tx *db.Tx, id identity.UserID) error {
	return one(tx.Exec(ctx, `DELETE FROM users WHERE id = $1`, id))
}

// deleteTenant removes a tenant that owns no client.
func deleteTenant(ctx context.Context, tx *db.Tx, id client.TenantID) error {
	return one(tx.Exec(ctx, `DELETE FROM tenants WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM clients WHERE tenant_id = $1)`, id))
}

// one turns "no row was changed" into db.ErrNotFound.
func one(n int64, err error) error {
	if err == nil && n == 0 {
		return db.ErrNotFound
	}
	return err
}
