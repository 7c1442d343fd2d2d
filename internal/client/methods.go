package client

import (
	"context"
	"fmt"
	"slices"

	"sallyport/internal/db"
	"sallyport/internal/identity"
)

// Own reports whether a method is one of ours, and not the key of an upstream.
func Own(method string) bool {
	return slices.Contains([]string{MethodPassword, MethodMagicLink, MethodEmailCode, MethodPasskey}, method)
}

// MethodsOf are the ways to sign in of all clients in which the user is active
// or waits for approval, each once, in order.
func MethodsOf(ctx context.Context, tx *db.Tx, u identity.UserID) ([]string, error) {
	policies, err := db.All(ctx, tx, func(r db.Row) (p Policy, err error) { err = r.Scan(db.JSON(&p)); return p, err },
		`SELECT c.policy FROM enrolments e JOIN clients c ON c.id = e.client_id WHERE e.user_id = $1 AND e.status <> 'suspended' AND c.active`, u)
	if err != nil {
		return nil, fmt.Errorf("read methods: %w", err)
	}
	var all []string
	for _, p := range policies {
		all = append(all, p.Methods...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}
