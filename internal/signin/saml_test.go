package signin_test

import (
	"context"
	"encoding/xml"
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	crewjam "github.com/crewjam/saml"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/org"
	"sallyport/internal/rig"
	"sallyport/internal/saml"
	"sallyport/internal/saml/samltest"
	"sallyport/internal/session"
	"sallyport/internal/signin"
	"sallyport/internal/sso"
	"sallyport/internal/upstream"
)

// samlTour is a browser on its way to a SAML provider and back.
type samlTour struct {
	t      *testing.T
	r      *rig.Rig
	org    org.Org
	idp    *samltest.IdP
	app    client.Client
	party  saml.Party
	cookie string
}

// samlAcme makes an organization with a SAML provider; change, which may be nil,
// changes the connection.
func samlAcme(t *testing.T, r *rig.Rig, slug, domain string, change func(*sso.Connection), people ...samltest.Person) *samlTour {
	t.Helper()
	o := r.Org(slug, domain)
	i := samltest.New("https://idp."+domain, r.Now, people...)
	p := i.Peer()
	c := sso.Connection{OrgID: o.ID, Kind: sso.SAML, Provider: "saml", Enabled: true, JIT: true, Issuer: p.EntityID, SignOnURL: p.SignOnURL, SignOnBinding: p.SignOnBinding,
		LogoutURL: p.LogoutURL, LogoutBinding: p.LogoutBinding, Certificates: p.Certificates, Keys: []saml.KeyPair{ourKey()}}
	if change != nil {
		change(&c)
	}
	r.SetConnection(c)
	return &samlTour{t: t, r: r, org: o, idp: i, party: saml.PartyAt(visitor.Base, string(o.ID))}
}

// ourKey is one for all tests: making it takes a tenth of a second.
var ourKey = sync.OnceValue(func() saml.KeyPair {
	k, err := saml.NewKeyPair("sallyport", rig.Start)
	if err != nil {
		panic(err)
	}
	return k
})

func (to *samlTour) start() signin.SSOStarted {
	to.t.Helper()
	out, err := to.r.SignIn.StartSSO(context.Background(), signin.SSOStart{Slug: to.org.Slug, ClientID: to.app.ID, Cookie: to.cookie, Visitor: visitor})
	if err != nil {
		to.t.Fatal(err)
	}
	to.cookie = out.Cookie
	return out
}

// back is what the browser posts after the provider has signed its first person in.
func (to *samlTour) back(started signin.SSOStarted) signin.SSOReturn {
	to.t.Helper()
	form, err := to.idp.Answer(saml.Outgoing{Location: started.Location, Form: started.Form})
	if err != nil {
		to.t.Fatal(err)
	}
	return signin.SSOReturn{State: form.Fields[1].Value, Cookie: to.cookie, Answer: upstream.Answer{SAML: form.Fields[0].Value}, Visitor: visitor}
}

func (to *samlTour) finish(in signin.SSOReturn) (signin.SSOReturned, error) {
	return to.r.SignIn.FinishSSO(context.Background(), in)
}

func (to *samlTour) in() *signin.SignedIn {
	to.t.Helper()
	out, err := to.finish(to.back(to.start()))
	if err != nil || out.Outcome.SignedIn == nil {
		to.t.Fatalf("got %+v, %v", out.Outcome, err)
	}
	return out.Outcome.SignedIn
}

// cause is what the newest refusal in the organization's log says.
func (to *samlTour) cause() string {
	to.t.Helper()
	var cause string
	to.r.Write(func(ctx context.Context, tx *db.Tx) error {
		all, _, err := audit.List(ctx, tx, audit.Filter{OrgID: to.org.ID, Limit: 1})
		if err == nil && len(all) > 0 {
			cause, _ = all[0].Detail["cause"].(string)
		}
		return err
	})
	return cause
}

func TestSAMLSignIn(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Demo", nil)
		to := samlAcme(t, r, "acme", "acme.com", func(c *sso.Connection) {
			c.Roles = []sso.RoleRule{{Claim: "groups", Value: "staff", Role: org.Admin}}
		})
		to.app = app
		started := to.start()
		if !started.CrossSite || !strings.HasPrefix(started.Location, "https://idp.acme.com/sso?SAMLRequest=") {
			t.Errorf("started %+v", started)
		}
		answer := to.back(started)
		elsewhere := answer
		elsewhere.Cookie = strings.Repeat("0", 64)
		if _, err := to.finish(elsewhere); !fault.Is(err, fault.UpstreamStateInvalid) {
			t.Errorf("in another browser: %v", err)
		}
		out, err := to.finish(answer)
		if err != nil || out.Outcome.SignedIn == nil || out.Outcome.SignedIn.User.Email != "jane@acme.com" || !out.Outcome.SignedIn.User.EmailVerified {
			t.Fatalf("got %+v, %v", out.Outcome, err)
		}
		jane := out.Outcome.SignedIn.User
		r.Write(func(ctx context.Context, tx *db.Tx) error {
			m, err := org.MembershipOf(ctx, tx, to.org.ID, jane.ID)
			if m.Role != org.Admin {
				t.Errorf("role %s", m.Role)
			}
			return err
		})
		if _, err := to.finish(answer); !fault.Is(err, fault.UpstreamStateInvalid) {
			t.Errorf("the same answer again: %v", err)
		}
		if again := to.in(); again.User.ID != jane.ID {
			t.Errorf("another user the second time")
		}
		to.idp.Behave(samltest.Behaviour{Unsigned: true})
		if _, err := to.finish(to.back(to.start())); !fault.Is(err, fault.UpstreamFailed) || !strings.Contains(to.cause(), "signed") {
			t.Errorf("unsigned: %v, told as %q", err, to.cause())
		}
		to.idp.Behave(samltest.Behaviour{Deny: true})
		if _, err := to.finish(to.back(to.start())); !fault.Is(err, fault.UpstreamDenied) {
			t.Errorf("denied: %v", err)
		}
	})
}

// Two organizations with one entity ID, one key, one person's name: neither can say
// anything of the other's people, and an answer for one is none for the other.
func TestSAMLOfTwoOrganizations(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Demo", nil)
		a := samlAcme(t, r, "acme", "acme.com", nil)
		b := samlAcme(t, r, "other", "other.example", func(c *sso.Connection) {
			p := a.idp.Peer()
			c.Issuer, c.SignOnURL, c.Certificates = p.EntityID, p.SignOnURL, p.Certificates
		})
		a.app, b.app = app, app
		jane := a.in().User
		b.idp = a.idp // its administrator says that it is the other's
		if out, err := b.finish(b.back(b.start())); !fault.Is(err, fault.EmailDomainForbidden) {
			t.Errorf("a provider that calls itself another's: %+v, %v", out.Outcome, err)
		}
		a.idp.SetPeople(samltest.Person{NameID: samltest.Jane.NameID, Email: "eve@other.example"})
		out, err := b.finish(b.back(b.start()))
		if err != nil || out.Outcome.SignedIn == nil || out.Outcome.SignedIn.User.ID == jane.ID {
			t.Errorf("the same name in another organization: %+v, %v", out.Outcome, err)
		}
		// The answer that was made for one, with the state of the other.
		mine, theirs := a.start(), b.start()
		answer := a.back(mine)
		at, err := url.Parse(theirs.Location)
		if err != nil {
			t.Fatal(err)
		}
		answer.State, answer.Cookie = at.Query().Get("RelayState"), b.cookie
		if _, err := b.finish(answer); !fault.Is(err, fault.UpstreamFailed) {
			t.Errorf("an answer for another organization: %v", err)
		}
		if f, ok := errors.AsType[*saml.Failure](errOf(b.finish(withState(a.back(a.start()), b)))); !ok || f.Reason != saml.WrongRequest {
			t.Errorf("refused because of %+v", f)
		}
	})
}

func errOf(_ signin.SSOReturned, err error) error { return err }

// withState puts the state of a new attempt of another organization in an answer.
func withState(in signin.SSOReturn, of *samlTour) signin.SSOReturn {
	at, _ := url.Parse(of.start().Location)
	in.State, in.Cookie = at.Query().Get("RelayState"), of.cookie
	return in
}

// A sign-in that begins at the provider: off, on, and once.
func TestSAMLUnsolicited(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Demo", nil)
		off := samlAcme(t, r, "acme", "acme.com", nil)
		on := samlAcme(t, r, "other", "other.example", func(c *sso.Connection) { c.IdPInitiated = true }, samltest.Person{NameID: "eve", Email: "eve@other.example"})
		bring := func(to *samlTour) signin.SSOUnsolicited {
			form, err := to.idp.Unsolicited(to.party, "")
			if err != nil {
				t.Fatal(err)
			}
			return signin.SSOUnsolicited{ClientID: app.ID, Base: visitor.Base, Answer: upstream.Answer{SAML: form.Fields[0].Value}, Visitor: visitor}
		}
		if _, err := r.SignIn.UnsolicitedSSO(t.Context(), bring(off)); !fault.Is(err, fault.UpstreamFailed) || !strings.Contains(off.cause(), "switched off") {
			t.Errorf("switched off: %v, told as %q", err, off.cause())
		}
		in := bring(on)
		out, err := r.SignIn.UnsolicitedSSO(t.Context(), in)
		if err != nil || out.Outcome.SignedIn == nil || out.Outcome.SignedIn.User.Email != "eve@other.example" || out.Org.ID != on.org.ID {
			t.Fatalf("switched on: %+v, %v", out.Outcome, err)
		}
		if _, err := r.SignIn.UnsolicitedSSO(t.Context(), in); !fault.Is(err, fault.UpstreamFailed) || !strings.Contains(on.cause(), "used before") {
			t.Errorf("again: %v, told as %q", err, on.cause())
		}
		on.idp.SetPeople(samltest.Person{NameID: "jane", Email: "jane@acme.com"})
		if _, err := r.SignIn.UnsolicitedSSO(t.Context(), bring(on)); !fault.Is(err, fault.EmailDomainForbidden) {
			t.Errorf("of an address of another organization: %v", err)
		}
		for name, message := range map[string]string{"nothing": "", "no message": "rubbish", "no organization's": "PHgvPg=="} {
			in.Answer.SAML = message
			if _, err := r.SignIn.UnsolicitedSSO(t.Context(), in); !fault.Is(err, fault.UpstreamStateInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		in = bring(on)
		in.Base = "https://elsewhere.example.com"
		if _, err := r.SignIn.UnsolicitedSSO(t.Context(), in); !fault.Is(err, fault.UpstreamStateInvalid) {
			t.Errorf("at another address: %v", err)
		}
		c := r.Connection(on.org)
		c.Enabled = false
		r.SetConnection(c)
		if _, err := r.SignIn.UnsolicitedSSO(t.Context(), bring(on)); !fault.Is(err, fault.SSODisabled) {
			t.Errorf("a connection that is off: %v", err)
		}
	})
}

// A session ends with the provider's, if that says when.
func TestSAMLSessionEndsWithTheProviders(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		to := samlAcme(t, r, "acme", "acme.com", nil)
		to.app = r.Client("Demo", nil)
		until := r.Now().Add(time.Hour)
		to.idp.Behave(samltest.Behaviour{Change: func(a *crewjam.Assertion) { a.AuthnStatements[0].SessionNotOnOrAfter = &until }})
		in := to.in()
		r.Write(func(ctx context.Context, tx *db.Tx) error {
			s, err := session.ByToken(ctx, tx, in.Session, r.Now())
			if err != nil || !s.ExpiresAt.Equal(until.Truncate(time.Millisecond)) && !s.ExpiresAt.Equal(until) {
				t.Errorf("until %s, %v; want %s", s.ExpiresAt, err, until)
			}
			return nil
		})
	})
}

func TestServiceMetadata(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		to := samlAcme(t, r, "acme", "acme.com", nil)
		bare := r.Org("bare", "bare.example")
		for id, keys := range map[org.ID]int{to.org.ID: 2, bare.ID: 0} {
			body, err := r.SignIn.ServiceMetadata(t.Context(), id, visitor.Base)
			var m crewjam.EntityDescriptor
			if err == nil {
				err = xml.Unmarshal(body, &m)
			}
			if err != nil || m.EntityID != saml.PartyAt(visitor.Base, string(id)).EntityID || len(m.SPSSODescriptors[0].KeyDescriptors) != keys {
				t.Errorf("%s: %+v, %v", id, m, err)
			}
		}
		if _, err := r.SignIn.ServiceMetadata(t.Context(), "nobody", visitor.Base); !fault.Is(err, fault.SSODisabled) {
			t.Errorf("nobody's: %v", err)
		}
	})
}
