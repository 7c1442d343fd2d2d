package directory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/org"
)

const userColumns = `x.org_id, x.user_id, x.name, x.external_id, x.active, x.disabled, x.role, x.attributes, x.version, x.created_at, x.updated_at,
	e.address, e.verified_at, u.display_name, u.given_name, u.family_name`

const fromUsers = ` FROM directory_users x JOIN users u ON u.id = x.user_id LEFT JOIN emails e ON e.user_id = u.id AND e.is_primary WHERE NOT x.gone AND x.org_id = $1`

func scanUser(r db.Row) (u User, err error) {
	var attributes string
	var created, updated, verified db.Time
	err = r.Scan(&u.OrgID, &u.ID, &u.Name, &u.ExternalID, &u.Active, &u.Disabled, &u.Role, &attributes, &u.Version, &created, &updated,
		&u.Email, &verified, &u.DisplayName, &u.GivenName, &u.FamilyName)
	if attributes != "" {
		u.Attributes = json.RawMessage(attributes)
	}
	u.CreatedAt, u.UpdatedAt, u.Verified = created.Time, updated.Time, !verified.IsZero()
	return u, err
}

// Exact chooses people or groups by what has an index; empty parts choose all. Address
// is that of an account, and Member a person in a group: each means nothing for the
// other kind.
type Exact struct {
	ID         string
	Name       string // in any case of letters
	ExternalID string
	Address    string
	Member     identity.UserID
}

// where are the conditions of an Exact beyond the first argument.
type where struct {
	text strings.Builder
	args []any
}

func (w *where) and(column string, value string) {
	if value != "" {
		w.args = append(w.args, value)
		fmt.Fprintf(&w.text, " AND %s = $%d", column, len(w.args))
	}
}

func (w *where) page(limit, offset int) (string, []any) {
	n := len(w.args)
	return fmt.Sprintf(" LIMIT $%d OFFSET $%d", n+1, n+2), append(w.args, limit, offset)
}

// UserByID returns a person of a directory, or db.ErrNotFound.
func UserByID(ctx context.Context, tx *db.Tx, id org.ID, u identity.UserID) (User, error) {
	return db.One(ctx, tx, scanUser, `SELECT `+userColumns+fromUsers+` AND x.user_id = $2`, id, u)
}

// Users returns one page of the people that e chooses, who came first before the others,
// and how many there are.
func Users(ctx context.Context, tx *db.Tx, id org.ID, e Exact, limit, offset int) ([]User, int, error) {
	w := where{args: []any{id}}
	w.and("x.user_id", e.ID)
	w.and("x.name_key", Key(e.Name))
	w.and("x.external_id", e.ExternalID)
	w.and("e.address", e.Address)
	from := fromUsers
	if e.Address == "" { // then their accounts need not be looked at to count them
		from = ` FROM directory_users x WHERE NOT x.gone AND x.org_id = $1`
	}
	total, err := db.One(ctx, tx, db.Int, `SELECT COUNT(*)`+from+w.text.String(), w.args...)
	if err != nil {
		return nil, 0, fmt.Errorf("count people: %w", err)
	}
	if limit == 0 {
		return nil, int(total), nil
	}
	page, args := w.page(limit, offset)
	all, err := db.All(ctx, tx, scanUser, `SELECT `+userColumns+fromUsers+w.text.String()+` ORDER BY x.created_at, x.user_id`+page, args...)
	return all, int(total), err
}

// Add puts a person into a directory, or back into it who was deleted from it. Of u the
// caller fills all that is the directory's but the times and the version. ErrTaken means
// that they are there already, or that somebody else has the name.
func Add(ctx context.Context, tx *db.Tx, u User, now time.Time) error {
	n, err := tx.Exec(ctx, `INSERT INTO directory_users (org_id, user_id, name, name_key, external_id, active, disabled, gone, role, attributes, version, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, FALSE, $8, $9, 1, $10, $10)
		ON CONFLICT (org_id, user_id) DO UPDATE SET name = $3, name_key = $4, external_id = $5, active = $6, disabled = $7, gone = FALSE, role = $8, attributes = $9,
			version = directory_users.version + 1, created_at = $10, updated_at = $10 WHERE directory_users.gone`,
		u.OrgID, u.ID, u.Name, Key(u.Name), u.ExternalID, u.Active, u.Disabled, u.Role, string(u.Attributes), db.At(now))
	return taken("add person", n, err)
}

// Change stores all of u but its version and times if nobody has changed the person
// since it was read (u.Version). Fails with ErrChanged if somebody has, and ErrTaken if
// somebody else has the name.
func Change(ctx context.Context, tx *db.Tx, u User, now time.Time) error {
	n, err := tx.Exec(ctx, `UPDATE directory_users SET name = $4, name_key = $5, external_id = $6, active = $7, disabled = $8, role = $9, attributes = $10,
		version = version + 1, updated_at = $11 WHERE org_id = $1 AND user_id = $2 AND version = $3 AND NOT gone`,
		u.OrgID, u.ID, u.Version, u.Name, Key(u.Name), u.ExternalID, u.Active, u.Disabled, u.Role, string(u.Attributes), db.At(now))
	if err == nil && n == 0 {
		return ErrChanged
	}
	return taken("change person", n, err)
}

// Remove takes a person out of a directory and of its groups, if nobody has changed them
// since they were read. Whether their account was disabled with them is remembered.
func Remove(ctx context.Context, tx *db.Tx, u User, now time.Time) error {
	n, err := tx.Exec(ctx, `UPDATE directory_users SET gone = TRUE, active = FALSE, external_id = '', attributes = '', disabled = $4, role = 'member', version = version + 1, updated_at = $5
		WHERE org_id = $1 AND user_id = $2 AND version = $3 AND NOT gone`, u.OrgID, u.ID, u.Version, u.Disabled, db.At(now))
	if err != nil {
		return fmt.Errorf("remove person: %w", err)
	}
	if n == 0 {
		return ErrChanged
	}
	_, err = tx.Exec(ctx, `DELETE FROM directory_members WHERE org_id = $1 AND user_id = $2`, u.OrgID, u.ID)
	return err
}

// Left notes in a directory that somebody's place was taken by hand. They are not active
// until the directory says so anew, and then a member like any other.
func Left(ctx context.Context, tx *db.Tx, id org.ID, u identity.UserID, now time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE directory_users SET active = FALSE, role = 'member', version = version + 1, updated_at = $3
		WHERE org_id = $1 AND user_id = $2 AND active AND NOT gone`, id, u, db.At(now))
	return err
}

// Joined notes in a directory that somebody was given a place by hand whom it has, but
// not as active: what it says next of their name must not put them out. Whom it deleted
// it may find anew.
func Joined(ctx context.Context, tx *db.Tx, id org.ID, u identity.UserID, now time.Time) error {
	if _, err := tx.Exec(ctx, `DELETE FROM directory_users WHERE org_id = $1 AND user_id = $2 AND gone AND NOT disabled`, id, u); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `UPDATE directory_users SET active = TRUE, version = version + 1, updated_at = $3
		WHERE org_id = $1 AND user_id = $2 AND NOT active AND NOT gone`, id, u, db.At(now))
	return err
}

// Release forgets that directories disabled an account, and reports whether one had.
func Release(ctx context.Context, tx *db.Tx, u identity.UserID) (bool, error) {
	n, err := tx.Exec(ctx, `UPDATE directory_users SET disabled = FALSE WHERE user_id = $1 AND disabled`, u)
	return n > 0, err
}

// Barred reports whether the directory of an organization says that somebody is not to
// be in it: no sign-in makes them a member then.
func Barred(ctx context.Context, tx *db.Tx, id org.ID, u identity.UserID) (bool, error) {
	return db.One(ctx, tx, db.Bool, `SELECT EXISTS (SELECT 1 FROM directory_users WHERE org_id = $1 AND user_id = $2 AND NOT active)`, id, u)
}

// taken turns the refusal of a unique name, or of a row that is there, into ErrTaken.
func taken(what string, n int64, err error) error {
	switch {
	case errors.Is(err, db.ErrConflict), err == nil && n == 0:
		return ErrTaken
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
