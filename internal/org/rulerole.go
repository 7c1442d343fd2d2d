package org

import (
	"context"
	"errors"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
)

// barred is the base role of a membership whose role somebody decided by hand where a
// rule had another.
const barred = `'barred'`

// byHand is the base role after a change by hand: no rule undoes it.
const byHand = `CASE WHEN memberships.base_role = '' THEN '' ELSE ` + barred + ` END`

// ApplyRole raises a member to the role that is due by rules, "" for none, or back to
// what they were before, once it is not due any more. It reports the role before and
// after; db.ErrNotFound where they are no member.
//
//	          a role above theirs is due
//	by hand ────────────────────────────▶ by rule, over a base ──────▶ barred
//	  ▲                                     │                  by hand
//	  └─────────────────────────────────────┘ none is due any more
//
// A rule never lowers what somebody gave, never makes an owner, and leaves alone who is
// one, or whose role somebody decided against it.
func ApplyRole(ctx context.Context, tx *db.Tx, id ID, u identity.UserID, due Role, now time.Time) (before, after Role, err error) {
	if due == Owner {
		return "", "", errors.New("org: a rule makes no owner")
	}
	before, base, err := lockRole(ctx, tx, id, u)
	if err != nil || base == "barred" || before == Owner {
		return before, before, err
	}
	under := before
	if base != "" {
		under = base
	}
	after, base = under, ""
	if due.Valid() && under.Below(due) {
		after, base = due, under
	}
	if after == before {
		return before, after, nil
	}
	_, err = tx.Exec(ctx, `UPDATE memberships SET role = $3, base_role = $4, updated_at = $5 WHERE org_id = $1 AND user_id = $2`, id, u, after, base, db.At(now))
	return before, after, err
}

// lockRole reads the role of a membership with its base, and has whoever else changes
// it wait until this transaction ends.
func lockRole(ctx context.Context, tx *db.Tx, id ID, u identity.UserID) (role, base Role, err error) {
	both, err := db.One(ctx, tx, func(r db.Row) (both [2]Role, err error) { err = r.Scan(&both[0], &both[1]); return both, err },
		`UPDATE memberships SET role = role WHERE org_id = $1 AND user_id = $2 RETURNING role, base_role`, id, u)
	return both[0], both[1], err
}

// Brings reports whether an organization may bring its people into a client that
// nobody enters without an invitation: the client's tenant has both, one of its owners
// is in there, or it has none, and is the operator's.
func Brings(ctx context.Context, tx *db.Tx, id ID, c client.ID) (bool, error) {
	return db.One(ctx, tx, db.Bool, `SELECT EXISTS (SELECT 1 FROM orgs o JOIN clients c ON c.tenant_id = o.tenant_id WHERE o.id = $1 AND c.id = $2)
		OR EXISTS (SELECT 1 FROM memberships w JOIN enrolments e ON e.user_id = w.user_id AND e.client_id = $2 AND e.status = 'active'
			WHERE w.org_id = $1 AND w.role = 'owner')
		OR NOT EXISTS (SELECT 1 FROM memberships w WHERE w.org_id = $1 AND w.role = 'owner')`, id, c)
}

// DemandsFactors reports whether an organization that a user is in demands two factors,
// apart from one.
func DemandsFactors(ctx context.Context, tx *db.Tx, u identity.UserID, but ID) (bool, error) {
	return db.One(ctx, tx, db.Bool, `SELECT EXISTS (SELECT 1 FROM memberships m JOIN orgs o ON o.id = m.org_id
		WHERE m.user_id = $1 AND o.id <> $2 AND o.sign_in = 'mfa' AND o.status NOT IN ('suspended', 'closed'))`, u, but)
}
