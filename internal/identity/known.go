package identity

import (
	"context"
	"fmt"
	"slices"

	"sallyport/internal/db"
)

// Known is a user as one client knows them: by an alias that ends in their
// subject at an upstream, with what that upstream said of them last.
type Known struct {
	Alias string
	Link
}

// ofAlias joins an alias with the link that it is made of; of several that it
// may be made of, the one with the longest subject comes first.
const (
	ofAlias = ` FROM aliases a JOIN links l ON l.user_id = a.user_id AND SUBSTR(a.alias, LENGTH(a.alias) - LENGTH(l.subject) + 1) = l.subject`
	longest = ` ORDER BY a.alias, LENGTH(l.subject) DESC, l.created_at`
)

func scanKnown(r db.Row) (k Known, err error) {
	var at db.Time
	err = r.Scan(append([]any{&k.Alias}, k.dest(&at)...)...)
	k.CreatedAt = at.Time
	return k, err
}

// KnownAs returns the user whom a client knows by an alias, or db.ErrNotFound,
// also where no upstream has said anything of them.
func KnownAs(ctx context.Context, tx *db.Tx, client, alias string) (Known, error) {
	return db.One(ctx, tx, scanKnown, `SELECT a.alias, `+linkColumns+ofAlias+` WHERE a.client_id = $1 AND a.alias = $2`+longest+` LIMIT 1`, client, alias)
}

// KnownBy returns the users of a client of whom an upstream said an address,
// verified or not.
func KnownBy(ctx context.Context, tx *db.Tx, client, email string) ([]Known, error) {
	all, err := db.All(ctx, tx, scanKnown, `SELECT a.alias, `+linkColumns+ofAlias+` WHERE a.client_id = $1 AND l.email = $2`+longest, client, email)
	return slices.CompactFunc(all, func(k, next Known) bool { return k.Alias == next.Alias }), err
}

// Aliases returns the aliases that users have in a client, in one statement a
// hundred users.
func Aliases(ctx context.Context, tx *db.Tx, client string, users []UserID) (map[UserID]string, error) {
	all := make(map[UserID]string, len(users))
	for start := 0; start < len(users); start += 100 {
		chunk := users[start:min(start+100, len(users))]
		marks, args := "", []any{client}
		for i, u := range chunk {
			if i > 0 {
				marks += ", "
			}
			args = append(args, u)
			marks += fmt.Sprintf("$%d", len(args))
		}
		rows, err := db.All(ctx, tx, func(r db.Row) (row [2]string, err error) { err = r.Scan(&row[0], &row[1]); return row, err },
			`SELECT user_id, alias FROM aliases WHERE client_id = $1 AND user_id IN (`+marks+`)`, args...)
		if err != nil {
			return nil, fmt.Errorf("list aliases: %w", err)
		}
		for _, row := range rows {
			all[UserID(row[0])] = row[1]
		}
	}
	return all, nil
}
