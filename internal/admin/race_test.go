package admin_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"sallyport/internal/admin"
	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
	"sallyport/internal/rig"
)

const callers = 8

func TestOfManyApprovalsOneCounts(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		u, board := o.pending(1)[0], o.apps["board"].ID
		got := count(t, together(callers, func(i int) error {
			who := o.callers[[]string{"amy", "max"}[i%2]]
			return o.Admin.Approve(t.Context(), who, u.ID, board)
		}))
		if got[""] != 1 || got[fault.EnrolmentState] != callers-1 {
			t.Errorf("got %v, want one approval and the others told that it is done", got)
		}
		o.Work()
		if n := len(o.Sink.Messages()); n != 1 {
			t.Errorf("%d mails, want 1", n)
		}
	})
}

func TestApproveOrReject(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		for _, u := range o.pending(5) {
			errs := together(2, func(i int) error {
				if i == 0 {
					return o.Admin.Approve(t.Context(), o.callers["amy"], u.ID, o.apps["board"].ID)
				}
				return o.Admin.Reject(t.Context(), o.callers["amy"], u.ID, o.apps["board"].ID)
			})
			if (errs[0] == nil) == (errs[1] == nil) {
				t.Errorf("approve: %v, reject: %v; want exactly one to succeed", errs[0], errs[1])
			}
			if enrolled := o.roles(u, "board") != nil; enrolled != (errs[0] == nil) {
				t.Errorf("enrolled %v after approve: %v", enrolled, errs[0])
			}
		}
	})
}

func TestConcurrentChangesOfAClientAllStay(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		changes := []admin.ClientChange{
			{Name: new("Changed")},
			{BundleID: new("com.example.changed")},
			{Registration: new(client.Open)},
			{RedirectURIs: []string{"https://changed.example/cb"}},
			{AccessMinutes: new(7)},
			{RefreshDays: new(77)},
			{RequireFactor: new(true)},
			{Color: new("#123456")},
		}
		board := o.apps["board"].ID
		for _, err := range together(len(changes), func(i int) error {
			_, err := o.Admin.UpdateClient(t.Context(), o.callers["amy"], board, changes[i])
			return err
		}) {
			if err != nil {
				t.Error(err)
			}
		}
		c, err := o.Admin.Client(t.Context(), o.callers["amy"], board)
		if err != nil {
			t.Fatal(err)
		}
		p := c.Policy
		if c.Name != "Changed" || c.BundleID != "com.example.changed" || p.Registration != client.Open ||
			!slices.Equal(p.RedirectURIs, []string{"https://changed.example/cb"}) || admin.AccessMinutes(p) != 7 ||
			admin.RefreshDays(p) != 77 || p.SecondFactor != client.FactorRequired || p.Branding.Color != "#123456" {
			t.Errorf("a change was lost: %+v", c)
		}
	})
}

func TestConcurrentChangesOfATenantAllStay(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		changes := []admin.TenantChange{
			{Name: new("Changed")}, {Slug: new("changed")}, {MinLength: new(12)},
			{RequireDigit: new(true)}, {RequireSymbol: new(true)}, {RequireUppercase: new(true)}, {RequireLowercase: new(true)},
		}
		id := o.apps["shop"].Tenant.ID
		for _, err := range together(len(changes), func(i int) error {
			_, err := o.Admin.UpdateTenant(t.Context(), o.callers["tess"], id, changes[i])
			return err
		}) {
			if err != nil {
				t.Error(err)
			}
		}
		got, err := o.Admin.Tenant(t.Context(), o.callers["tess"], id)
		want := client.PasswordPolicy{MinLength: 12, RequireUppercase: true, RequireLowercase: true, RequireDigit: true, RequireSymbol: true}
		if err != nil || got.Name != "Changed" || got.Slug != "changed" || got.Password != want {
			t.Errorf("a change was lost: %+v, %v", got, err)
		}
	})
}

func TestConcurrentInvitesLeaveOnePending(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		in := admin.InviteIn{ClientID: o.apps["board"].ID, Email: "guest@example.com", Days: 7, Quiet: true}
		for _, err := range together(callers, func(int) error {
			_, err := o.Admin.Invite(t.Context(), o.callers["amy"], in)
			return err
		}) {
			if err != nil {
				t.Error(err)
			}
		}
		for status, want := range map[invite.Status]int{invite.Pending: 1, invite.Revoked: callers - 1} {
			_, n, err := o.Admin.Invites(t.Context(), o.callers["max"], admin.InvitesIn{Status: status, Page: admin.Page{Number: 1, Size: 1}})
			if err != nil || n != want {
				t.Errorf("%d %s invitations, %v; want %d", n, status, err, want)
			}
		}
	})
}

func TestOfManyUsersWithOneAddressOneIsMade(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		got := count(t, together(callers, func(i int) error {
			who := o.callers[[]string{"root", "service-board"}[i%2]]
			_, err := o.Admin.CreateUser(t.Context(), who, admin.UserIn{Email: "one@example.com"})
			return err
		}))
		if got[""] != 1 || got[fault.AccountExists] != callers-1 {
			t.Errorf("got %v, want one user", got)
		}
	})
}

func TestOfManyTenantsWithOneSlugOneIsMade(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		got := count(t, together(callers, func(int) error {
			_, err := o.Admin.CreateTenant(t.Context(), o.callers["root"], admin.TenantChange{Name: new("Initech")})
			return err
		}))
		if got[""] != 1 || got[fault.SlugTaken] != callers-1 {
			t.Errorf("got %v, want one tenant", got)
		}
	})
}

// However administrators demote, suspend and remove each other at once, one of
// them is left.
func TestSomebodyStaysToAdministerThePlatform(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		o.person("rosa", "console", "admin")
		console := o.apps["console"].ID
		for round, do := range []func(who admin.Caller, u identity.UserID) error{
			func(who admin.Caller, u identity.UserID) error {
				return o.Admin.SetRoles(t.Context(), who, u, console, []string{"user"})
			},
			func(who admin.Caller, u identity.UserID) error { return o.Admin.Suspend(t.Context(), who, u, console) },
			func(who admin.Caller, u identity.UserID) error { return o.Admin.Unenrol(t.Context(), who, u, console) },
		} {
			for range 4 {
				o.Enrol(o.people["root"], o.apps["console"], client.Active, "admin")
				o.Enrol(o.people["rosa"], o.apps["console"], client.Active, "admin")
				errs := together(2, func(i int) error {
					pair := []string{"root", "rosa"}
					return do(o.callers[pair[i]], o.people[pair[1-i]].ID)
				})
				left := 0
				for _, who := range []string{"root", "rosa"} {
					if _, _, err := o.Admin.Tenants(t.Context(), o.callers[who], admin.Page{Number: 1, Size: 1}); err == nil {
						left++
					}
				}
				if left != 1 {
					t.Errorf("way %d: %d administrators are left (%v), want 1", round, left, errs)
				}
			}
		}
	})
}

// A role is one by its case, too: who has "ADMIN" administers nothing, on both engines.
func TestOnlyTheRoleItselfIsAnAdministrators(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		console := o.apps["console"]
		o.Enrol(o.User("shouter@example.com", "Shouter", ""), console, client.Active, "ADMIN")
		err := o.Admin.SetRoles(t.Context(), o.callers["root"], o.people["root"].ID, console.ID, []string{"user"})
		if !fault.Is(err, fault.LastAdministrator) {
			t.Errorf("the last administrator lowers themselves: %v", err)
		}
	})
}

// A role change says what the roles were before, in an order in which they were
// changed.
func TestRoleChangesFollowEachOther(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		o.Write(func(ctx context.Context, tx *db.Tx) error {
			c, err := client.ByID(ctx, tx, o.apps["board"].ID)
			if err != nil {
				return err
			}
			for i := range callers {
				c.Policy.Roles.Available = append(c.Policy.Roles.Available, fmt.Sprint("r", i))
			}
			return client.Update(ctx, tx, c, o.Now())
		})
		uma := o.people["uma"]
		for _, err := range together(callers, func(i int) error {
			return o.Admin.SetRoles(t.Context(), o.callers["amy"], uma.ID, o.apps["board"].ID, []string{fmt.Sprint("r", i)})
		}) {
			if err != nil {
				t.Error(err)
			}
		}
		log, _, err := o.Admin.Log(t.Context(), o.callers["amy"], admin.LogIn{UserID: uma.ID, Page: admin.Page{Number: 1, Size: 100}})
		if err != nil {
			t.Fatal(err)
		}
		after := map[string]string{} // from previous roles to roles
		for _, e := range log {
			if e.Action == audit.UserRoleChanged {
				after[fmt.Sprint(e.Detail["previous_roles"])] = fmt.Sprint(e.Detail["roles"])
			}
		}
		at := "[user]"
		for range callers {
			at = after[at]
		}
		if want := fmt.Sprint(o.roles(uma, "board")); at != want || len(after) != callers {
			t.Errorf("the log leads to %q in %v, want %q", at, after, want)
		}
	})
}

func TestOfManyOperatorInvitesOneLinkIsGood(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		o.Write(func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `DELETE FROM settings`)
			return err
		})
		links := make([]admin.Invited, callers)
		for _, err := range together(callers, func(i int) (err error) {
			links[i], err = o.Admin.OperatorInvite(t.Context(), "op@example.com", rig.Base)
			return err
		}) {
			if err != nil {
				t.Fatal(err)
			}
		}
		good := 0
		for _, l := range links {
			if l.Invite.ClientID != links[0].Invite.ClientID {
				t.Errorf("two console clients: %s and %s", l.Invite.ClientID, links[0].Invite.ClientID)
			}
			err := o.DB.Read(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				_, err := invite.ByCode(ctx, tx, o.Key, l.Code, o.Now())
				return err
			})
			if err == nil {
				good++
			}
		}
		if good != 1 {
			t.Errorf("%d links are good, want 1", good)
		}
	})
}
