package admin_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"sallyport/internal/admin"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
)

// reach says in which apps each caller may do what an administrator of the app
// may, and where no more than a manager (contract keymaster §8).
var reach = map[string]struct{ admin, manage string }{
	"root":          {admin: "console acme-console shop globex-console depot board"},
	"tess":          {admin: "acme-console shop"}, // not the platform's console, though it lies in Acme
	"amy":           {admin: "board"},
	"max":           {manage: "board"},
	"clerk":         {manage: "console"},
	"uma":           {},
	"service-board": {},
	"service-shop":  {},
}

func TestCallersReachNoFurtherThanTheirTier(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		ctx, page := t.Context(), admin.Page{Number: 1, Size: 10}
		target := o.User("target@example.com", "Target", "")
		for app := range o.apps {
			o.Enrol(target, o.apps[app], client.Active, "user")
		}
		noWebhook := func(err error) error {
			if fault.Is(err, fault.WebhookUnknown) {
				return nil
			}
			return err
		}
		state := func(err error) error {
			if fault.Is(err, fault.EnrolmentState) {
				return nil
			}
			return err
		}
		ops := map[string]struct {
			manager bool
			do      func(who admin.Caller, id client.ID) error
		}{
			"Client": {do: func(who admin.Caller, id client.ID) error { _, err := o.Admin.Client(ctx, who, id); return err }},
			"UpdateClient": {do: func(who admin.Caller, id client.ID) error {
				_, err := o.Admin.UpdateClient(ctx, who, id, admin.ClientChange{BundleID: new("com.example")})
				return err
			}},
			"NewSecret": {do: func(who admin.Caller, id client.ID) error { _, err := o.Admin.NewSecret(ctx, who, id); return err }},
			"SetLogo": {do: func(who admin.Caller, id client.ID) error {
				return o.Admin.SetLogo(ctx, who, id, []byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`), "/logo")
			}},
			"Users": {do: func(who admin.Caller, id client.ID) error {
				_, _, err := o.Admin.Users(ctx, who, admin.UsersIn{ClientID: id, Page: page})
				return err
			}},
			"SetRoles": {do: func(who admin.Caller, id client.ID) error {
				return o.Admin.SetRoles(ctx, who, target.ID, id, []string{"user"})
			}},
			"Unsuspend": {do: func(who admin.Caller, id client.ID) error { return o.Admin.Unsuspend(ctx, who, target.ID, id) }},
			"Suspend": {do: func(who admin.Caller, id client.ID) error {
				if err := o.Admin.Suspend(ctx, who, target.ID, id); err != nil {
					return err
				}
				return o.Admin.Unsuspend(ctx, who, target.ID, id)
			}},
			"Unenrol": {do: func(who admin.Caller, id client.ID) error {
				if err := o.Admin.Unenrol(ctx, who, target.ID, id); err != nil {
					return err
				}
				o.Enrol(target, client.Client{ID: id}, client.Active, "user")
				return nil
			}},
			"Log": {do: func(who admin.Caller, id client.ID) error {
				_, _, err := o.Admin.Log(ctx, who, admin.LogIn{ClientID: id, Page: page})
				return err
			}},
			"Webhooks": {do: func(who admin.Caller, id client.ID) error {
				_, _, err := o.Admin.Webhooks(ctx, who, id, page)
				return err
			}},
			"Ping": {do: func(who admin.Caller, id client.ID) error {
				_, err := o.Admin.Ping(ctx, who, id, "x")
				return noWebhook(err)
			}},
			"Deliveries": {do: func(who admin.Caller, id client.ID) error {
				_, _, err := o.Admin.Deliveries(ctx, who, id, "x", page)
				return noWebhook(err)
			}},
			"Unsubscribe": {do: func(who admin.Caller, id client.ID) error { return noWebhook(o.Admin.Unsubscribe(ctx, who, id, "x")) }},
			"Subscribe": {do: func(who admin.Caller, id client.ID) error {
				_, _, err := o.Admin.Subscribe(ctx, who, id, "https://hooks.example.com/", []string{"ping"})
				return err
			}},
			"Approve": {manager: true, do: func(who admin.Caller, id client.ID) error { return state(o.Admin.Approve(ctx, who, target.ID, id)) }},
			"Reject":  {manager: true, do: func(who admin.Caller, id client.ID) error { return state(o.Admin.Reject(ctx, who, target.ID, id)) }},
			"Invites": {manager: true, do: func(who admin.Caller, id client.ID) error {
				_, _, err := o.Admin.Invites(ctx, who, admin.InvitesIn{ClientID: id, Page: page})
				return err
			}},
			"Invite": {manager: true, do: func(who admin.Caller, id client.ID) error {
				_, err := o.Admin.Invite(ctx, who, admin.InviteIn{ClientID: id, Email: "guest@example.com", Days: 1})
				return err
			}},
		}
		// What a service may do in itself.
		serves := map[string]bool{"Users": true, "Invite": true}
		for who, r := range reach {
			for app, cl := range o.apps {
				for op, f := range ops {
					may := holds(r.admin, app) || f.manager && holds(r.manage, app)
					may = may || serves[op] && who == "service-"+app
					err := f.do(o.callers[who], cl.ID)
					if may && err != nil || !may && !fault.Is(err, fault.Forbidden) {
						t.Errorf("%s by %s in %s: %v, want allowed %v", op, who, app, err, may)
					}
				}
			}
		}
	})
}

func holds(list, word string) bool { return strings.Contains(" "+list+" ", " "+word+" ") }

func TestWhoMayGrantWhat(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		n := 0
		for who, grants := range map[string]map[string]fault.Code{
			"root":          {"user": "", "manager": "", "admin": "", "wizard": fault.RoleInvalid},
			"amy":           {"user": "", "manager": "", "admin": "", "wizard": fault.RoleInvalid},
			"max":           {"user": "", "manager": fault.Forbidden, "admin": fault.Forbidden, "wizard": fault.RoleInvalid},
			"service-board": {"user": "", "editor": "", "manager": fault.Forbidden, "admin": fault.Forbidden},
			"uma":           {"user": fault.Forbidden},
		} {
			for role, want := range grants {
				n++
				o.withRole("board", "editor")
				_, err := o.Admin.Invite(t.Context(), o.callers[who], admin.InviteIn{
					ClientID: o.apps["board"].ID, Email: fmt.Sprintf("guest%d@example.com", n), Roles: []string{role}, Days: 1,
				})
				if got := code(t, err); got != want {
					t.Errorf("%s invites with %s: %q, want %q", who, role, got, want)
				}
			}
		}
	})
}

// Even where every enrolment got the role admin, managers and services would
// make no administrators.
func TestAManagerMakesNoAdministrator(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		_, err := o.Admin.UpdateClient(t.Context(), o.callers["amy"], o.apps["board"].ID, admin.ClientChange{DefaultRoles: []string{"user", "admin"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, who := range []string{"max", "service-board"} {
			_, err := o.Admin.Invite(t.Context(), o.callers[who], admin.InviteIn{ClientID: o.apps["board"].ID, Email: "guest@example.com", Days: 1})
			if got := code(t, err); got != fault.Forbidden {
				t.Errorf("%s: %q, want %q", who, got, fault.Forbidden)
			}
		}
		u := o.pending(1)[0]
		o.Enrol(u, o.apps["board"], client.Pending, "user", "admin")
		if got := code(t, o.Admin.Approve(t.Context(), o.callers["max"], u.ID, o.apps["board"].ID)); got != fault.Forbidden {
			t.Errorf("approve: %q, want %q", got, fault.Forbidden)
		}
	})
}

func (o office) withRole(app, role string) {
	o.Write(func(ctx context.Context, tx *db.Tx) error {
		c, err := client.ByID(ctx, tx, o.apps[app].ID)
		if err != nil {
			return err
		}
		c.Policy.Roles.Available = []string{"user", "manager", "admin", role}
		return client.Update(ctx, tx, c, o.Now())
	})
}

// An installation whose settings name no console client has no platform
// administrators, whatever the settings hold.
func TestWithoutAConsoleNobodyIsThePlatform(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		for _, value := range []string{`{}`, `{"console_client":""}`, `{"console_client":null}`} {
			o.Write(func(ctx context.Context, tx *db.Tx) error {
				_, err := tx.Exec(ctx, `UPDATE settings SET value = $1 WHERE name = 'surface:keymaster'`, value)
				return err
			})
			stranger := admin.Caller{UserID: o.people["root"].ID, ClientID: ""}
			for _, who := range []admin.Caller{o.callers["root"], stranger, {}} {
				_, _, err := o.Admin.Tenants(t.Context(), who, admin.Page{Number: 1, Size: 1})
				if got := code(t, err); got != fault.Forbidden && got != fault.Unauthenticated {
					t.Errorf("%s: %+v lists tenants: %q", value, who, got)
				}
			}
		}
	})
}

func TestRightsEndAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		amy, board := o.callers["amy"], o.apps["board"]
		try := func() fault.Code { _, err := o.Admin.Client(t.Context(), amy, board.ID); return code(t, err) }
		user := func(s identity.Status) {
			o.Write(func(ctx context.Context, tx *db.Tx) error { return identity.SetStatus(ctx, tx, amy.UserID, s, o.Now()) })
		}
		for _, step := range []struct {
			name string
			do   func()
			want fault.Code
		}{
			{"at first", func() {}, ""},
			{"demoted", func() { o.Enrol(o.people["amy"], board, client.Active, "user") }, fault.Forbidden},
			{"suspended here", func() { o.Enrol(o.people["amy"], board, client.Suspended, "admin") }, fault.Forbidden},
			{"pending here", func() { o.Enrol(o.people["amy"], board, client.Pending, "admin") }, fault.Forbidden},
			{"back", func() { o.Enrol(o.people["amy"], board, client.Active, "admin") }, ""},
			{"suspended everywhere", func() { user(identity.Suspended) }, fault.Forbidden},
			{"disabled", func() { user(identity.Disabled) }, fault.Forbidden},
			{"active", func() { user(identity.Active) }, ""},
			{"app switched off", func() {
				if err := o.Admin.DeactivateClient(t.Context(), o.callers["root"], board.ID); err != nil {
					t.Fatal(err)
				}
			}, fault.Forbidden},
			{"user gone", func() {
				o.Write(func(ctx context.Context, tx *db.Tx) error {
					_, err := tx.Exec(ctx, `DELETE FROM users WHERE id = $1`, amy.UserID)
					return err
				})
			}, fault.Unauthenticated},
		} {
			step.do()
			if got := try(); got != step.want {
				t.Errorf("%s: %q, want %q", step.name, got, step.want)
			}
		}
	})
}
