package identity

import (
	"context"
	"fmt"
	"strings"

	"sallyport/internal/db"
)

// ByIDs returns the users with the given ids, by id, a hundred in one statement.
// Ids of nobody are left out.
func ByIDs(ctx context.Context, tx *db.Tx, ids []UserID) (map[UserID]User, error) {
	all := make(map[UserID]User, len(ids))
	for start := 0; start < len(ids); start += 100 {
		chunk := ids[start:min(start+100, len(ids))]
		marks, args := make([]string, len(chunk)), make([]any, len(chunk))
		for i, id := range chunk {
			marks[i], args[i] = fmt.Sprintf("$%d", i+1), id
		}
		some, err := db.All(ctx, tx, scan, `SELECT `+columns+from+` WHERE u.id IN (`+strings.Join(marks, ", ")+`)`, args...)
		if err != nil {
			return nil, fmt.Errorf("read users: %w", err)
		}
		for _, u := range some {
			all[u.ID] = u
		}
	}
	return all, nil
}
