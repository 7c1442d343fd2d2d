package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/org"
)

const groupColumns = `g.org_id, g.id, g.name, g.external_id, g.version, g.created_at, g.updated_at`

const fromGroups = ` FROM directory_groups g WHERE g.org_id = $1`

func scanGroup(r db.Row) (g Group, err error) { return scanGroupAnd(r) }

// scanGroupAnd scans a group and whatever columns follow.
func scanGroupAnd(r db.Row, more ...any) (g Group, err error) {
	var created, updated db.Time
	err = r.Scan(append([]any{&g.OrgID, &g.ID, &g.Name, &g.ExternalID, &g.Version, &created, &updated}, more...)...)
	g.CreatedAt, g.UpdatedAt = created.Time, updated.Time
	return g, err
}

// GroupByID returns a group of a directory, or db.ErrNotFound.
func GroupByID(ctx context.Context, tx *db.Tx, id org.ID, g GroupID) (Group, error) {
	return db.One(ctx, tx, scanGroup, `SELECT `+groupColumns+fromGroups+` AND g.id = $2`, id, g)
}

// Groups returns one page of the groups that e chooses, oldest first, and how many there
// are.
func Groups(ctx context.Context, tx *db.Tx, id org.ID, e Exact, limit, offset int) ([]Group, int, error) {
	w := where{args: []any{id}}
	w.and("g.id", e.ID)
	w.and("g.name_key", Key(e.Name))
	w.and("g.external_id", e.ExternalID)
	if e.Member != "" {
		w.text.WriteString(` AND EXISTS (SELECT 1 FROM directory_members m WHERE m.org_id = g.org_id AND m.group_id = g.id`)
		w.and("m.user_id", string(e.Member))
		w.text.WriteString(`)`)
	}
	total, err := db.One(ctx, tx, db.Int, `SELECT COUNT(*)`+fromGroups+w.text.String(), w.args...)
	if err != nil {
		return nil, 0, fmt.Errorf("count groups: %w", err)
	}
	if limit == 0 {
		return nil, int(total), nil
	}
	page, args := w.page(limit, offset)
	all, err := db.All(ctx, tx, scanGroup, `SELECT `+groupColumns+fromGroups+w.text.String()+` ORDER BY g.created_at, g.id`+page, args...)
	return all, int(total), err
}

// AddGroup makes a group without members and returns it. ErrTaken means that another
// one has the name.
func AddGroup(ctx context.Context, tx *db.Tx, id org.ID, name, externalID string, now time.Time) (Group, error) {
	g := Group{OrgID: id, ID: GroupID(identity.NewID()), Name: name, ExternalID: externalID, Version: 1}
	n, err := tx.Exec(ctx, `INSERT INTO directory_groups (org_id, id, name, name_key, external_id, version, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, 1, $6, $6) ON CONFLICT (org_id, name_key) DO NOTHING`, id, g.ID, name, Key(name), externalID, db.At(now))
	if err := taken("add group", n, err); err != nil {
		return g, err
	}
	return GroupByID(ctx, tx, id, g.ID)
}

// HoldGroup returns a group and has whoever else changes it wait until this transaction
// ends; db.ErrNotFound if there is none.
func HoldGroup(ctx context.Context, tx *db.Tx, id org.ID, g GroupID) (Group, error) {
	if _, err := tx.Exec(ctx, `UPDATE directory_groups SET version = version WHERE org_id = $1 AND id = $2`, id, g); err != nil {
		return Group{}, fmt.Errorf("hold group: %w", err)
	}
	return GroupByID(ctx, tx, id, g)
}

// ChangeGroup stores name and external id of a group that is held, and counts its version
// up. ErrTaken means that another one has the name.
func ChangeGroup(ctx context.Context, tx *db.Tx, g Group, now time.Time) error {
	n, err := tx.Exec(ctx, `UPDATE directory_groups SET name = $3, name_key = $4, external_id = $5, version = version + 1, updated_at = $6 WHERE org_id = $1 AND id = $2`,
		g.OrgID, g.ID, g.Name, Key(g.Name), g.ExternalID, db.At(now))
	return taken("change group", n, err)
}

// RemoveGroup ends a group; db.ErrNotFound if there is none.
func RemoveGroup(ctx context.Context, tx *db.Tx, id org.ID, g GroupID) error {
	n, err := tx.Exec(ctx, `DELETE FROM directory_groups WHERE org_id = $1 AND id = $2`, id, g)
	if err == nil && n == 0 {
		return db.ErrNotFound
	}
	return err
}

// chunk is how many people one statement names.
const chunk = 100

// AddMembers puts people into a group and returns those who were not in it. ErrStranger
// means that one of them is nobody of the directory; then none may be kept.
func AddMembers(ctx context.Context, tx *db.Tx, g Group, people []identity.UserID) (added []identity.UserID, err error) {
	strangers := func(marks string, args []any, n int) error {
		known, err := db.One(ctx, tx, db.Int, `SELECT COUNT(*) FROM directory_users WHERE org_id = $1 AND NOT gone AND user_id IN (`+marks+`)`, args...)
		if err == nil && int(known) != n {
			err = ErrStranger
		}
		return err
	}
	if err := inChunks(people, strangers, g.OrgID); err != nil {
		return nil, err
	}
	err = inChunks(people, func(marks string, args []any, _ int) error {
		some, err := db.All(ctx, tx, scanID, `INSERT INTO directory_members (org_id, group_id, user_id)
			SELECT x.org_id, $2, x.user_id FROM directory_users x WHERE x.org_id = $1 AND NOT x.gone AND x.user_id IN (`+marks+`)
			ON CONFLICT (org_id, group_id, user_id) DO NOTHING RETURNING user_id`, args...)
		added = append(added, some...)
		return err
	}, g.OrgID, g.ID)
	if errors.Is(err, db.ErrReference) { // gone meanwhile
		err = ErrStranger
	}
	return added, err
}

// RemoveMembers takes people out of a group and returns those who were in it.
func RemoveMembers(ctx context.Context, tx *db.Tx, g Group, people []identity.UserID) (removed []identity.UserID, err error) {
	err = inChunks(people, func(marks string, args []any, _ int) error {
		some, err := db.All(ctx, tx, scanID, `DELETE FROM directory_members WHERE org_id = $1 AND group_id = $2 AND user_id IN (`+marks+`) RETURNING user_id`, args...)
		removed = append(removed, some...)
		return err
	}, g.OrgID, g.ID)
	return removed, err
}

// inChunks calls do for a part of the people at a time, each of them named once, with
// the arguments that come first and then the people, whose marks and number it gets.
func inChunks(people []identity.UserID, do func(marks string, args []any, n int) error, first ...any) error {
	seen := map[identity.UserID]bool{}
	var once []any
	for _, p := range people {
		if !seen[p] {
			seen[p], once = true, append(once, p)
		}
	}
	for part := range slices.Chunk(once, chunk) {
		marks := make([]string, len(part))
		for i := range part {
			marks[i] = fmt.Sprintf("$%d", len(first)+i+1)
		}
		if err := do(strings.Join(marks, ", "), slices.Concat(first, part), len(part)); err != nil {
			return err
		}
	}
	return nil
}

func scanID(r db.Row) (id identity.UserID, err error) {
	err = r.Scan(&id)
	return id, err
}

// MembersOf returns the people in a group by name.
func MembersOf(ctx context.Context, tx *db.Tx, id org.ID, g GroupID) ([]Member, error) {
	return db.All(ctx, tx, func(r db.Row) (m Member, err error) { err = r.Scan(&m.ID, &m.Name); return m, err },
		`SELECT x.user_id, x.name FROM directory_members m JOIN directory_users x ON x.org_id = m.org_id AND x.user_id = m.user_id
		WHERE m.org_id = $1 AND m.group_id = $2 ORDER BY x.name_key`, id, g)
}

// GroupsOf returns the groups that each of the given people is in, by name, a hundred
// people in one statement.
func GroupsOf(ctx context.Context, tx *db.Tx, id org.ID, people ...identity.UserID) (map[identity.UserID][]Group, error) {
	all := make(map[identity.UserID][]Group, len(people))
	err := inChunks(people, func(marks string, args []any, _ int) error {
		type pair struct {
			user  identity.UserID
			group Group
		}
		some, err := db.All(ctx, tx, func(r db.Row) (p pair, err error) { p.group, err = scanGroupAnd(r, &p.user); return p, err },
			`SELECT `+groupColumns+`, m.user_id FROM directory_members m JOIN directory_groups g ON g.org_id = m.org_id AND g.id = m.group_id
			WHERE m.org_id = $1 AND m.user_id IN (`+marks+`) ORDER BY g.name_key`, args...)
		for _, p := range some {
			all[p.user] = append(all[p.user], p.group)
		}
		return err
	}, id)
	return all, err
}

// NamesOf returns the names of the groups that somebody is in.
func NamesOf(ctx context.Context, tx *db.Tx, id org.ID, u identity.UserID) ([]string, error) {
	return db.All(ctx, tx, db.Text, `SELECT g.name FROM directory_members m JOIN directory_groups g ON g.org_id = m.org_id AND g.id = m.group_id
		WHERE m.org_id = $1 AND m.user_id = $2 ORDER BY g.name_key`, id, u)
}
