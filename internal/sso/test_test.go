package sso_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/openid"
	"sallyport/internal/org"
	"sallyport/internal/saml"
	"sallyport/internal/sso"
	"sallyport/internal/upstream"
)

func TestTestSaysWhatIsWrong(t *testing.T) {
	good := upstream.Profile{Issuer: "https://idp.example", Subject: "7", Email: "ann@acme.com", EmailVerified: true, Name: "Ann", Attributes: map[string][]string{"hd": {"acme.com"}}, Groups: []string{"staff"}}
	but := func(change func(*upstream.Profile)) upstream.Profile { p := good; change(&p); return p }
	acme := []string{"acme.com"}
	on := sso.Connection{OrgID: "1", Kind: sso.OIDC, Enabled: true, Revision: 3}
	with := func(change func(*sso.Connection)) sso.Connection { c := on; change(&c); return c }
	rule := []sso.RoleRule{{Claim: "groups", Value: "staff", Role: org.Admin}}
	for name, c := range map[string]struct {
		conn    sso.Connection
		domains []string
		p       upstream.Profile
		err     error
		ok      bool
		want    string
	}{
		"good":             {on, acme, good, nil, true, ""},
		"no address":       {on, acme, but(func(p *upstream.Profile) { p.Email = "" }), nil, false, "no_email"},
		"unverified":       {on, acme, but(func(p *upstream.Profile) { p.EmailVerified = false }), nil, false, "unverified"},
		"elsewhere":        {on, acme, but(func(p *upstream.Profile) { p.Email = "ann@other.com" }), nil, false, "domain other.com"},
		"below its domain": {on, acme, but(func(p *upstream.Profile) { p.Email = "ann@eu.acme.com" }), nil, false, "domain eu.acme.com"},
		"no domain":        {on, nil, good, nil, false, "no_domain"},
		"Google's other":   {with(func(c *sso.Connection) { c.Provider = sso.Google }), acme, but(func(p *upstream.Profile) { p.Attributes = nil }), nil, false, "hosted_domain "},
		"Google's own":     {with(func(c *sso.Connection) { c.Provider = sso.Google }), acme, good, nil, true, ""},
		"no name":          {on, acme, but(func(p *upstream.Profile) { p.Name = "" }), nil, true, "no_name?"},
		"off":              {with(func(c *sso.Connection) { c.Enabled = false }), acme, good, nil, true, "off?"},
		"no groups":        {with(func(c *sso.Connection) { c.Roles = rule }), acme, but(func(p *upstream.Profile) { p.Groups = nil }), nil, true, "no_groups?"},
		"no rule":          {with(func(c *sso.Connection) { c.Roles = rule }), acme, but(func(p *upstream.Profile) { p.Groups = []string{"x"} }), nil, true, "no_role?"},
		"a rule":           {with(func(c *sso.Connection) { c.Roles = rule }), acme, good, nil, true, ""},
		"denied":           {on, acme, upstream.Profile{}, openid.Refusal("access_denied"), false, "denied access_denied at the authorization endpoint"},
		"client":           {on, acme, upstream.Profile{}, &openid.Failure{Reason: openid.ErrClient, Code: "invalid_client", Detail: "status 401"}, false, "client invalid_client status 401"},
		"lies":             {on, acme, upstream.Profile{}, openid.Fail(openid.ErrLies, "nonce"), false, "answer nonce"},
		"an error":         {on, acme, upstream.Profile{}, errors.New("x"), false, "answer"},
		"SAML": {on, acme, upstream.Profile{}, &openid.Failure{Reason: openid.ErrLies, Err: &saml.Failure{Reason: saml.WrongAudience, Params: []string{"a", "b"}}}, false,
			"saml wrong_audience the assertion is for a, not for b; set the audience (entity ID) at the identity provider"},
	} {
		got := sso.JudgeTest(org.Org{}, c.conn, c.domains, c.p, c.err, now)
		var words []string
		for _, p := range got.Problems {
			w := strings.Join(append([]string{string(p.Code)}, p.Params...), " ")
			if p.Warning {
				w += "?"
			}
			words = append(words, w)
		}
		if strings.Join(words, ", ") != c.want || got.OK != c.ok || got.Revision != 3 {
			t.Errorf("%s: got %q ok %v, want %q %v", name, words, got.OK, c.want, c.ok)
		}
	}
	demanding := sso.JudgeTest(org.Org{SignIn: org.SignInMFA}, on, acme, good, nil, now)
	if len(demanding.Problems) != 1 || demanding.Problems[0].Code != sso.ProblemNoFactors || !demanding.OK {
		t.Errorf("two factors demanded: got %+v", demanding.Problems)
	}
	if admin := sso.JudgeTest(org.Org{}, with(func(c *sso.Connection) { c.Roles = rule }), acme, good, nil, now); admin.Role != org.Admin {
		t.Errorf("role: got %q", admin.Role)
	}
}

// What a provider sends is kept as it is, but neither without bounds nor with what
// would break a page.
func TestTestKeepsWhatTheProviderSaid(t *testing.T) {
	attributes := map[string][]string{"a": {"x\ny\x00" + strings.Repeat("é", 1000)}, "many": make([]string, 500)}
	for i := range 200 {
		attributes[fmt.Sprintf("z%03d", i)] = []string{"\xff"}
	}
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			o, err := org.Create(ctx, tx, org.Org{Slug: "acme"}, now)
			if err != nil {
				return err
			}
			if _, err := sso.TestOf(ctx, tx, o.ID); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("before the first: %v", err)
			}
			in := sso.JudgeTest(o, sso.Connection{OrgID: o.ID, Revision: 1}, nil, upstream.Profile{Subject: "s", Attributes: attributes}, nil, now)
			for range 2 {
				if err := sso.PutTest(ctx, tx, in); err != nil {
					return err
				}
			}
			got, err := sso.TestOf(ctx, tx, o.ID)
			if diff := cmp.Diff(in, got); diff != "" || err != nil {
				t.Errorf("%v, -want +got:\n%s", err, diff)
			}
			if n := len(got.Claims); n != 60 || got.Claims[0].Name != "a" || !strings.HasPrefix(got.Claims[0].Values[0], "x y éé") || len(got.Claims[1].Values) != 30 {
				t.Errorf("%d claims, the first %+v", n, got.Claims[0])
			}
			if !slices.IsSortedFunc(got.Claims, func(a, b sso.Claim) int { return strings.Compare(a.Name, b.Name) }) {
				t.Error("not in order")
			}
			return nil
		})
	})
}

func TestSetupLinkLivesUntilItEnds(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			one, err := org.Create(ctx, tx, org.Org{Slug: "one"}, now)
			if err != nil {
				return err
			}
			two, err := org.Create(ctx, tx, org.Org{Slug: "two"}, now)
			if err != nil {
				return err
			}
			end := now.AddDate(0, 0, 7)
			link := func(id org.ID) (string, sso.SetupLink) {
				raw, l, err := sso.MakeSetupLink(ctx, tx, sso.SetupLink{OrgID: id, MadeBy: "user:1", Email: "it@acme.com", ExpiresAt: end}, now)
				if err != nil {
					t.Fatal(err)
				}
				return raw, l
			}
			raw, l := link(one.ID)
			other, _ := link(two.ID)
			for range 3 {
				if got, err := sso.SetupLinkBy(ctx, tx, raw, end.Add(-1000)); err != nil || got != l {
					t.Errorf("got %+v %v, want %+v", got, err, l)
				}
			}
			for i, want := range []bool{true, false} {
				if first, err := sso.OpenSetupLink(ctx, tx, l.ID, now); err != nil || first != want {
					t.Errorf("opened for the %d. time: %v %v", i+1, first, err)
				}
			}
			gone := func(what, raw string) {
				t.Helper()
				if _, err := sso.SetupLinkBy(ctx, tx, raw, now); !errors.Is(err, db.ErrNotFound) {
					t.Errorf("%s: got %v", what, err)
				}
			}
			if _, err := sso.SetupLinkBy(ctx, tx, raw, end); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("at its end: got %v", err)
			}
			gone("empty", "")
			gone("another", strings.Repeat("0", 64))
			if err := sso.EndSetupLink(ctx, tx, two.ID, l.ID); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("ended by another organization: %v", err)
			}
			newer, _ := link(one.ID)
			gone("after a newer one", raw)
			all, err := sso.SetupLinks(ctx, tx, one.ID, now)
			if err != nil || len(all) != 1 || all[0].Email != "it@acme.com" {
				t.Errorf("listed: %+v %v", all, err)
			}
			if err := sso.EndSetupLink(ctx, tx, one.ID, all[0].ID); err != nil {
				t.Error(err)
			}
			gone("ended", newer)
			if _, err := sso.SetupLinkBy(ctx, tx, other, now); err != nil {
				t.Errorf("another organization's: %v", err)
			}
			if n, err := sso.SweepSetupLinks(ctx, tx, end, 10); n != 1 || err != nil {
				t.Errorf("swept %d, %v", n, err)
			}
			return nil
		})
	})
}

func TestConnectionIsLookedAfterOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		key := newKey(t)
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			o, err := org.Create(ctx, tx, org.Org{Slug: "acme"}, now)
			if err != nil {
				return err
			}
			if _, err := sso.Set(ctx, tx, key, sso.Connection{OrgID: o.ID, Kind: sso.SAML, Secret: "x", Issuer: "i"}, now); err != nil {
				return err
			}
			due, err := sso.DueCare(ctx, tx, key, 10, now)
			if err != nil || len(due) != 1 || due[0].Secret != "x" || !due[0].WarnedFor.IsZero() {
				t.Fatalf("due: %+v %v", due, err)
			}
			if again, err := sso.DueCare(ctx, tx, key, 10, now); err != nil || len(again) != 0 {
				t.Errorf("due again: %+v %v", again, err)
			}
			c := due[0]
			c.LookFailures, c.WarnedFor, c.WarnedDays = 2, now.AddDate(0, 0, 14), 14
			if err := sso.Cared(ctx, tx, c, now); err != nil {
				return err
			}
			if next, err := sso.DueCare(ctx, tx, key, 10, now.Add(sso.CareEvery)); err != nil || len(next) != 1 || next[0].LookFailures != 2 || !next[0].WarnedFor.Equal(c.WarnedFor) || next[0].WarnedDays != 14 {
				t.Errorf("after a day: %+v %v", next, err)
			}
			return nil
		})
	})
}
