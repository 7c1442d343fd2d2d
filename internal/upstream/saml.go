package upstream

import (
	"context"
	"errors"
	"strings"

	"sallyport/internal/identity"
	"sallyport/internal/openid"
	"sallyport/internal/saml"
)

// beginSAML makes the request. Where the peer wants a form, there is no location
// but the attempt's Form.
func (b *Broker) beginSAML(u Upstream, s Start) (location string, a Attempt, err error) {
	out, err := u.SAML.Ask(saml.Question{Party: s.Party, Relay: s.State, Again: s.Again, Hint: s.LoginHint, Now: b.now()})
	if err != nil {
		return "", Attempt{}, openid.Fail(openid.ErrClient, "%v", err)
	}
	return out.Location, Attempt{Upstream: u.Key, Issuer: u.Issuer(), RedirectURI: s.Party.ACS, Party: s.Party, Request: out.ID, Form: out.Form}, nil
}

// Unsolicited judges an answer that nobody asked for, to us as one party: only an
// upstream that may begin sign-ins itself sends such. Fails with a *openid.Failure.
func (b *Broker) Unsolicited(u Upstream, us saml.Party, ans Answer) (Profile, error) {
	if u.Kind != SAML {
		return Profile{}, openid.Fail(openid.ErrLies, "an answer of SAML to an upstream of another kind")
	}
	return b.finishSAML(u, us, "", ans)
}

func (b *Broker) finishSAML(u Upstream, us saml.Party, request string, ans Answer) (Profile, error) {
	said, err := u.SAML.Read(saml.Incoming{Message: ans.SAML, Party: us, Request: request, Now: b.now()})
	if err != nil {
		return Profile{}, samlFailure(err)
	}
	p := Profile{
		Upstream: u.Key, Issuer: said.Issuer, Subject: subjectOf(said.Subject, said.Issuer, us), Attributes: said.Attributes,
		Session: saml.Session{Subject: said.Subject, Index: said.Session}.String(), SessionEnds: said.SessionEnd, Authenticated: said.Instant,
		Once: Once{ID: said.ID, Until: said.Until},
	}
	if said.Context != "" {
		p.AMR = []string{said.Context}
	}
	if !validSubject(p.Subject) {
		return Profile{}, openid.During(openid.AtPerson, openid.Fail(openid.ErrLies, "no usable subject"))
	}
	// An address that is no attribute may be the name itself. Which attributes say
	// what, the connection knows.
	if email, err := identity.NormalizeEmail(said.Subject.Value); err == nil && said.Subject.Format != saml.FormatPersistent {
		p.Email, p.EmailVerified = email, true
	}
	return p, nil
}

// samlFailure is a refusal of package saml's as all upstreams fail.
func samlFailure(err error) error {
	f, ok := errors.AsType[*saml.Failure](err)
	if !ok {
		return openid.Fail(openid.ErrClient, "%v", err) // our own key
	}
	why := openid.ErrLies
	switch f.Reason {
	case saml.Denied:
		why = openid.ErrDenied
	case saml.WrongAudience, saml.WrongRecipient:
		why = openid.ErrAudience
	}
	return &openid.Failure{Reason: why, Step: openid.AtToken, Err: f}
}

// subjectOf is what a person is known by. A name is the peer's own and for us
// alone unless its qualifiers say otherwise: then they are a part of it (SAML Core
// §8.3.7).
func subjectOf(id saml.NameID, issuer string, us saml.Party) string {
	if (id.NameQualifier == "" || id.NameQualifier == issuer) && (id.SPNameQualifier == "" || id.SPNameQualifier == us.EntityID) {
		return id.Value
	}
	return strings.Join([]string{id.NameQualifier, id.SPNameQualifier, id.Value}, "!")
}

// Goodbye is where to send a browser, or what to have it post, so that a SAML
// upstream ends its session; neither where it has no such place.
func (b *Broker) Goodbye(u Upstream, g Goodbye) (saml.Outgoing, error) {
	s, ok := saml.ParseSession(g.Session)
	if u.Kind != SAML || !ok {
		return saml.Outgoing{}, nil
	}
	out, _, err := u.SAML.Goodbye(g.Party, s, g.State, b.now())
	return out, err
}

// ReadLogout judges an upstream's word that somebody has signed out there.
func (b *Broker) ReadLogout(u Upstream, in saml.IncomingLogout) (saml.LogoutRequest, error) {
	in.Now = b.now()
	r, err := u.SAML.ReadLogout(in)
	if err != nil {
		return r, samlFailure(err)
	}
	return r, nil
}

// Farewell answers a LogoutRequest: what it asked for is done.
func (b *Broker) Farewell(u Upstream, us saml.Party, r saml.LogoutRequest) (saml.Outgoing, error) {
	return u.SAML.Farewell(us, r, true, b.now())
}

// Replayed is the failure of an answer that SpendOnce would not take.
func Replayed() error { return samlFailure(&saml.Failure{Reason: saml.Replayed}) }

// SubjectOf is whom a LogoutRequest is about, as Profile.Subject has it.
func (u Upstream) SubjectOf(r saml.LogoutRequest, us saml.Party) string {
	return subjectOf(r.Subject, u.SAML.EntityID, us)
}

// Check asks an upstream for what it publishes, as it is now: metadata and keys.
// It is for whoever sets one up. Fails with a *openid.Failure.
func (b *Broker) Check(ctx context.Context, u Upstream) error {
	if !u.kind().openID {
		return nil
	}
	return b.refresh(ctx, u)
}
