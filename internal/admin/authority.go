package admin

import (
	"context"
	"errors"
	"slices"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
)

// The roles that mean something to us; all others are the client's own affair.
const (
	roleAdmin   = "admin"
	roleManager = "manager"
)

// tier is how far rights reach, the least first.
type tier int

const (
	nobody tier = iota
	manager
	clientAdmin
	tenantAdmin
	platform
)

// authority is a caller's rights as they are in the current transaction.
type authority struct {
	who     Caller
	user    identity.User // who asks; zero for a service
	tier    tier          // nobody for a service, whose rights are its scopes
	tenant  client.TenantID
	console client.ID // the installation's console client, "" if there is none
}

// authorize reads the rights of a caller. One who is known but has none is no
// error here: every operation demands what it needs.
func authorize(ctx context.Context, tx *db.Tx, who Caller) (authority, error) {
	a := authority{who: who}
	if who.Service {
		cl, err := client.ByID(ctx, tx, who.ClientID)
		if errors.Is(err, db.ErrNotFound) || err == nil && !cl.Active {
			return a, fault.New(fault.Unauthenticated)
		}
		return a, err
	}
	s, err := standingOf(ctx, tx, who.UserID, who.ClientID)
	if errors.Is(err, db.ErrNotFound) {
		return a, fault.New(fault.Unauthenticated)
	}
	if err != nil {
		return a, err
	}
	a.user, a.console, a.tenant = s.user, s.console, s.tenant
	a.tier = s.tier(who.ClientID)
	return a, nil
}

// tier is what a user's place in the client of their token gives them.
func (s standing) tier(token client.ID) tier {
	if s.user.Status != identity.Active || s.enrolment != client.Active || !s.clientActive {
		return nobody
	}
	switch {
	case slices.Contains(s.roles, roleAdmin) && token == s.console:
		return platform
	case slices.Contains(s.roles, roleAdmin) && s.isConsole && s.tenant != "":
		return tenantAdmin
	case slices.Contains(s.roles, roleAdmin):
		return clientAdmin
	case slices.Contains(s.roles, roleManager):
		return manager
	}
	return nobody
}

// atLeast refuses who has less than t.
func (a authority) atLeast(t tier) error {
	if a.tier < t {
		return fault.New(fault.Forbidden)
	}
	return nil
}

// scoped refuses all but a service that acts within the scope in itself.
func (a authority) scoped(scope string, id client.ID) error {
	switch {
	case !a.who.Service || id != a.who.ClientID:
		return fault.New(fault.Forbidden)
	case !slices.Contains(a.who.Scopes, scope):
		return fault.New(fault.ScopeMissing, scope)
	}
	return nil
}

// client reads a client in which the caller has at least the tier least.
func (a authority) client(ctx context.Context, tx *db.Tx, id client.ID, least tier) (client.Client, error) {
	if err := a.atLeast(least); err != nil {
		return client.Client{}, err
	}
	if a.tier <= clientAdmin && id != a.who.ClientID {
		return client.Client{}, fault.New(fault.Forbidden)
	}
	cl, err := client.ByID(ctx, tx, id)
	switch {
	case errors.Is(err, db.ErrNotFound):
		return cl, fault.New(fault.ClientUnknown)
	case err != nil:
		return cl, err
	case a.tier == tenantAdmin && (cl.Tenant.ID != a.tenant || a.isPlatform(cl)):
		return client.Client{}, fault.New(fault.Forbidden)
	}
	return cl, nil
}

// isPlatform reports whether cl is the installation's console client.
func (a authority) isPlatform(cl client.Client) bool { return a.console != "" && cl.ID == a.console }

// isConsole reports whether administrators of cl have rights outside it.
func (a authority) isConsole(cl client.Client) bool { return cl.Console || a.isPlatform(cl) }

// tenantOf reads a tenant that the caller administers.
func (a authority) tenantOf(ctx context.Context, tx *db.Tx, id client.TenantID) (client.Tenant, error) {
	if err := a.atLeast(tenantAdmin); err != nil {
		return client.Tenant{}, err
	}
	if a.tier == tenantAdmin && id != a.tenant {
		return client.Tenant{}, fault.New(fault.Forbidden)
	}
	t, err := client.TenantByID(ctx, tx, id)
	if errors.Is(err, db.ErrNotFound) {
		return t, fault.New(fault.TenantUnknown)
	}
	return t, err
}

// mayGrant judges roles that the caller wants to give in a client that it
// reaches: each must be available there, and none above the caller.
func (a authority) mayGrant(cl client.Client, roles []string) error {
	for _, r := range roles {
		if !slices.Contains(cl.Policy.Roles.Available, r) {
			return fault.New(fault.RoleInvalid, r)
		}
	}
	return a.below(cl, roles)
}

// below refuses roles that are above the caller. A manager gives what a new
// enrolment gets and no more; a service makes nobody an administrator or
// manager, unless every new enrolment is a manager.
func (a authority) below(cl client.Client, roles []string) error {
	if a.tier >= clientAdmin {
		return nil
	}
	for _, r := range roles {
		usual := slices.Contains(cl.Policy.Roles.Default, r)
		if r == roleAdmin || !usual && (!a.who.Service || r == roleManager) {
			return fault.New(fault.Forbidden)
		}
	}
	return nil
}
