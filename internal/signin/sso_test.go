package signin_test

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/rig"
	"sallyport/internal/session"
	"sallyport/internal/signin"
	"sallyport/internal/sso"
	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
)

// ssoCallback is one address for the providers of all organizations.
const ssoCallback = rig.Base + "/api/auth/sso/callback"

// ann and bob are of acme.com; zoe is not, whatever her provider says.
var (
	ann = upstreamtest.Person{ID: "7001", Email: "ann@acme.com", EmailVerified: true, GivenName: "Ann", FamilyName: "Lee"}
	bob = upstreamtest.Person{ID: "7002", Email: "bob@acme.com", GivenName: "Bob", FamilyName: "Poe"}
	zoe = upstreamtest.Person{ID: "7003", Email: "zoe@example.com", EmailVerified: true, GivenName: "Zoe", FamilyName: "Fox"}
)

// tour is a browser on its way to the provider of an organization and back.
type tour struct {
	t      *testing.T
	r      *rig.Rig
	org    org.Org
	fake   *upstreamtest.Fake
	app    client.Client
	cookie string
}

// acme makes an organization with the domain acme.com and a provider of its own, and
// an application; change, which may be nil, changes the connection.
func acme(t *testing.T, d *db.DB, change func(*sso.Connection)) *tour {
	t.Helper()
	r := rig.New(t, d)
	o := r.Org("acme", "acme.com")
	return &tour{t: t, r: r, org: o, fake: r.Connect(o, change, ann, bob, zoe), app: r.Client("Demo", nil)}
}

// other is another organization, of other.example, with a provider of its own.
func (to *tour) other(people ...upstreamtest.Person) *tour {
	o := to.r.Org("other", "other.example")
	return &tour{t: to.t, r: to.r, org: o, fake: to.r.Connect(o, nil, people...), app: to.app}
}

func (to *tour) start(change func(*signin.SSOStart)) (signin.SSOStarted, error) {
	in := signin.SSOStart{Slug: to.org.Slug, ClientID: to.app.ID, Callback: ssoCallback, Cookie: to.cookie, State: "the app's", Visitor: visitor}
	if change != nil {
		change(&in)
	}
	out, err := to.r.SignIn.StartSSO(context.Background(), in)
	if err == nil {
		to.cookie = out.Cookie
	}
	return out, err
}

// back is what the browser comes back with when the person with an id has signed in.
func (to *tour) back(location, id string) signin.SSOReturn {
	to.t.Helper()
	back, _, err := to.fake.Choose(location, id, false)
	if err != nil {
		to.t.Fatal(err)
	}
	at, err := url.Parse(back)
	if err != nil {
		to.t.Fatal(err)
	}
	return signin.SSOReturn{State: at.Query().Get("state"), Cookie: to.cookie, Answer: upstream.AnswerOf(at.Query()), Visitor: visitor}
}

// as makes the whole tour for the person with an id.
func (to *tour) as(id string, change func(*signin.SSOStart)) (signin.SSOReturned, error) {
	to.t.Helper()
	out, err := to.start(change)
	if err != nil {
		to.t.Fatal(err)
	}
	return to.r.SignIn.FinishSSO(context.Background(), to.back(out.Location, id))
}

// in is as for somebody who must come in.
func (to *tour) in(id string) *signin.SignedIn {
	to.t.Helper()
	out, err := to.as(id, nil)
	if err != nil || out.Outcome.SignedIn == nil {
		to.t.Fatalf("got %+v and %v, want a completed sign-in", out.Outcome, err)
	}
	return out.Outcome.SignedIn
}

// refused makes the tour for somebody who must not come in.
func (to *tour) refused(id string, want fault.Code) {
	to.t.Helper()
	out, err := to.as(id, nil)
	if !fault.Is(err, want) || out.Outcome != (signin.Outcome{}) {
		to.t.Errorf("got %+v and %v, want %s", out.Outcome, err, want)
	}
}

func (to *tour) member(u identity.UserID) (m org.Membership, ok bool) {
	to.t.Helper()
	to.r.Write(func(ctx context.Context, tx *db.Tx) error {
		var err error
		m, err = org.MembershipOf(ctx, tx, to.org.ID, u)
		ok = err == nil
		return nil
	})
	return m, ok
}

func (to *tour) policy(s org.SignIn, glass bool) {
	to.t.Helper()
	to.r.Write(func(ctx context.Context, tx *db.Tx) error {
		return org.SetPolicy(ctx, tx, to.org.ID, s, glass, to.r.Now())
	})
}

func (to *tour) join(u identity.User, role org.Role) {
	to.t.Helper()
	to.r.Write(func(ctx context.Context, tx *db.Tx) error {
		_, _, err := org.Join(ctx, tx, to.org.ID, u.ID, role, to.r.Now())
		return err
	})
}

func TestSSOMakesWhoIsNewAMember(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		to := acme(t, d, nil)
		in := to.in(ann.ID)
		m, member := to.member(in.User.ID)
		if in.User.Email != ann.Email || !in.User.EmailVerified || in.User.HasPassword() || in.User.DisplayName != "Ann Lee" {
			t.Errorf("made %+v", in.User)
		}
		if !member || m.Role != org.Member || in.Session == "" || in.Refresh == "" || !slices.Equal(in.AMR, []string{session.Federated}) {
			t.Errorf("%+v, member %v as %q", in, member, m.Role)
		}
		if got := to.in(ann.ID); got.User.ID != in.User.ID {
			t.Errorf("again: %s, want %s", got.User.ID, in.User.ID)
		}
		if bobs := to.in(bob.ID); !bobs.User.EmailVerified { // the provider says nothing: it may speak for the domain
			t.Errorf("bob: %+v", bobs.User)
		}
		if n := count(t, to.r, "audit WHERE org_id = $1 AND action = 'member.added'", to.org.ID); n != 2 {
			t.Errorf("%d members in the organization's log, want 2", n)
		}
		if n := count(t, to.r, "audit WHERE org_id = $1 AND action = 'user.login'", to.org.ID); n != 3 {
			t.Errorf("%d sign-ins in the organization's log, want 3", n)
		}
		if n := count(t, to.r, "links WHERE issuer LIKE $1 AND upstream = $2", "org:"+string(to.org.ID)+":%", sso.Key(to.org.ID)); n != 2 {
			t.Errorf("%d links under the organization, want 2", n)
		}
	})
}

func TestSSOLinksWhoHasAnAddressOfTheOrganization(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		to := acme(t, d, nil)
		u := to.r.User(ann.Email, "Ann", "correct horse", to.app)
		if in := to.in(ann.ID); in.User.ID != u.ID {
			t.Errorf("%s came in as %s", u.ID, in.User.ID)
		}
		if mail, ok := to.r.Mail(ann.Email); !ok || !strings.Contains(mail, to.org.Name) {
			t.Errorf("told: %v %q", ok, mail)
		}
		// The link wins over the address from now on (contract snooplytics §8 rule 1).
		moved := ann
		moved.Email = "ann.lee@elsewhere.example"
		to.fake.SetPeople(moved)
		if in := to.in(ann.ID); in.User.ID != u.ID || in.User.Email != ann.Email {
			t.Errorf("after a new address there: %+v", in.User)
		}
		if n := count(t, to.r, "links WHERE email = $1", moved.Email); n != 1 {
			t.Error("the address there is not kept")
		}
	})
}

func TestSSOEndsWhatWasMadeByAStrangerWithTheAddress(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		to := acme(t, d, nil)
		out, err := to.r.SignIn.SignUp(t.Context(), signin.SignUpIn{ClientID: to.app.ID, Email: ann.Email, Password: "a squatter's own", DisplayName: "Mallory", Visitor: visitor})
		if err != nil || out.SignedIn == nil {
			t.Fatal(err)
		}
		in := to.in(ann.ID)
		if in.User.ID != out.SignedIn.User.ID || in.User.HasPassword() {
			t.Errorf("%+v", in.User)
		}
		if _, err := to.r.SignIn.Refresh(t.Context(), signin.RefreshIn{ClientID: to.app.ID, Token: out.SignedIn.Refresh, Visitor: visitor}); !fault.Is(err, fault.RefreshInvalid) {
			t.Errorf("the squatter goes on: %v", err)
		}
	})
}

func TestSSOOpensNobodysAccountButItsOwn(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		to := acme(t, d, nil)
		to.refused(zoe.ID, fault.EmailDomainForbidden)

		// Being invited is not enough (contract snooplytics §8 rule 2).
		victim := to.r.User(zoe.Email, "Zoe", "correct horse", to.app)
		to.join(victim, org.Member)
		to.refused(zoe.ID, fault.EmailDomainForbidden)

		below := ann
		below.Email = "ann@evil.acme.com"
		unverified := ann
		unverified.EmailVerified = false
		nameless := ann
		nameless.Email = ""
		for want, p := range map[fault.Code]upstreamtest.Person{fault.EmailDomainForbidden: below, fault.AccountNotLinked: unverified, fault.EmailRequired: nameless} {
			to.fake.SetPeople(p)
			to.refused(ann.ID, want)
		}
		if n := count(t, to.r, "links"); n != 0 {
			t.Errorf("%d links were made", n)
		}
		if n := count(t, to.r, "users"); n != 1 {
			t.Errorf("%d users, want the victim alone", n)
		}
		if n := count(t, to.r, "audit WHERE org_id = $1 AND action = 'user.login_failed'", to.org.ID); n != 5 {
			t.Errorf("%d refusals in the organization's log, want 5", n)
		}

		// An address that somebody else at the provider gave themselves.
		to.fake.SetPeople(ann, bob)
		to.in(ann.ID)
		thief := bob
		thief.Email, thief.EmailVerified = ann.Email, true
		to.fake.SetPeople(thief)
		to.refused(bob.ID, fault.AccountNotLinked)

		// Unless the organization has put ann out: then it is her, come back.
		var was identity.User
		to.r.Write(func(ctx context.Context, tx *db.Tx) (err error) {
			if was, err = identity.ByEmail(ctx, tx, ann.Email); err != nil {
				return err
			}
			return org.Leave(ctx, tx, to.org.ID, was.ID)
		})
		if in := to.in(bob.ID); in.User.ID != was.ID {
			t.Errorf("came back as %s, want %s", in.User.ID, was.ID)
		}
		if n := count(t, to.r, "links WHERE user_id = $1", was.ID); n != 1 {
			t.Errorf("%d links, want the new one alone", n)
		}
	})
}

func TestSSOOfOneOrganizationIsNothingInAnother(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		to := acme(t, d, nil)
		victim := to.in(ann.ID)
		evil := to.other(ann, zoe)

		// The same subject, and an issuer of the same name: a SAML provider calls
		// itself what it likes.
		c := to.r.Connection(evil.org)
		c.Issuer = to.r.Connection(to.org).Issuer
		to.r.SetConnection(c)
		evil.fake = to.fake
		evil.refused(ann.ID, fault.EmailDomainForbidden)

		// The answer of acme's provider in the state of other's, by issuer and by keys.
		evil = to.other2(c, ann)
		mine, err := to.start(nil)
		if err != nil {
			t.Fatal(err)
		}
		answer := to.back(mine.Location, ann.ID)
		theirs, err := evil.start(func(in *signin.SSOStart) { in.Cookie = to.cookie })
		if err != nil {
			t.Fatal(err)
		}
		at, err := url.Parse(theirs.Location)
		if err != nil {
			t.Fatal(err)
		}
		for _, iss := range []string{"", to.r.Connection(to.org).Issuer} {
			mixed := answer
			mixed.State, mixed.Answer.Issuer = at.Query().Get("state"), iss
			if out, err := to.r.SignIn.FinishSSO(t.Context(), mixed); err == nil || out.Outcome.SignedIn != nil {
				t.Errorf("iss %q: acme's code opened other's: %+v", iss, out.Outcome)
			}
		}
		// And it is still good where it belongs.
		out, err := to.r.SignIn.FinishSSO(t.Context(), answer)
		if err != nil || out.Outcome.SignedIn == nil || out.Outcome.SignedIn.User.ID != victim.User.ID {
			t.Errorf("acme's own: %+v, %v", out.Outcome, err)
		}
	})
}

// other2 points the organization of a connection at a provider of its own again.
func (to *tour) other2(c sso.Connection, people ...upstreamtest.Person) *tour {
	o := to.org
	o.ID, o.Slug = c.OrgID, "other"
	return &tour{t: to.t, r: to.r, org: o, fake: to.r.Connect(o, nil, people...), app: to.app}
}

func TestSSOStateIsOfOneBrowserAndOneKind(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		to := acme(t, d, nil)
		out, err := to.start(nil)
		if err != nil {
			t.Fatal(err)
		}
		in := to.back(out.Location, ann.ID)
		elsewhere := in
		elsewhere.Cookie = strings.Repeat("0", 64)
		if _, err := to.r.SignIn.FinishSSO(t.Context(), elsewhere); !fault.Is(err, fault.UpstreamStateInvalid) {
			t.Errorf("another browser: %v", err)
		}
		_, err = to.r.SignIn.FinishUpstream(t.Context(), signin.UpstreamReturn{
			Upstream: sso.Key(to.org.ID), State: in.State, Cookie: in.Cookie, Answer: in.Answer, Visitor: visitor,
		})
		if !fault.Is(err, fault.UpstreamStateInvalid) {
			t.Errorf("at an upstream's callback: %v", err)
		}
		if out, err := to.r.SignIn.FinishSSO(t.Context(), in); err != nil || out.Outcome.SignedIn == nil || out.State != "the app's" {
			t.Errorf("its own browser: %+v, %v", out, err)
		}
		if _, err := to.r.SignIn.FinishSSO(t.Context(), in); !fault.Is(err, fault.UpstreamStateInvalid) {
			t.Errorf("again: %v", err)
		}
	})
}

func TestSSOIsOffForWhoeverAsks(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		to := acme(t, d, nil)
		in := to.in(ann.ID)
		pending, err := to.start(nil)
		if err != nil {
			t.Fatal(err)
		}
		off := to.r.Connection(to.org)
		off.Enabled = false
		on := off
		on.Enabled = true
		status := func(s org.Status) {
			to.r.Write(func(ctx context.Context, tx *db.Tx) error {
				o, err := org.ByID(ctx, tx, to.org.ID)
				if err != nil {
					return err
				}
				o.Status = s
				return org.Update(ctx, tx, o, to.r.Now())
			})
		}
		refused := func(about string) {
			t.Helper()
			if out, err := to.start(nil); !fault.Is(err, fault.SSODisabled) || out.Location != "" {
				t.Errorf("%s: %+v, %v", about, out, err)
			}
			if _, err := to.r.SignIn.Discover(t.Context(), "acme.com"); !fault.Is(err, fault.SSODisabled) {
				t.Errorf("%s: discovered: %v", about, err)
			}
		}
		to.r.SetConnection(off)
		refused("switched off")
		if _, err := to.r.SignIn.FinishSSO(t.Context(), to.back(pending.Location, ann.ID)); !fault.Is(err, fault.ConnectionChanged) {
			t.Errorf("begun before: %v", err)
		}
		to.r.SetConnection(on)
		status(org.Suspended)
		refused("suspended")
		status(org.Active)
		to.r.Write(func(ctx context.Context, tx *db.Tx) error { return org.Unverify(ctx, tx, to.org.ID, "acme.com") })
		refused("without a domain")
		to.org.Slug = "nobody"
		if _, err := to.start(nil); !fault.Is(err, fault.SSODisabled) {
			t.Errorf("no such organization: %v", err)
		}
		if _, member := to.member(in.User.ID); !member {
			t.Error("the membership went with it")
		}
	})
}

func TestSSOWithoutTakingInLetsMembersInAlone(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		to := acme(t, d, func(c *sso.Connection) { c.JIT = false })
		to.refused(ann.ID, fault.AccountNotLinked)
		u := to.r.User(ann.Email, "Ann", "", to.app)
		to.refused(ann.ID, fault.AccountNotLinked)
		to.join(u, org.Admin)
		to.in(ann.ID)
		to.r.Write(func(ctx context.Context, tx *db.Tx) error { return org.Leave(ctx, tx, to.org.ID, u.ID) })
		to.refused(ann.ID, fault.AccountNotLinked)
	})
}

// Whoever left, and has an address of their own by now, does not belong to the provider
// of their former employer for ever.
func TestSSOLinkEndsWithThePlaceInTheOrganization(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		to := acme(t, d, nil)
		in := to.in(ann.ID)
		to.r.Write(func(ctx context.Context, tx *db.Tx) error {
			if err := org.Leave(ctx, tx, to.org.ID, in.User.ID); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `UPDATE emails SET address = 'ann@private.example' WHERE user_id = $1`, in.User.ID)
			return err
		})
		to.refused(ann.ID, fault.AccountNotLinked)

		// And of one whose own address another organization has proved, never.
		to.join(in.User, org.Member)
		other := to.r.Org("private", "private.example")
		to.refused(ann.ID, fault.EmailDomainForbidden)
		to.r.Write(func(ctx context.Context, tx *db.Tx) error { return org.Unverify(ctx, tx, other.ID, "private.example") })
		to.in(ann.ID)
	})
}

func TestSSOOfGoogleWantsAnAccountOfTheOrganization(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		to := acme(t, d, func(c *sso.Connection) { c.Provider = sso.Google })
		to.refused(ann.ID, fault.EmailDomainForbidden) // a private account by an address of acme's
		p := ann
		p.Claims = map[string]any{"hd": "Acme.com"}
		to.fake.SetPeople(p)
		to.in(ann.ID)
	})
}

func TestSSOSuspendedUserStaysOut(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		to := acme(t, d, nil)
		in := to.in(ann.ID)
		to.r.Write(func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE users SET status = 'suspended' WHERE id = $1`, in.User.ID)
			return err
		})
		to.refused(ann.ID, fault.EnrolmentSuspended)
		to.r.Advance(time.Second)
	})
}

func TestSSOTestSignsNobodyIn(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		to := acme(t, d, func(c *sso.Connection) { c.Enabled = false })
		testing := func(in *signin.SSOStart) { in.Test = true }
		for _, c := range []struct {
			id   string
			want fault.Code
		}{{ann.ID, ""}, {zoe.ID, fault.EmailDomainForbidden}} {
			out, err := to.as(c.id, testing)
			if !out.Test || out.Outcome != (signin.Outcome{}) || out.Profile.Subject != c.id || c.want == "" && err != nil || c.want != "" && !fault.Is(err, c.want) {
				t.Errorf("%s: %+v, %v", c.id, out, err)
			}
		}
		if n := count(t, to.r, "users"); n != 0 {
			t.Errorf("%d users were made", n)
		}
		to.fake.Behave(upstreamtest.WrongNonce)
		out, err := to.as(ann.ID, testing)
		if !out.Test || !fault.Is(err, fault.UpstreamFailed) {
			t.Errorf("a wrong nonce: %+v, %v", out, err)
		}
		var kept sso.Test
		to.r.Write(func(ctx context.Context, tx *db.Tx) (err error) {
			kept, err = sso.TestOf(ctx, tx, to.org.ID)
			return err
		})
		if kept.OK || len(kept.Problems) == 0 || kept.Problems[0].Code != sso.ProblemAnswer {
			t.Errorf("kept %+v", kept)
		}
	})
}
