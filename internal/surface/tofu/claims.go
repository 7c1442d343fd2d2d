package tofu

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/identity"
	"sallyport/internal/jwks"
	"sallyport/internal/session"
	"sallyport/internal/signin"
	"sallyport/internal/token"
)

// The types of a token (contract §3).
const (
	typeAccess  = "access"
	typeRefresh = "refresh"
)

// What is wrong with a token, in SimpleJWT's words.
const (
	isInvalid     = "Token is invalid"
	isExpired     = "Token is expired"
	hasNoExpiry   = "Token has no 'exp' claim"
	hasNoID       = "Token has no id"
	hasNoType     = "Token has no type"
	hasWrongType  = "Token has wrong type"
	isBlacklisted = "Token is blacklisted"
	namesNobody   = "Token contained no recognizable user identification"
	notValid      = "token_not_valid"
)

// tokenError is one of those words.
type tokenError string

func (e tokenError) Error() string { return string(e) }

// claims are those of a token, in their order. They are not a struct because a
// refresh token's own are copied to the access tokens made of it, whoever put
// them there (contract §3).
type claims = inOrder

func find(c claims, name string) (json.RawMessage, bool) {
	i := slices.IndexFunc(c, func(m member) bool { return m.name == name })
	if i < 0 {
		return nil, false
	}
	raw, ok := c[i].value.(json.RawMessage)
	return raw, ok
}

// textOf is a claim that is a text, "" if it is anything else.
func textOf(c claims, name string) string {
	var s string
	raw, _ := find(c, name)
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

func claim(name string, v any) member {
	raw, err := json.Marshal(v)
	if err != nil {
		panic("tofu: " + err.Error()) // texts and numbers always marshal
	}
	return member{name, json.RawMessage(raw)}
}

// newClaims are the four that every token begins with.
func newClaims(kind string, now time.Time, life client.Duration) claims {
	now = now.Truncate(time.Second)
	id := strings.ReplaceAll(identity.RandomID(), "-", "")
	return claims{claim("token_type", kind), claim("exp", now.Add(life.D()).Unix()), claim("iat", now.Unix()), claim("jti", id)}
}

// owned says whose a token is: the user as this client numbers them, in text as
// SimpleJWT does since 5.5.1, and the session.
func owned(number int64, sid session.ID) claims {
	return claims{claim("user_id", strconv.FormatInt(number, 10)), claim("sid", sid)}
}

// successor are the claims of a token made of another: all of its, but those of
// the token itself, and those that sign adds.
func successor(of claims, kind string, now time.Time, life client.Duration) claims {
	c := newClaims(kind, now, life)
	for _, m := range of {
		switch m.name {
		case "token_type", "exp", "iat", "jti", "aud", "iss":
		default:
			c = append(c, m)
		}
	}
	return c
}

// sessionLife is how long a session lasts that tokens name: until the last access
// token has expired that the last refresh token makes.
func sessionLife(p client.Policy) time.Duration {
	return p.RefreshToken.Lifetime.D() + p.AccessToken.Lifetime.D()
}

// pair are the tokens of a sign-in.
type pair struct{ Access, Refresh string }

// newPair signs the tokens of a sign-in.
func (a *API) newPair(cl client.Client, number int64, sid session.ID) (p pair, err error) {
	now := a.Now()
	refresh := append(newClaims(typeRefresh, now, cl.Policy.RefreshToken.Lifetime), owned(number, sid)...)
	if p.Refresh, err = a.sign(cl, refresh); err != nil {
		return p, err
	}
	p.Access, err = a.sign(cl, successor(refresh, typeAccess, now, cl.Policy.AccessToken.Lifetime))
	return p, err
}

// sign makes the token, with audience and issuer if the client has them.
func (a *API) sign(cl client.Client, c claims) (string, error) {
	key, err := a.Keys.Active(algOf(cl.Policy), cl.ID)
	if err != nil {
		return "", err
	}
	if cl.Policy.Audience != "" {
		c = append(slices.Clip(c), claim("aud", cl.Policy.Audience))
	}
	if cl.Policy.Issuer != "" {
		c = append(slices.Clip(c), claim("iss", cl.Policy.Issuer))
	}
	return token.Sign(key, "JWT", c)
}

// algOf is the algorithm of a client's tokens, and the only one that they are
// verified with.
func algOf(p client.Policy) string {
	if p.AccessToken.Alg != "" {
		return p.AccessToken.Alg
	}
	return jwks.HS256
}

// untyped is any type of token.
const untyped = ""

// read verifies a token in SimpleJWT's order: the signature, times, then what
// must be there. The error is a tokenError.
func (a *API) read(cl client.Client, kind, raw string) (claims, error) {
	t, err := a.Tokens.Verify(cl.ID, []string{algOf(cl.Policy)}, raw)
	if err != nil {
		return nil, tokenError(isInvalid)
	}
	c, err := ordered(t)
	if err != nil || !genuine(c, cl.Policy) || t.Key.ClientID == "" && !ours(t, c) {
		return nil, tokenError(isInvalid)
	}
	expires, there, ok := instant(c, "exp")
	now := float64(a.Now().UnixMicro()) / 1e6
	switch {
	case !ok || !a.begun(c, "iat", now) || !a.begun(c, "nbf", now):
		return nil, tokenError(isInvalid)
	case there && expires <= now:
		return nil, tokenError(isExpired)
	case !there:
		return nil, tokenError(hasNoExpiry)
	}
	if _, has := find(c, "jti"); !has {
		return nil, tokenError(hasNoID)
	}
	if kind == untyped {
		return c, nil
	}
	switch raw, has := find(c, "token_type"); {
	case !has:
		return nil, tokenError(hasNoType)
	case string(raw) != strconv.Quote(kind):
		return nil, tokenError(hasWrongType)
	}
	return c, nil
}

// ordered reads the claims of a verified token.
func ordered(t token.JWT) (c claims, err error) {
	var once map[string]json.RawMessage
	if err := t.Claims(&once); err != nil { // it takes no name twice
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(t.Payload))
	if _, err = d.Token(); err != nil {
		return nil, err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		s, ok := name.(string)
		if !ok {
			return nil, errors.New("tofu: a claim without a name")
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, err
		}
		c = append(c, member{s, v})
	}
	return c, nil
}

// genuine reports whether a token is for us, and what must be text is text.
func genuine(c claims, p client.Policy) bool {
	for _, name := range []string{"jti", "sub"} {
		if raw, has := find(c, name); has && (len(raw) == 0 || raw[0] != '"') {
			return false
		}
	}
	if p.Issuer != "" && textOf(c, "iss") != p.Issuer {
		return false
	}
	return p.Audience == "" || slices.Contains(audience(c), p.Audience)
}

// ours reports whether a token is of this surface's making: a server key signs for
// all of them, and for all clients.
func ours(t token.JWT, c claims) bool {
	kind := textOf(c, "token_type")
	return t.Type == "JWT" && (kind == typeAccess || kind == typeRefresh)
}

func audience(c claims) []string {
	raw, _ := find(c, "aud")
	var list []string
	if json.Unmarshal(raw, &list) != nil {
		list = []string{textOf(c, "aud")}
	}
	return list
}

// lastInstant is the end of the year 9999: later ones have no date in Python.
const lastInstant = 253402300799

// instant reads a NumericDate in whole seconds; ok is false for what is none.
func instant(c claims, name string) (at float64, there, ok bool) {
	raw, there := find(c, name)
	if !there {
		return 0, false, true
	}
	at, err := strconv.ParseFloat(string(raw), 64)
	return float64(int64(at)), true, err == nil && at >= 0 && at <= lastInstant
}

// begun reports whether a time is not there or has come.
func (a *API) begun(c claims, name string, now float64) bool {
	at, there, ok := instant(c, name)
	return ok && (!there || at <= now)
}

// numberOf is the user that a token names; releases before 5.5.1 wrote an integer.
func numberOf(c claims) (number string, ok bool) {
	raw, there := find(c, "user_id")
	if s := textOf(c, "user_id"); s != "" {
		return s, true
	}
	return string(raw), there
}

// client reads the client that the surface is bound to, for its policy.
func (a *API) client(ctx context.Context, s Settings) (client.Client, error) {
	return a.SignIn.ClientBy(ctx, signin.ClientRef{ID: s.Client})
}
