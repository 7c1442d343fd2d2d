package resource

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
)

func TestPruneDeletesOnlyWhatTheFileMade(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		other := client.Client{ID: client.NewID(), Name: "Other", Active: true, CreatedAt: s.Now()}
		s.write(func(ctx context.Context, tx *db.Tx) error {
			for _, email := range []string{"own@example.com", "adopted@example.com"} {
				if err := identity.Create(ctx, tx, identity.User{ID: identity.NewUserID(), Email: email, Status: identity.Active, CreatedAt: s.Now()}); err != nil {
					return err
				}
			}
			if err := client.CreateTenant(ctx, tx, client.Tenant{ID: "t0", Slug: "before", Name: "Before", CreatedAt: s.Now()}); err != nil {
				return err
			}
			return client.Create(ctx, tx, other)
		})
		s.apply(everything, Options{})
		s.apply(strings.Replace(everything, "  - {email: nina@", "  - {email: adopted@example.com, enrolments: [{client: demo}]}\n  - {email: nina@", 1), Options{})
		s.write(func(ctx context.Context, tx *db.Tx) error {
			_, _, err := invite.Create(ctx, tx, s.Key, invite.Invite{ClientID: other.ID, Email: "new@example.com", ExpiresAt: s.Now().Add(time.Hour)}, s.Now())
			return err
		})

		const rest = "clients: [{key: am, name: AccountMaker}]\nusers: [{email: adopted@example.com}, {email: nina@example.com}]\nsurfaces: {accountmaker: {default_client: am}}\n"
		wantNothing(t, "a file with less, not pruned", s.apply(rest, Options{}))
		s.refused("clients: [{key: am, name: AccountMaker}]\nsurfaces: {oidc: {}, bad: {}}\n", true, "unknown key")
		want := `update user adopted@example.com
delete invite demo new@example.com
delete invite hack new@example.com
delete user jane@example.com
delete user otto@example.com
delete surface hackillinois
delete surface keymaster
delete surface oidc
delete surface snooplytics
delete surface tofu
delete client acme-console
delete client bank
delete client console
delete client demo
delete client hack
delete client jwt
delete client rooms
delete client snoop
delete client tofu
delete upstream gh
delete upstream google
delete upstream linkedin
delete upstream okta
delete upstream workos
delete tenant acme`
		order := func(text string) string { return strings.Join(slices.Sorted(strings.SplitSeq(text, "\n")), "\n") }
		if got := brief(s.plan(rest, true)); order(got) != order(want) {
			t.Errorf("plan:\ngot\n%s\nwant\n%s", got, want)
		}
		s.apply(rest, Options{Prune: true})
		if got := fmt.Sprintf("%d users, %d clients, %d tenants, %d invites", s.count("users"), s.count("clients"), s.count("tenants"), s.count("invites")); got != "3 users, 2 clients, 1 tenants, 1 invites" {
			t.Errorf("left: got %s", got)
		}
		wantNothing(t, "pruning again", s.apply(rest, Options{Prune: true}))
		wantNothing(t, "pruning adopted and own", s.apply(rest[:strings.Index(rest, "users:")]+"users: [{email: nina@example.com}]\n"+rest[strings.Index(rest, "surfaces:"):], Options{Prune: true}))
		s.settled("pruned")
	})
}

// TestPruneKeepsWhatASurfaceNeeds is about settings that the file did not make.
func TestPruneKeepsWhatASurfaceNeeds(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		s.apply("clients: [{key: a, name: A}, {key: b, name: B}]\n", Options{})
		a := s.byKey("a")
		s.write(func(ctx context.Context, tx *db.Tx) error {
			return putSetting(ctx, tx, surfaceRow+"keymaster", `{"console_client":"`+string(a)+`"}`, s.Now())
		})
		s.refused("clients: [{key: b, name: B}]\n", true, `surface keymaster is bound to the client "a", which is to be deleted`)
		s.apply("clients: [{key: b, name: B}]\nsurfaces: {keymaster: {console_client: b}}\n", Options{Prune: true})
		if got := s.count("clients"); got != 1 {
			t.Errorf("clients: got %d, want 1", got)
		}
	})
}
