package admin

import (
	"context"
	"fmt"
	"strings"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
)

// consoleRow is the settings row that names the console client: the Keymaster
// surface's line of the resource file.
const consoleRow = "surface:keymaster"

// consoleSetting is what that row holds, as far as it concerns us.
type consoleSetting struct {
	Client client.ID `json:"console_client"`
}

// standing is all that a user's tier is judged by.
type standing struct {
	user         identity.User // id, address, name and status
	enrolment    client.Status // in the client of the token; "" if there is none
	roles        []string
	clientActive bool
	isConsole    bool
	tenant       client.TenantID
	console      client.ID
}

func scanStanding(r db.Row) (s standing, err error) {
	var console consoleSetting
	err = r.Scan(&s.user.ID, &s.user.Status, &s.user.Email, &s.user.DisplayName, &s.enrolment, db.JSON(&s.roles),
		&s.clientActive, &s.isConsole, &s.tenant, db.JSON(&console))
	s.console = console.Client
	return s, err
}

// standingOf reads a user's standing in the client of their token, or
// db.ErrNotFound if there is no such user. It is one statement, because every
// operation asks for all of it.
func standingOf(ctx context.Context, tx *db.Tx, u identity.UserID, c client.ID) (standing, error) {
	return db.One(ctx, tx, scanStanding, `SELECT u.id, u.status, m.address, u.display_name, e.status, e.roles, c.active, c.is_console, c.tenant_id,
		(SELECT s.value FROM settings s WHERE s.name = $3)
		FROM users u LEFT JOIN emails m ON m.user_id = u.id AND m.is_primary
		LEFT JOIN enrolments e ON e.user_id = u.id AND e.client_id = $2
		LEFT JOIN clients c ON c.id = e.client_id WHERE u.id = $1`, u, c, consoleRow)
}

// lockClient makes whoever else changes the client wait until this transaction
// ends; what is read after it stays true. db.ErrNotFound if there is none.
func lockClient(ctx context.Context, tx *db.Tx, id client.ID) error {
	return one(tx.Exec(ctx, `UPDATE clients SET active = active WHERE id = $1`, id))
}

// lockTenant is lockClient for a tenant.
func lockTenant(ctx context.Context, tx *db.Tx, id client.TenantID) error {
	return one(tx.Exec(ctx, `UPDATE tenants SET name = name WHERE id = $1`, id))
}

// lockEnrolment is lockClient for a place in a client. Where both are locked,
// the client comes first.
func lockEnrolment(ctx context.Context, tx *db.Tx, u identity.UserID, c client.ID) error {
	return one(tx.Exec(ctx, `UPDATE enrolments SET status = status WHERE user_id = $1 AND client_id = $2`, u, c))
}

// otherAdmins counts the users besides u who administer a client. Roles are
// compared in their stored form, in which a quote within a role is escaped.
func otherAdmins(ctx context.Context, tx *db.Tx, c client.ID, u identity.UserID) (int64, error) {
	return db.One(ctx, tx, db.Int, `SELECT COUNT(*) FROM enrolments e JOIN users u ON u.id = e.user_id
		WHERE e.client_id = $1 AND e.user_id <> $2 AND e.status = 'active' AND u.status = 'active' AND e.roles LIKE $3`, c, u, `%"`+roleAdmin+`"%`)
}

func scanPerson(r db.Row) (p Person, err error) {
	var created db.Time
	err = r.Scan(&p.ID, &p.Email, &p.DisplayName, &created, &p.TOTP)
	p.CreatedAt = created.Time
	return p, err
}

// people reads users by id, a hundred in one statement; in no order.
func people(ctx context.Context, tx *db.Tx, ids []identity.UserID) (map[identity.UserID]Person, error) {
	all := make(map[identity.UserID]Person, len(ids))
	for start := 0; start < len(ids); start += 100 {
		chunk := ids[start:min(start+100, len(ids))]
		marks, args := make([]string, len(chunk)), make([]any, len(chunk))
		for i, id := range chunk {
			marks[i], args[i] = fmt.Sprintf("$%d", i+1), id
		}
		some, err := db.All(ctx, tx, scanPerson, `SELECT u.id, m.address, u.display_name, u.created_at,
			EXISTS (SELECT 1 FROM totp t WHERE t.user_id = u.id AND t.confirmed_at IS NOT NULL)
				OR EXISTS (SELECT 1 FROM mailed_factors f WHERE f.user_id = u.id AND f.chosen)
			FROM users u LEFT JOIN emails m ON m.user_id = u.id AND m.is_primary WHERE u.id IN (`+strings.Join(marks, ", ")+`)`, args...)
		if err != nil {
			return nil, fmt.Errorf("read users: %w", err)
		}
		for _, p := range some {
			all[p.ID] = p
		}
	}
	return all, nil
}

// hasLogo reports whether a picture was uploaded for a client.
func hasLogo(ctx context.Context, tx *db.Tx, c client.ID) (bool, error) {
	return db.One(ctx, tx, db.Bool, `SELECT EXISTS (SELECT 1 FROM client_logos WHERE client_id = $1)`, c)
}

func dropLogo(ctx context.Context, tx *db.Tx, c client.ID) error {
	_, err := tx.Exec(ctx, `DELETE FROM client_logos WHERE client_id = $1`, c)
	return err
}

// consoleText returns the row that names the console client, or db.ErrNotFound.
func consoleText(ctx context.Context, tx *db.Tx) (string, error) {
	return db.One(ctx, tx, db.Text, `SELECT value FROM settings WHERE name = $1`, consoleRow)
}

// setConsole writes the row that names the console client if it still holds was
// ("" for no row), and reports whether this call did.
func setConsole(ctx context.Context, tx *db.Tx, was, value string, now time.Time) (bool, error) {
	query, args := `UPDATE settings SET value = $2, updated_at = $3 WHERE name = $1 AND value = $4`, []any{consoleRow, value, db.At(now), was}
	if was == "" {
		query, args = `INSERT INTO settings (name, value, updated_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING`, args[:3]
	}
	n, err := tx.Exec(ctx, query, args...)
	return n == 1, err
}

// queued is everybody who waits, in the client $1 of the tenant $2: for places, if
// $3, for features, if $4, and for the feature $5 or any; who has been told how they
// stand ('told' in $6) or has not ('new'), and in whose address or name $7 is. Empty
// arguments ask for all.
const queued = ` FROM (
	SELECT e.client_id, e.user_id, '' AS entry, '' AS org_id, '' AS feature, e.created_at, e.notified_at
		FROM enrolments e WHERE e.status = 'pending' AND NOT $4 AND $5 = ''
	UNION ALL
	SELECT w.client_id, w.user_id, w.id, w.org_id, w.feature, w.created_at, w.notified_at
		FROM waitlist w WHERE w.status = 'waiting' AND NOT $3 AND ($5 = '' OR w.feature = $5)
	) AS q WHERE ($1 = '' OR q.client_id = $1) AND ($2 = '' OR q.client_id IN (SELECT id FROM clients WHERE tenant_id = $2))
		AND ($6 = '' OR $6 = 'told' AND q.notified_at IS NOT NULL OR $6 = 'new' AND q.notified_at IS NULL)
		AND ($7 = '' OR EXISTS (SELECT 1 FROM users u LEFT JOIN emails m ON m.user_id = u.id AND m.is_primary
			WHERE u.id = q.user_id AND (m.address LIKE $7 ESCAPE '!' OR LOWER(u.display_name) LIKE $7 ESCAPE '!')))`

// queuedArgs are the arguments of queued.
func queuedArgs(id client.ID, tenant client.TenantID, in QueueIn) []any {
	told, search := "", in.Search
	if in.Told != nil {
		told = map[bool]string{true: "told", false: "new"}[*in.Told]
	}
	if search != "" {
		search = identity.Like(search)
	}
	return []any{id, tenant, in.Places, in.Features, in.Feature, told, search}
}

func scanWaiting(r db.Row) (w Waiting, err error) {
	var since, notified db.Time
	err = r.Scan(&w.ClientID, &w.UserID, &w.Entry, &w.Account, &w.Feature, &since, &notified)
	w.Since, w.NotifiedAt = since.Time, notified.Time
	return w, err
}

// waiting returns one page of the queue and its length.
func waiting(ctx context.Context, tx *db.Tx, id client.ID, tenant client.TenantID, in QueueIn) ([]Waiting, int, error) {
	args := queuedArgs(id, tenant, in)
	total, err := db.One(ctx, tx, db.Int, `SELECT COUNT(*)`+queued, args...)
	if err != nil {
		return nil, 0, fmt.Errorf("count who waits: %w", err)
	}
	all, err := db.All(ctx, tx, scanWaiting, `SELECT q.client_id, q.user_id, q.entry, q.org_id, q.feature, q.created_at, q.notified_at`+queued+`
		ORDER BY q.created_at, q.user_id, q.entry LIMIT $8 OFFSET $9`, append(args, in.Page.Size, in.Page.offset())...)
	return all, int(total), err
}

// one turns "no row was changed" into db.ErrNotFound.
func one(n int64, err error) error {
	if err == nil && n == 0 {
		return db.ErrNotFound
	}
	return err
}
