package oauth

import (
	"context"

	"sallyport/internal/client"
	"sallyport/internal/grant"
	"sallyport/internal/identity"
	"sallyport/internal/onetime"
	"sallyport/internal/wire"
)

// PendingRequest is a request that waits, for a page to show. User is who is
// signed in, the zero User if nobody is; Mine says that they are the one who is
// asked for consent. AskScope are the scopes they have not agreed to before.
type PendingRequest struct {
	Client   client.Client
	Request  Request
	User     identity.User
	Mine     bool
	AskScope []string
}

// Pending reads a request that waits; an *Error if there is none by that handle.
// It changes nothing.
func (c *Core) Pending(ctx context.Context, raw, cookie string) (PendingRequest, error) {
	r, h, s, err := c.waiting(ctx, raw, cookie, onetime.Authorization)
	if err != nil {
		return PendingRequest{}, err
	}
	p := PendingRequest{Client: s.client, Request: r}
	if s.session.ID != "" && !s.session.Partial && s.standing.User.Status == identity.Active {
		p.User, p.Mine = s.standing.User, h.secret.UserID == s.session.UserID
	}
	for _, one := range r.Scope {
		if !p.Mine || !within([]string{one}, s.consent.Scope) {
			p.AskScope = append(p.AskScope, one)
		}
	}
	return p, nil
}

// Next is where somebody goes who has signed in for a request: the provider
// takes it up again by its handle, or what a device shows is asked about on the
// mount at base.
func (p PendingRequest) Next(handle, base string) string {
	if p.Request.UserCode != "" {
		return wire.WithQuery(base+"/device", "request", handle)
	}
	return wire.WithQuery(p.Request.Issuer+"/oauth2/continue", "request", handle)
}

// ConsentIn is what a person said on the consent page.
type ConsentIn struct {
	Handle  string
	Cookie  string
	Allow   bool
	Visitor Visitor
}

// Consent takes the person's word: their agreement is kept and the code given,
// or the client told that they refused. Only the one who was asked may agree;
// another, who signed in meanwhile, is asked anew. Anybody who has the handle may
// refuse, signed in or not.
func (c *Core) Consent(ctx context.Context, in ConsentIn) (Decision, error) {
	r, h, s, err := c.waiting(ctx, in.Handle, in.Cookie, onetime.Authorization)
	if err == nil && r.UserCode != "" {
		err = errGone() // it is answered on its own page
	}
	if err != nil {
		return Decision{}, err
	}
	if !in.Allow {
		return c.deny(ctx, r, h, s)
	}
	if h.secret.UserID == "" || h.secret.UserID != s.session.UserID || c.judge(r, s, true).step != giveCode {
		return c.advance(ctx, r, h, s, in.Cookie, false, in.Visitor)
	}
	k := grant.Consent{UserID: h.secret.UserID, ClientID: r.ClientID, Scope: r.Scope, Resources: r.Resources, Claims: r.ClaimNames()}
	return c.finish(ctx, r, h, in.Cookie, &k, in.Visitor)
}
