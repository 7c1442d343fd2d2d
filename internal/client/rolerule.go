package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/identity"
)

// RoleRule gives a role to whoever an upstream vouches for. All of its parts must
// hold, and an empty part holds always; but one of Emails and Domain must be
// there, or the rule gives nothing.
type RoleRule struct {
	Role      string   `json:"role" yaml:"role"`
	Emails    []string `json:"emails,omitempty" yaml:"emails,omitempty"`       // one of these addresses
	Domain    string   `json:"domain,omitempty" yaml:"domain,omitempty"`       // any address of this domain, and of none below it
	Upstreams []string `json:"upstreams,omitempty" yaml:"upstreams,omitempty"` // by one of these, each a kind or a key
	Hosted    string   `json:"hosted,omitempty" yaml:"hosted,omitempty"`       // an account of this organization there
}

// Assertion is what an upstream said of a person, as far as rules look at it.
// Email is one that the upstream vouches for and may, or "".
type Assertion struct {
	Upstream, Kind string
	Email          string
	Organization   string
}

// Gives reports whether the rule gives its role to the person. Addresses are
// compared without regard to case; one with a quotation mark or more than one "@"
// gives nothing, because two readers may disagree on what its domain is.
func (r RoleRule) Gives(a Assertion) bool {
	email := strings.ToLower(a.Email)
	at := strings.LastIndexByte(email, '@')
	if at < 1 || strings.Count(email, "@") != 1 || strings.ContainsAny(email, `"\`) || r.Role == "" {
		return false
	}
	same := func(s string) bool { return strings.EqualFold(s, email) }
	switch {
	case len(r.Emails) == 0 && r.Domain == "",
		len(r.Emails) > 0 && !slices.ContainsFunc(r.Emails, same),
		r.Domain != "" && !strings.EqualFold(r.Domain, email[at+1:]),
		len(r.Upstreams) > 0 && !slices.Contains(r.Upstreams, a.Upstream) && !slices.Contains(r.Upstreams, a.Kind),
		r.Hosted != "" && !strings.EqualFold(r.Hosted, a.Organization):
		return false
	}
	return true
}

// RuleChange is what the rules did: the roles after it, and which of them are new
// or gone.
type RuleChange struct {
	Roles, Given, Dropped []string
}

// ApplyRules gives a user in a client the roles of the rules that hold, after
// those that are there, and takes back, unless keep is set, what a rule gave
// before and none does now. A role that somebody gave by hand is left alone, and
// one that somebody took away by hand is not given again.
//
//	      a rule holds           taken away by hand
//	none ──────────────▶ given ──────────────────────▶ barred
//	  ▲                    │                              │
//	  ├────────────────────┘ no rule holds any more       │
//	  └───────────────────────────────────────────────────┘ given by hand
//
// Fails with db.ErrNotFound where the user has no place.
func ApplyRules(ctx context.Context, tx *db.Tx, u identity.UserID, c ID, rules []RoleRule, a Assertion, keep bool, now time.Time) (RuleChange, error) {
	var due []string
	for _, r := range rules {
		if r.Gives(a) {
			due = append(due, r.Role)
		}
	}
	return ApplyDue(ctx, tx, u, c, "", due, keep, now)
}

// ApplyDue is ApplyRules for the roles that are due by rules of another source, such
// as an organization: it takes back what that source gave, and no other's.
func ApplyDue(ctx context.Context, tx *db.Tx, u identity.UserID, c ID, source string, due []string, keep bool, now time.Time) (RuleChange, error) {
	roles, err := lockRoles(ctx, tx, u, c)
	if err != nil {
		return RuleChange{}, err
	}
	states, err := ruleStates(ctx, tx, u, c)
	if err != nil {
		return RuleChange{}, err
	}
	change := RuleChange{Roles: slices.Clone(roles)}
	for _, role := range due {
		if slices.Contains(change.Roles, role) || states[role].state == roleBarred {
			continue
		}
		change.Roles, change.Given = append(change.Roles, role), append(change.Given, role)
		if err := putRuleState(ctx, tx, u, c, role, ruleState{roleGiven, source}); err != nil {
			return change, err
		}
	}
	for role, state := range states {
		if keep || state != (ruleState{roleGiven, source}) || slices.Contains(due, role) {
			continue
		}
		change.Dropped = append(change.Dropped, role)
		if err := clearRuleState(ctx, tx, u, c, role); err != nil {
			return change, err
		}
	}
	if len(change.Given)+len(change.Dropped) == 0 {
		return change, nil
	}
	slices.Sort(change.Dropped)
	change.Roles = slices.DeleteFunc(change.Roles, func(r string) bool { return slices.Contains(change.Dropped, r) })
	return change, putRoles(ctx, tx, u, c, change.Roles, now)
}

// ErrLastHolder reports a role that nobody would be left with.
var ErrLastHolder = errors.New("client: nobody else has the role")

// ErrNotHeld reports a role that the user does not have.
var ErrNotHeld = errors.New("client: the user does not have the role")

// AddRole gives a user one more role in a client, after those that are there, and
// returns all of them before and after. It stands: no rule takes it back. Any
// number of callers may change the roles of one user at once. Fails with
// db.ErrNotFound where the user has no place.
func AddRole(ctx context.Context, tx *db.Tx, u identity.UserID, c ID, role string, now time.Time) (before, after []string, err error) {
	if before, err = lockRoles(ctx, tx, u, c); err != nil {
		return nil, nil, err
	}
	if slices.Contains(before, role) {
		return before, before, clearRuleState(ctx, tx, u, c, role)
	}
	after = append(slices.Clone(before), role)
	if err := byHand(ctx, tx, u, c, before, after); err != nil {
		return nil, nil, err
	}
	return before, after, putRoles(ctx, tx, u, c, after, now)
}

// RemoveRole takes a role from a user in a client and returns all of them before
// and after; the others keep their order, and no rule gives it again. Fails with
// ErrNotHeld; with db.ErrNotFound where the user has no place; and, if keepLast is
// set, with ErrLastHolder where no other active user has the role, however many
// are removed at once.
func RemoveRole(ctx context.Context, tx *db.Tx, u identity.UserID, c ID, role string, keepLast bool, now time.Time) (before, after []string, err error) {
	if keepLast {
		// Whoever removes the role from somebody else waits here, and then sees
		// what was done.
		if err := one(tx.Exec(ctx, `UPDATE clients SET active = active WHERE id = $1`, c)); err != nil {
			return nil, nil, err
		}
	}
	if before, err = lockRoles(ctx, tx, u, c); err != nil {
		return nil, nil, err
	}
	if !slices.Contains(before, role) {
		return before, before, ErrNotHeld
	}
	if keepLast {
		holders, err := holders(ctx, tx, c, role, true)
		if err != nil {
			return nil, nil, err
		}
		if !slices.ContainsFunc(holders, func(h identity.UserID) bool { return h != u }) {
			return before, before, ErrLastHolder
		}
	}
	after = slices.DeleteFunc(slices.Clone(before), func(r string) bool { return r == role })
	if err := byHand(ctx, tx, u, c, before, after); err != nil {
		return nil, nil, err
	}
	return before, after, putRoles(ctx, tx, u, c, after, now)
}

// UsersWithRole returns the users who have a role in a client, those who got
// their place first before the others.
func UsersWithRole(ctx context.Context, tx *db.Tx, c ID, role string) ([]identity.UserID, error) {
	all, err := holders(ctx, tx, c, role, false)
	if err != nil {
		return nil, fmt.Errorf("list users with a role: %w", err)
	}
	return all, nil
}
