package resource

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
	"sallyport/internal/org"
	"sallyport/internal/yaml"
)

const company = `clients: [{key: am, name: AM, accounts: true, org: acme-corp}]
surfaces: {accountmaker: {default_client: am}}
orgs:
  - {slug: below, name: Below, parent: acme-corp}
  - {slug: acme-corp, name: Acme Corporation, domains: [{name: acme.com, verified: true}, {name: Acme.org}], policy: {sign_in: any}}
users:
  - {email: jane@example.com, memberships: [{org: acme-corp, role: owner}, {org: below}]}
  - {email: john@example.com, memberships: [{org: acme-corp, role: viewer}], enrolments: [{client: am}]}
  - {email: lone@example.com, enrolments: [{client: am}]}
invites:
  - {org: acme-corp, email: colleague@acme.com, role: admin}
  - {org: acme-corp, email: john@example.com}
`

// role is what a user is in an organization, "" for nothing.
func (s *stage) role(email, slug string) (role org.Role) {
	s.t.Helper()
	s.write(func(ctx context.Context, tx *db.Tx) error {
		u, err := identity.ByEmail(ctx, tx, email)
		if err != nil {
			return err
		}
		o, err := org.BySlug(ctx, tx, slug)
		if err != nil {
			return err
		}
		m, err := org.MembershipOf(ctx, tx, o.ID, u.ID)
		if errors.Is(err, db.ErrNotFound) {
			err = nil
		}
		role = m.Role
		return err
	})
	return role
}

func TestOrgsMembersAndInvitationsOfAFile(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		s.apply(company, Options{BaseURL: "https://id.example"})
		for who, want := range map[[2]string]org.Role{
			{"jane@example.com", "acme-corp"}: org.Owner, {"jane@example.com", "below"}: org.Member,
			{"john@example.com", "acme-corp"}: org.Viewer, {"lone@example.com", "acme-corp"}: "",
		} {
			if got := s.role(who[0], who[1]); got != want {
				t.Errorf("%v: got %q, want %q", who, got, want)
			}
		}
		s.write(func(ctx context.Context, tx *db.Tx) error {
			o, err := org.ByDomain(ctx, tx, "acme.com")
			if err != nil || o.Slug != "acme-corp" {
				t.Errorf("acme.com is %q's: %v", o.Slug, err)
			}
			if claim, err := org.DomainOf(ctx, tx, o.ID, "acme.org"); err != nil || !claim.VerifiedAt.IsZero() {
				t.Errorf("acme.org: %+v %v", claim, err)
			}
			below, err := org.BySlug(ctx, tx, "below")
			if err != nil || below.Parent != o.ID {
				t.Errorf("below: %+v %v", below, err)
			}
			am, err := client.ByKey(ctx, tx, "am")
			if err != nil {
				return err
			}
			if holder, err := org.HolderOfClient(ctx, tx, am.ID); err != nil || holder != o.ID {
				t.Errorf("the client is of %s: %v", holder, err)
			}
			// As a sign-up does: whoever is in an organization gets none of their own.
			for email, want := range map[string]int{"john@example.com": 1, "lone@example.com": 1, "jane@example.com": 2} {
				u, err := identity.ByEmail(ctx, tx, email)
				if err != nil {
					return err
				}
				seats, err := org.Seats(ctx, tx, u.ID)
				if err != nil || len(seats) != want || email == "lone@example.com" && seats[0].Role != org.Owner {
					t.Errorf("%s: got %v %v", email, seats, err)
				}
			}
			all, total, err := invite.List(ctx, tx, invite.Filter{OrgID: o.ID, Limit: 10}, s.Now())
			if err != nil || total != 1 || all[0].Email != "colleague@acme.com" || all[0].OrgRole != org.Admin || all[0].ClientID == "" || all[0].Shown {
				t.Errorf("invitations: got %+v of %d, %v", all, total, err)
			}
			return nil
		})
		s.settled("all of it")
		s.apply(company, Options{BaseURL: "https://id.example"}) // once more changes nothing
	})
}

func TestMembersChangeHandsInOneFile(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		file := func(jane, john string) string {
			return "orgs: [{slug: acme, name: A}]\nusers:\n  - {email: jane@example.com, memberships: [{org: acme, role: " + jane + "}]}\n" +
				"  - {email: john@example.com, memberships: [{org: acme, role: " + john + "}]}\n"
		}
		s.apply(file("owner", "viewer"), Options{})
		s.apply(file("viewer", "owner"), Options{})
		if a, b := s.role("jane@example.com", "acme"), s.role("john@example.com", "acme"); a != org.Viewer || b != org.Owner {
			t.Errorf("got %s and %s", a, b)
		}
		_, err := s.Apply(t.Context(), s.parse(file("viewer", "admin")), Options{})
		list, ok := errors.AsType[*yaml.Mistakes](err)
		if !ok || !strings.Contains(list.Error(), `would leave the organization "acme" without an owner`) || list.List[0].Line != 4 {
			t.Errorf("got %v, want a mistake on line 4", err)
		}
	})
}

func TestPruneTakesBackWhatTheFileBrought(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		const kept = "clients: [{key: am, name: AM, accounts: true}]\norgs: [{slug: acme-corp, name: Acme}]\nusers:\n  - {email: jane@example.com, memberships: [{org: acme-corp, role: owner}]}\n  - {email: john@example.com}\n"
		s.apply(company, Options{NoMail: true, BaseURL: "https://id.example"})
		s.write(func(ctx context.Context, tx *db.Tx) error { // somebody else brings some too
			o, err := org.BySlug(ctx, tx, "acme-corp")
			if err != nil {
				return err
			}
			if _, err := org.Claim(ctx, tx, o.ID, "other.example", s.Now()); err != nil {
				return err
			}
			return identity.Create(ctx, tx, identity.User{ID: identity.NewUserID(), Email: "eve@example.com", Status: identity.Active, CreatedAt: s.Now()})
		})
		s.apply(kept, Options{})
		if got := s.role("john@example.com", "acme-corp"); got != org.Viewer {
			t.Errorf("without prune: john is %q", got)
		}
		s.apply(kept, Options{Prune: true})
		if got := s.role("john@example.com", "acme-corp"); got != "" {
			t.Errorf("john is %q still", got)
		}
		s.write(func(ctx context.Context, tx *db.Tx) error {
			if _, err := org.BySlug(ctx, tx, "below"); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("below: %v", err)
			}
			o, err := org.BySlug(ctx, tx, "acme-corp")
			if err != nil {
				return err
			}
			claims, err := org.Domains(ctx, tx, o.ID)
			if err != nil || len(claims) != 1 || claims[0].Name != "other.example" {
				t.Errorf("domains: %v %v", claims, err)
			}
			all, _, err := invite.List(ctx, tx, invite.Filter{OrgID: o.ID, Limit: 10}, s.Now())
			if err != nil || len(all) != 1 || all[0].Status != invite.Revoked {
				t.Errorf("invitations: %v %v", all, err)
			}
			return nil
		})
		s.apply("orgs: []\n", Options{Prune: true}) // with the client that belongs to it
		s.write(func(ctx context.Context, tx *db.Tx) error {
			if _, err := org.BySlug(ctx, tx, "acme-corp"); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("acme-corp: %v", err)
			}
			return nil
		})
	})
}

func TestInvitationToAnOrgThatIsShown(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		out, err := s.Apply(t.Context(), s.parse(company), Options{NoMail: true, BaseURL: "https://id.example"})
		if err != nil || len(out.Invited) != 1 {
			t.Fatalf("got %v %v", out.Invited, err)
		}
		link := out.Invited[0].Link.Reveal()
		raw, ok := strings.CutPrefix(link, "https://id.example/auth/accept-invite?token=")
		if !ok || out.Invited[0].Org != "acme-corp" {
			t.Fatalf("got %+v %s", out.Invited[0], link)
		}
		s.write(func(ctx context.Context, tx *db.Tx) error {
			i, err := invite.ByToken(ctx, tx, s.Key, raw, s.Now())
			if err != nil || !i.Shown || !i.ExpiresAt.Equal(i.CreatedAt.Add(7*24*time.Hour)) {
				t.Errorf("got %+v %v", i, err)
			}
			return nil
		})
	})
}

// A host of a domain is for the client that the file names, until it names another.
func TestDomainsAreForAClient(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		file := func(rest string) string {
			return "clients: [{key: one, name: One}, {key: two, name: Two}]\norgs: [{slug: acme, name: Acme, domains: [{name: auth.acme.com, verified: true" + rest + "}]}]\n"
		}
		for _, step := range []struct{ rest, want string }{{"", ""}, {", client: one", "one"}, {"", "one"}, {", client: two", "two"}} {
			s.apply(file(step.rest), Options{})
			if left := s.plan(file(step.rest), false); len(left) != 0 {
				t.Errorf("%q: does not settle: %v", step.rest, left)
			}
			var got client.ID
			s.read(func(ctx context.Context, tx *db.Tx) (err error) {
				if got, err = org.ClientOf(ctx, tx, "auth.acme.com"); errors.Is(err, db.ErrNotFound) {
					err = nil
				}
				return err
			})
			if want := s.clientID(step.want); got != want {
				t.Errorf("%q: for %q, want %q", step.rest, got, want)
			}
		}
		if text := s.pull(); !strings.Contains(text, "client: two") {
			t.Errorf("not in what was pulled:\n%s", text)
		}
		s.refused(file(", client: three"), false, `resources.yaml:2: orgs[0].domains[0].client: no client in this file has the key "three"`)
	})
}

// clientID is the id of a client, "" for none.
func (s *stage) clientID(key string) client.ID {
	if key == "" {
		return ""
	}
	return s.client(key).ID
}
