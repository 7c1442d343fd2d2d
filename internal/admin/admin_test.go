package admin_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"sallyport/internal/admin"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/rig"
)

// office is an installation with a console, two tenants, an app of none, and
// somebody of every tier.
type office struct {
	*rig.Rig
	t       *testing.T
	apps    map[string]client.Client
	people  map[string]identity.User
	callers map[string]admin.Caller
}

func each(t *testing.T, f func(t *testing.T, o office)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, d *db.DB) { f(t, newOffice(t, d)) })
}

func newOffice(t *testing.T, d *db.DB) office {
	o := office{Rig: rig.New(t, d), t: t, apps: map[string]client.Client{}, people: map[string]identity.User{}, callers: map[string]admin.Caller{}}
	app := func(name string, tn client.Tenant, console bool) {
		o.apps[name] = o.Client(name, func(c *client.Client) {
			c.Tenant, c.Console, c.Policy.Registration = tn, console, client.Invite
		})
	}
	acme, globex := o.tenant("Acme", "acme"), o.tenant("Globex", "globex")
	app("console", acme, false) // the platform's, though it lies in a tenant
	app("acme-console", acme, true)
	app("shop", acme, false)
	app("globex-console", globex, true)
	app("depot", globex, false)
	app("board", client.Tenant{}, false)
	o.setConsole(`{"console_client":"` + string(o.apps["console"].ID) + `","other":1}`)

	o.person("root", "console", "user", "admin")
	o.person("clerk", "console", "manager")
	o.person("tess", "acme-console", "admin")
	o.person("amy", "board", "admin")
	o.person("max", "board", "user", "manager")
	o.person("uma", "board", "user")
	for _, app := range []string{"board", "shop"} {
		id := o.apps[app].ID
		o.callers["service-"+app] = admin.Caller{
			Service: true, ClientID: id, Base: rig.Base,
			Scopes: []string{admin.ScopeInvite, admin.ScopeReadUsers, admin.ScopeCreateUsers},
		}
	}
	return o
}

func (o office) tenant(name, slug string) client.Tenant {
	tn := client.Tenant{ID: client.TenantID(identity.NewID()), Name: name, Slug: slug, CreatedAt: o.Now()}
	o.Write(func(ctx context.Context, tx *db.Tx) error { return client.CreateTenant(ctx, tx, tn) })
	return tn
}

func (o office) setConsole(value string) {
	o.Write(func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO settings (name, value, updated_at) VALUES ('surface:keymaster', $1, 0)`, value)
		return err
	})
}

// person makes somebody with roles in an app, who asks with a token of it.
func (o office) person(name, app string, roles ...string) {
	u := o.User(name+"@example.com", name, "")
	o.Enrol(u, o.apps[app], client.Active, roles...)
	o.people[name] = u
	o.callers[name] = admin.Caller{UserID: u.ID, ClientID: o.apps[app].ID, Base: rig.Base}
}

// pending makes people who wait for approval in the board.
func (o office) pending(n int) []identity.User {
	var us []identity.User
	for i := range n {
		u := o.User(fmt.Sprintf("waits%d@example.com", i), "Waits", "")
		o.Enrol(u, o.apps["board"], client.Pending, "user")
		us = append(us, u)
	}
	return us
}

// roles are what a user has in an app now, nil for no place.
func (o office) roles(u identity.User, app string) []string {
	var e client.Enrolment
	err := o.DB.Read(context.Background(), func(ctx context.Context, tx *db.Tx) (err error) {
		e, err = client.EnrolmentOf(ctx, tx, u.ID, o.apps[app].ID)
		return err
	})
	if err != nil && !errors.Is(err, db.ErrNotFound) {
		o.t.Fatal(err)
	}
	return e.Roles
}

// together runs n calls at once and returns their errors.
func together(n int, call func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			errs[i] = call(i)
		})
	}
	close(start)
	all.Wait()
	return errs
}

// code is the fault that an error is, "" for none.
func code(t *testing.T, err error) fault.Code {
	t.Helper()
	if err == nil {
		return ""
	}
	f, ok := fault.From(err)
	if !ok {
		t.Fatalf("got %v, want a fault or nothing", err)
	}
	return f.Code
}

// count tallies the faults of errors.
func count(t *testing.T, errs []error) map[fault.Code]int {
	t.Helper()
	n := map[fault.Code]int{}
	for _, err := range errs {
		n[code(t, err)]++
	}
	return n
}
