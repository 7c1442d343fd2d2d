package audit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/org"
)

const columns = `id, at, actor, action, client_id, user_id, org_id, ip, request_id, detail, announce`

func scan(r db.Row) (e Entry, err error) {
	var at db.Time
	var actor string
	err = r.Scan(&e.ID, &at, &actor, &e.Action, &e.ClientID, &e.UserID, &e.OrgID, &e.IP, &e.RequestID, db.JSON(&e.Detail), &e.Announce)
	e.At, e.Actor = at.Time, ParseActor(actor)
	return e, err
}

// Record appends an event. It fails only if the database does, or if Detail
// holds what has no JSON.
func Record(ctx context.Context, tx *db.Tx, now time.Time, e Event) error {
	detail, err := detailText(e.Detail)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO audit (id, at, actor, action, client_id, user_id, org_id, ip, request_id, detail, announce)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		identity.NewID(), db.At(now), e.Actor.String(), e.Action, e.ClientID, e.UserID, e.org(), e.IP, e.RequestID, detail, e.Announce)
	if err != nil {
		return fmt.Errorf("record %s: %w", e.Action, err)
	}
	return nil
}

// Filter chooses entries; empty parts choose all. Tenant stands for its clients
// of today. Since is inclusive, Until exclusive. Limit and Offset cut the page.
type Filter struct {
	ClientID      client.ID
	Tenant        client.TenantID
	UserID        identity.UserID
	OrgID         org.ID
	Action        Action
	Noun          string   // what the action is of: the word before its dot
	Any           []Action // one of these
	Actor         Actor
	By            identity.UserID // who did it, or whom it was done to
	About         string          // an id that the entry names: the user, or one in its detail
	Since, Until  time.Time
	Limit, Offset int
}

var likeNoun = strings.NewReplacer("!", "!!", "%", "!%", "_", "!_")

// where is the condition of f with its arguments.
func (f Filter) where() (string, []any) {
	var conds []string
	var args []any
	add := func(cond string, arg any) {
		args = append(args, arg)
		conds = append(conds, fmt.Sprintf(cond, len(args)))
	}
	if f.ClientID != "" {
		add(`client_id = $%d`, f.ClientID)
	}
	if f.Tenant != "" {
		add(`client_id IN (SELECT id FROM clients WHERE tenant_id = $%d)`, f.Tenant)
	}
	if f.UserID != "" {
		add(`user_id = $%d`, f.UserID)
	}
	if f.OrgID != "" {
		add(`org_id = $%d`, f.OrgID)
	}
	if f.Action != "" {
		add(`action = $%d`, f.Action)
	}
	if len(f.Any) > 0 {
		marks := make([]string, len(f.Any))
		for i, a := range f.Any {
			args = append(args, a)
			marks[i] = fmt.Sprintf("$%d", len(args))
		}
		conds = append(conds, `action IN (`+strings.Join(marks, ", ")+`)`)
	}
	if f.Noun != "" {
		add(`action LIKE $%d ESCAPE '!'`, likeNoun.Replace(f.Noun)+".%")
	}
	if f.By != "" {
		args = append(args, f.By, User(f.By).String())
		conds = append(conds, fmt.Sprintf(`(user_id = $%d OR actor = $%d)`, len(args)-1, len(args)))
	}
	if f.About != "" {
		args = append(args, f.About, `%:"`+likeNoun.Replace(f.About)+`"%`)
		conds = append(conds, fmt.Sprintf(`(user_id = $%d OR org_id = $%d OR detail LIKE $%d ESCAPE '!')`, len(args)-1, len(args)-1, len(args)))
	}
	if f.Actor != (Actor{}) {
		add(`actor = $%d`, f.Actor.String())
	}
	if !f.Since.IsZero() {
		add(`at >= $%d`, db.At(f.Since))
	}
	if !f.Until.IsZero() {
		add(`at < $%d`, db.At(f.Until))
	}
	if conds == nil {
		return "", nil
	}
	return ` WHERE ` + strings.Join(conds, ` AND `), args
}

// List returns the page of the entries that f chooses, newest first, and how
// many f chooses in all.
func List(ctx context.Context, tx *db.Tx, f Filter) ([]Entry, int, error) {
	where, args := f.where()
	total, err := db.One(ctx, tx, db.Int, `SELECT COUNT(*) FROM audit`+where, args...)
	if err != nil {
		return nil, 0, fmt.Errorf("count audit entries: %w", err)
	}
	page := fmt.Sprintf(` ORDER BY id DESC LIMIT $%d OFFSET $%d`, len(args)+1, len(args)+2)
	list, err := db.All(ctx, tx, scan, `SELECT `+columns+` FROM audit`+where+page, append(args, f.Limit, f.Offset)...)
	if err != nil {
		return nil, 0, fmt.Errorf("list audit entries: %w", err)
	}
	return list, int(total), nil
}

// Latest returns the newest entry that f chooses, or db.ErrNotFound. It counts none.
func Latest(ctx context.Context, tx *db.Tx, f Filter) (Entry, error) {
	where, args := f.where()
	return db.One(ctx, tx, scan, `SELECT `+columns+` FROM audit`+where+` ORDER BY id DESC LIMIT 1`, args...)
}

// Announced takes up to n of the oldest entries that wait to be announced, and
// returns them oldest first. Taking and marking is one statement, so an entry is
// handed out once even if many nodes ask: what follows from it belongs in the
// same transaction, and if that fails the entry waits again. A caller that loses
// to another node may get fewer than there are; the next call gets the rest.
func Announced(ctx context.Context, tx *db.Tx, n int) ([]Entry, error) {
	list, err := db.All(ctx, tx, scan, `UPDATE audit SET announce = FALSE WHERE announce AND id IN (
		SELECT id FROM audit WHERE announce ORDER BY id LIMIT $1) RETURNING `+columns, n)
	if err != nil {
		return nil, fmt.Errorf("take announced entries: %w", err)
	}
	slices.SortFunc(list, func(a, b Entry) int { return cmp.Compare(a.ID, b.ID) })
	return list, nil
}

// Sweep deletes what is older than before among the n oldest entries, announced
// or not, and reports how many that were. Fewer than n means that there are no
// more. Looking at the oldest by id needs no index on time: entries are recorded
// in the order in which they happen, as far as the clocks of the nodes agree.
func Sweep(ctx context.Context, tx *db.Tx, before time.Time, n int) (int64, error) {
	return tx.Exec(ctx, `DELETE FROM audit WHERE id IN (
		SELECT id FROM (SELECT id, at FROM audit ORDER BY id LIMIT $2) AS oldest WHERE at < $1)`, db.At(before), n)
}
