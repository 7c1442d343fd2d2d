package oauth

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/grant"
	"sallyport/internal/identity"
)

// AccessToken is what an access token of ours says (RFC 9068 §2.2), once the
// surface has found that it is of our making and of this time. GrantID is empty
// for a client's own token, which no person is behind.
type AccessToken struct {
	ID        string
	Issuer    string
	Subject   string
	ClientID  client.ID
	GrantID   grant.ID
	Audience  []string
	Scope     []string
	Binding   grant.Binding
	Actor     json.RawMessage
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// Live is what stands behind an access token at this moment. Grant, User and
// Roles are zero for a client's own. Client is that of the grant: the token may
// be of another, which exchanged it.
type Live struct {
	Client client.Client
	Grant  grant.Grant
	User   identity.User
	Roles  []string
}

// live reads what stands behind a token, with one statement; ok is false if the
// token is void: revoked, its grant ended, or its client or person barred.
func (c *Core) live(ctx context.Context, tx *db.Tx, t AccessToken) (l Live, ok bool, err error) {
	var h held
	if t.GrantID == "" {
		h, err = clientByToken(ctx, tx, t.ClientID, t.ID)
	} else {
		h, err = heldByToken(ctx, tx, t.GrantID, t.ID)
	}
	if err != nil {
		return Live{}, false, notFoundIsZero(err)
	}
	l = Live{Client: h.client.Client}
	ok = !h.revoked && l.Client.Active
	if ok && l.Client.ID != t.ClientID {
		if ok, err = actsStill(ctx, tx, t); err != nil {
			return Live{}, false, err
		}
	}
	if t.GrantID != "" {
		l.Grant, l.User, l.Roles = h.grant.Grant, h.standing.User, h.standing.Roles
		ok = ok && l.Grant.Subject == t.Subject && stands(l.Client, l.Grant, h.standing.Standing, c.Now()) == nil
	}
	return l, ok, nil
}

// UseIn is an access token that came with a request to us as its resource.
// Scheme is that of the Authorization header, "Bearer" or "DPoP". Need is the
// scope that the request takes, "" for none.
type UseIn struct {
	Token       AccessToken
	Scheme      string
	Proof       Proof
	Certificate *Certificate
	Need        string
}

// Use judges whether a person's access token is good here: alive, shown by
// whoever has the key that it is bound to, and of the scope. Fails with an
// *Error: InvalidToken, InsufficientScope, or what is wrong with the proof.
func (c *Core) Use(ctx context.Context, in UseIn) (Live, error) {
	seen, err := c.shown(in)
	if err != nil {
		return Live{}, err
	}
	if in.Token.GrantID == "" || in.Need != "" && !slices.Contains(in.Token.Scope, in.Need) {
		return Live{}, refuse(InsufficientScope, "the token lacks the scope "+in.Need)
	}
	var l Live
	ok := false
	err = c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		l, ok, err = c.live(ctx, tx, in.Token)
		return err
	})
	if err != nil {
		return Live{}, err
	}
	if !ok {
		return Live{}, refuse(InvalidToken, "the token has ended")
	}
	return l, c.spendAlone(ctx, seen)
}

// shown judges the key that a token is bound to (RFC 9449 §7.1, RFC 8705 §3). A
// bound token is no bearer token, nor the other way round.
func (c *Core) shown(in UseIn) ([]once, error) {
	b := in.Token.Binding
	if (in.Scheme == "DPoP") != (b.JKT != "") {
		return nil, refuse(InvalidToken, "the token is not of the scheme "+in.Scheme)
	}
	if b.X5T != "" && (in.Certificate == nil || in.Certificate.X5T != b.X5T) {
		return nil, refuse(InvalidToken, "the token is bound to another certificate")
	}
	if b.JKT == "" {
		return nil, nil
	}
	if in.Proof.Header == "" {
		return nil, refuse(InvalidToken, "the token is bound to a key: a DPoP proof is needed")
	}
	jkt, seen, err := c.provenKey(in.Proof)
	if err == nil && jkt != b.JKT {
		err = refuse(InvalidToken, "the token is bound to another key")
	}
	return seen, err
}

// AllowsOrigin reports whether pages of a web origin may read answers: an active
// client names it.
func (c *Core) AllowsOrigin(ctx context.Context, origin string) (ok bool, err error) {
	err = c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		ok, err = client.AllowsOrigin(ctx, tx, origin)
		return err
	})
	return ok, err
}
