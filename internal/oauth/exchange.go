package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/grant"
)

// TypeAccessToken is the one type of token that is exchanged, and got (RFC 8693
// §3). An ID token is none: it tells who signed in and grants nothing, so what
// came of it would be made of nothing.
const TypeAccessToken = "urn:ietf:params:oauth:token-type:access_token" //nolint:gosec // a name, no secret

// maxActors bounds how many act for one another in one token.
const maxActors = 5

// actor is the act claim (RFC 8693 §4.1): who acts now, and before them. Of a
// person that acts, ClientID is the application they do it with.
type actor struct {
	Subject  string          `json:"sub"`
	ClientID client.ID       `json:"client_id,omitempty"`
	Actor    json.RawMessage `json:"act,omitempty"`
}

// exchange gives a client that holds a person's access token one of its own for
// the same person (RFC 8693). What keeps it from being a confused deputy:
//
//   - The client proves who it is, and may use the grant.
//   - The token is its own, or made for it: what it found somewhere is no use.
//   - Scope and end are the token's at most, the scopes are also the client's
//     own, and the resources are those that the person granted.
//   - The new token names the same grant, and ends with it.
//   - It says in act who acts, whenever that is another than who it was for.
//   - What was bound to a key stays bound to one.
//
// Like a client's own token it leaves no row and no entry in the log.
func (c *Core) exchange(ctx context.Context, in TokenIn) (Issued, error) {
	a, err := c.ask(ctx, in)
	if err != nil {
		return Issued{}, err
	}
	if methodOf(a.client) == client.AuthNone {
		return Issued{}, refuse(UnauthorizedClient, "a public client may not exchange tokens")
	}
	x, err := openExchange(a, in)
	if err != nil {
		return Issued{}, err
	}
	var l Live
	err = c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		l, err = c.exchangeable(ctx, tx, x)
		return err
	})
	if err != nil {
		return Issued{}, err
	}
	out := Issued{
		Client: a.client, Grant: l.Grant, User: l.User, Roles: l.Roles, Binding: a.binding, TokenType: TypeAccessToken, NotAfter: x.subject.ExpiresAt,
	}
	if out.Scope, err = exchangedScope(a.client, l.Client, x.subject.Scope, in.Params.Get("scope")); err != nil {
		return Issued{}, err
	}
	if out.Resources, err = c.exchangedTargets(l.Grant, x.subject, in.Params); err != nil {
		return Issued{}, err
	}
	if out.Grant.Actor, err = x.acts(a.client.ID); err != nil {
		return Issued{}, err
	}
	if len(a.seen) > 0 {
		err = c.act(ctx, a, func(context.Context, *db.Tx, time.Time) (refused, err error) { return nil, nil })
	}
	return out, err
}

// exchanging are the tokens of an exchange; actor is nil if the client itself acts.
type exchanging struct {
	subject AccessToken
	actor   *AccessToken
}

// openExchange reads the tokens, and judges what can be told without the
// database (RFC 8693 §2.1).
func openExchange(a asking, in TokenIn) (x exchanging, err error) {
	p := in.Params
	if t := p.Get("requested_token_type"); t != "" && t != TypeAccessToken {
		return x, refuse(InvalidRequest, "requested_token_type is not "+TypeAccessToken)
	}
	if x.subject, err = openToken(in, "subject_token"); err != nil {
		return x, err
	}
	t := x.subject
	switch {
	case !concerns(a.client, t):
		return x, badExchange("subject_token", "it is of client "+string(t.ClientID)+" and for "+strings.Join(t.Audience, ", "))
	case t.GrantID == "":
		return x, refuse(InvalidRequest, "no person is behind the subject_token")
	case t.Binding != (grant.Binding{}) && a.binding == (grant.Binding{}):
		return x, refuse(InvalidRequest, "the subject_token is bound to a key, and so must be what comes of it")
	case t.ClientID == a.client.ID && !sameBinding(t.Binding, a.binding):
		return x, refuse(InvalidRequest, "the subject_token is bound to another key")
	}
	if !p.Has("actor_token") {
		if p.Has("actor_token_type") {
			return x, refuse(InvalidRequest, "actor_token is missing")
		}
		return x, nil
	}
	t, err = openToken(in, "actor_token")
	switch {
	case err != nil:
		return x, err
	case t.ClientID != a.client.ID:
		// Whoever acts does so by this client; another's token proves nothing here.
		return x, badExchange("actor_token", "it is of client "+string(t.ClientID))
	case t.Actor != nil:
		return x, badExchange("actor_token", "somebody acts for its subject")
	case !sameBinding(t.Binding, a.binding):
		return x, refuse(InvalidRequest, "the actor_token is bound to another key")
	}
	x.actor = &t
	return x, nil
}

// openToken reads one of the two tokens, by its parameter.
func openToken(in TokenIn, name string) (AccessToken, error) {
	switch {
	case !in.Params.Has(name):
		return AccessToken{}, refuse(InvalidRequest, name+" is missing")
	case in.Params.Get(name+"_type") != TypeAccessToken:
		return AccessToken{}, refuse(InvalidRequest, name+"_type is not "+TypeAccessToken)
	}
	t, err := in.Open(in.Params.Get(name))
	if err != nil {
		return AccessToken{}, badExchange(name, err.Error())
	}
	return t, nil
}

// badExchange is one answer for whatever is wrong with a token; the log has the
// cause. RFC 8693 §2.2.2 has invalid_request for it.
func badExchange(name, detail string) error {
	return &Error{Code: InvalidRequest, Description: name + " is invalid, expired, or not for this client", Detail: detail}
}

// sameBinding reports whether who holds the key of a request may show a token
// that is bound to one.
func sameBinding(had, has grant.Binding) bool {
	return (had.JKT == "" || had.JKT == has.JKT) && (had.X5T == "" || had.X5T == has.X5T)
}

// exchangeable reads what stands behind the tokens at this moment.
func (c *Core) exchangeable(ctx context.Context, tx *db.Tx, x exchanging) (Live, error) {
	l, ok, err := c.live(ctx, tx, x.subject)
	if err == nil && !ok {
		err = badExchange("subject_token", "it has ended")
	}
	if err != nil || x.actor == nil {
		return l, err
	}
	_, ok, err = c.live(ctx, tx, *x.actor)
	if err == nil && !ok {
		err = badExchange("actor_token", "it has ended")
	}
	return l, err
}

// exchangedScope is what of the scope of a token the client gets: what it asks
// for, or all that it may have. The sign-in is not passed on, so there is no
// openid and no offline_access; and roles are those in the client that the
// person signed in to, so no other gets them.
func exchangedScope(cl, of client.Client, had []string, asked string) ([]string, error) {
	may := func(s string) bool {
		switch s {
		case ScopeOpenID, ScopeOffline:
			return false
		case ScopeRoles:
			return cl.ID == of.ID && slices.Contains(had, s)
		}
		return slices.Contains(had, s) && (slices.Contains(Scopes, s) || slices.Contains(cl.Policy.OAuth.Scopes, s))
	}
	var out []string
	names := strings.Fields(asked)
	for _, s := range names {
		if !may(s) {
			return nil, &Error{Code: InvalidScope, Description: "scope goes beyond that of the subject_token, or the client's own", Detail: short(s)}
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	if len(names) > 0 {
		return out, nil
	}
	for _, s := range had {
		if may(s) {
			out = append(out, s)
		}
	}
	return out, nil
}

// exchangedTargets is what the new token is for: what resource and audience
// name, of the subject token's audience and of what the person granted; the
// former if they name nothing.
func (c *Core) exchangedTargets(g grant.Grant, t AccessToken, p Params) ([]string, error) {
	asked := append(p.All("resource"), p.All("audience")...)
	if len(asked) == 0 {
		return t.Audience, nil
	}
	var out []string
	for _, s := range asked {
		if !slices.Contains(t.Audience, s) {
			known, refused := c.targets(g.Issuer, []string{s})
			if refused != nil {
				return nil, refused
			}
			if s = known[0]; !slices.Contains(g.Resources, s) && !slices.Contains(t.Audience, s) {
				return nil, &Error{Code: InvalidTarget, Description: "the person did not grant access to this target", Detail: short(s)}
			}
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out, nil
}

// acts is the act claim of the new token: the actor token's subject, or the
// client, before whoever acted so far. A client that narrows a token of its own
// acts for nobody else.
func (x exchanging) acts(id client.ID) (json.RawMessage, error) {
	if x.actor == nil && x.subject.ClientID == id {
		return x.subject.Actor, nil
	}
	if actors(x.subject.Actor) >= maxActors {
		return nil, refuse(InvalidRequest, "too many act for one another in the subject_token")
	}
	by := actor{Subject: string(id), Actor: x.subject.Actor}
	if x.actor != nil && x.actor.GrantID != "" {
		by.Subject, by.ClientID = x.actor.Subject, id
	}
	return json.Marshal(by)
}

// actors counts those in an act claim of our making.
func actors(raw json.RawMessage) int {
	n := 0
	for len(raw) > 0 && n < maxActors {
		var by actor
		if json.Unmarshal(raw, &by) != nil {
			return maxActors
		}
		raw = by.Actor
		n++
	}
	return n
}

// actsStill reports whether a token that a client got for itself out of
// another's is still good on its side.
func actsStill(ctx context.Context, tx *db.Tx, t AccessToken) (bool, error) {
	if t.Actor == nil || t.GrantID == "" {
		return false, nil
	}
	cl, err := client.ByID(ctx, tx, t.ClientID)
	if errors.Is(err, db.ErrNotFound) {
		return false, nil
	}
	return err == nil && cl.Active && cl.Policy.MayUse(client.GrantTokenExchange), err
}
