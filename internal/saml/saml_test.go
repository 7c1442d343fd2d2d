package saml_test

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	crewjam "github.com/crewjam/saml"

	"sallyport/internal/saml"
	"sallyport/internal/saml/samltest"
)

// now is when everything in these tests happens.
var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return now }

// us is who we are in these tests.
var us = saml.PartyAt("https://auth.example.com", "0192f1a0-0000-7000-8000-000000000001")

// ours is a key pair for all tests: making one takes its time.
var ours = sync.OnceValue(func() saml.KeyPair {
	k, err := saml.NewKeyPair("sallyport", now)
	if err != nil {
		panic(err)
	}
	return k
})

// idp is a provider that nothing is asked of by the network.
func idp(people ...samltest.Person) *samltest.IdP {
	return samltest.New("https://idp.example.com", clock, people...)
}

// answer is a good request and what the provider says to it.
func answer(t testing.TB, i *samltest.IdP, p saml.Peer) (saml.Outgoing, string) {
	t.Helper()
	out, err := p.Ask(saml.Question{Party: us, Relay: "the-state", Now: now})
	if err != nil {
		t.Fatal(err)
	}
	form, err := i.Answer(out)
	if err != nil {
		t.Fatal(err)
	}
	if form.Action != us.ACS || form.Fields[1] != (saml.Field{Name: "RelayState", Value: "the-state"}) {
		t.Errorf("posted to %s with %v", form.Action, form.Fields[1])
	}
	return out, form.Fields[0].Value
}

func read(p saml.Peer, request, message string) (saml.Assertion, error) {
	return p.Read(saml.Incoming{Message: message, Party: us, Request: request, Now: now})
}

// reason is why something was refused, "" if it was not.
func reason(err error) saml.Reason {
	if f, ok := errors.AsType[*saml.Failure](err); ok {
		return f.Reason
	}
	if err != nil {
		return saml.Reason("no *saml.Failure: " + err.Error())
	}
	return ""
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		behaviour samltest.Behaviour
		peer      func(*saml.Peer)
	}{
		"both are signed":          {},
		"only the assertion is":    {behaviour: samltest.Behaviour{Assertion: true}},
		"only the response is":     {behaviour: samltest.Behaviour{ResponseOnly: true}},
		"encrypted":                {behaviour: samltest.Behaviour{Encrypt: ours().Certificate}},
		"encrypted, none signed":   {behaviour: samltest.Behaviour{Encrypt: ours().Certificate, ResponseOnly: true}},
		"encrypted, not the whole": {behaviour: samltest.Behaviour{Encrypt: ours().Certificate, Assertion: true}, peer: func(p *saml.Peer) { p.WantEncrypted = true }},
		"by form":                  {peer: func(p *saml.Peer) { p.SignOnBinding = saml.Post }},
		"signed":                   {peer: func(p *saml.Peer) { p.SignRequests = true }},
		"signed, by form":          {peer: func(p *saml.Peer) { p.SignRequests, p.SignOnBinding = true, saml.Post }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := idp()
			i.Behave(c.behaviour)
			p := i.Peer()
			p.Keys = []saml.KeyPair{ours()}
			if c.peer != nil {
				c.peer(&p)
			}
			out, message := answer(t, i, p)
			a, err := read(p, out.ID, message)
			if err != nil {
				t.Fatal(err)
			}
			want := saml.NameID{Value: "jane-at-acme", Format: saml.FormatPersistent, NameQualifier: i.EntityID(), SPNameQualifier: us.EntityID}
			if a.Subject != want || a.Issuer != i.EntityID() || a.Session != "_session" || !a.Instant.Equal(now) || a.ID == "" || a.Encrypted != (c.behaviour.Encrypt != nil) {
				t.Errorf("got %+v", a)
			}
			if g := a.Attributes["groups"]; !slices.Equal(g, []string{"staff", "engineers"}) || a.Attributes["urn:oid:0.9.2342.19200300.100.1.3"][0] != "jane@acme.com" {
				t.Errorf("attributes %v", a.Attributes)
			}
			if a.Until.Before(now) || a.Until.After(now.Add(time.Hour)) {
				t.Errorf("known until %s", a.Until)
			}
		})
	}
}

// What identity providers write that is unlike the double's, and right.
func TestVariants(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*crewjam.Assertion){
		"a clock that is fast": func(a *crewjam.Assertion) {
			a.IssueInstant, a.Conditions.NotBefore = now.Add(50*time.Second), now.Add(50*time.Second)
		},
		"a clock that is slow": func(a *crewjam.Assertion) { a.Conditions.NotOnOrAfter = now.Add(-50 * time.Second) },
		"two audiences": func(a *crewjam.Assertion) {
			a.Conditions.AudienceRestrictions = append(a.Conditions.AudienceRestrictions, a.Conditions.AudienceRestrictions[0])
		},
		"to be used once": func(a *crewjam.Assertion) { a.Conditions.OneTimeUse = &crewjam.OneTimeUse{} },
		"another confirmation beside it": func(a *crewjam.Assertion) {
			a.Subject.SubjectConfirmations = append(a.Subject.SubjectConfirmations, crewjam.SubjectConfirmation{Method: "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := idp()
			i.Behave(samltest.Behaviour{Change: change})
			p := i.Peer()
			out, message := answer(t, i, p)
			if _, err := read(p, out.ID, message); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestUnsolicited(t *testing.T) {
	t.Parallel()
	i := idp()
	form, err := i.Unsolicited(us, "deep")
	if err != nil {
		t.Fatal(err)
	}
	p := i.Peer()
	if _, err := read(p, "", form.Fields[0].Value); reason(err) != saml.NotAsked {
		t.Errorf("switched off: %v", err)
	}
	p.Unsolicited = true
	if a, err := read(p, "", form.Fields[0].Value); err != nil || a.Subject.Value != "jane-at-acme" {
		t.Errorf("switched on: %+v, %v", a, err)
	}
	if _, err := read(p, "_asked", form.Fields[0].Value); reason(err) != saml.WrongRequest {
		t.Errorf("as an answer: %v", err)
	}
	_, message := answer(t, i, p)
	if _, err := read(p, "", message); reason(err) != saml.WrongRequest {
		t.Errorf("an answer, as if nobody had asked: %v", err)
	}
}

// Sign-outs go both ways, and are signed both ways.
func TestLogout(t *testing.T) {
	t.Parallel()
	i, stop := samltest.Serve(clock)
	defer stop()
	p := i.Peer()
	p.Keys = []saml.KeyPair{ours()}
	at := i.Logout(us, "_bye", "jane-at-acme", "_session")
	query := at[strings.IndexByte(at, '?')+1:]
	r, err := p.ReadLogout(saml.IncomingLogout{Query: query, Party: us, Now: now})
	if err != nil || r.ID != "_bye" || r.Subject.Value != "jane-at-acme" || !slices.Equal(r.Sessions, []string{"_session"}) || r.Relay != "relay" {
		t.Fatalf("got %+v, %v", r, err)
	}
	back, err := p.Farewell(us, r, true, now)
	if err != nil || !strings.HasPrefix(back.Location, p.LogoutURL+"?SAMLResponse=") || !strings.Contains(back.Location, "&Signature=") {
		t.Errorf("farewell %s, %v", back.Location, err)
	}
	out, ok, err := p.Goodbye(us, saml.Session{Subject: r.Subject, Index: "_session"}, "back", now)
	if !ok || err != nil || !strings.Contains(out.Location, "&Signature=") {
		t.Fatalf("goodbye %s, %v, %v", out.Location, ok, err)
	}
	p.LogoutURL = ""
	if _, ok, _ := p.Goodbye(us, saml.Session{}, "back", now); ok {
		t.Error("a goodbye to nowhere")
	}
	for name, change := range map[string]func(url.Values){
		"Signature": func(q url.Values) { q.Del("Signature") },
	} {
		q, _ := url.ParseQuery(query)
		change(q)
		if _, err := p.ReadLogout(saml.IncomingLogout{Query: q.Encode(), Party: us, Now: now}); reason(err) != saml.Unsigned {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

// BenchmarkRead is what a sign-in costs beside its rows: the response and its
// assertion, each signed.
func BenchmarkRead(b *testing.B) {
	i := idp()
	p := i.Peer()
	out, message := answer(b, i, p)
	for b.Loop() {
		if _, err := read(p, out.ID, message); err != nil {
			b.Fatal(err)
		}
	}
}
