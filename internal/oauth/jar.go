package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/jwks"
	"sallyport/internal/outbound"
	"sallyport/internal/token"
)

// objectLeeway is given both ways to the times of a request object.
const objectLeeway = 30 * time.Second

// maxObjectLife is the longest a request object of a fapi2 client may be good,
// and how long ago it may have begun to be (FAPI 2.0 Message Signing §5.3.1).
const maxObjectLife = time.Hour

// object is a request object that was verified: the parameters in it, which are
// all there are (RFC 9101 §6.3), and what makes it single.
type object struct {
	params  Params
	id      string // "" if it may come again
	expires time.Time
}

// requestObject finds the request object of p, by value or by reference. ok is
// false if there is none.
func (c *Core) requestObject(ctx context.Context, cl client.Client, p Params, issuer string) (o object, ok bool, err error) {
	value, ref := p.Get("request"), p.Get("request_uri")
	switch {
	case value != "" && ref != "":
		return o, false, refuse(InvalidRequest, "request and request_uri stand side by side")
	case len(p["request"]) > 1 || len(p["request_uri"]) > 1:
		return o, false, refuse(InvalidRequest, "request or request_uri is given more than once")
	case value == "" && ref == "":
		if cl.Policy.OAuth.RequireSignedRequest {
			return o, false, refuse(InvalidRequest, "the client must sign its authorization requests")
		}
		return o, false, nil
	case ref != "":
		if value, err = c.fetchObject(ctx, cl, ref); err != nil {
			return o, false, err
		}
	}
	o, err = c.openObject(ctx, cl, value, issuer)
	return o, err == nil, err
}

// fetchObject reads a request object from an address that the client registered
// (RFC 9101 §5.2; OpenID Connect Registration §2: a fragment is a hash of the
// content and no part of the address). Documents takes https alone.
func (c *Core) fetchObject(ctx context.Context, cl client.Client, ref string) (string, error) {
	bare, _, _ := strings.Cut(ref, "#")
	registered := slices.ContainsFunc(cl.Policy.OAuth.RequestURIs, func(u string) bool {
		u, _, _ = strings.Cut(u, "#")
		return u == bare
	})
	if !registered {
		return "", &Error{Code: InvalidRequestURI, Description: "request_uri is not registered for this client", Detail: "request_uri " + short(ref)}
	}
	body, err := c.Documents.Get(ctx, bare, outbound.Fetch{
		MaxBytes: token.MaxJWT, Accept: "application/oauth-authz-req+jwt, application/jwt, */*;q=0.5", Fresh: strings.Contains(ref, "#"),
	})
	if err != nil {
		return "", &Error{Code: InvalidRequestURI, Description: "request_uri could not be read", Err: err}
	}
	return strings.TrimSpace(string(body)), nil
}

// badObject is why a request object is refused: words for the client, and an
// error for the log.
type badObject struct {
	why string
	err error
}

// openObject verifies a request object with the client's keys and returns the
// parameters in it. alg none never passes, and neither do other kinds of JWT of
// the same client, such as its assertions (RFC 9101 §10.8, RFC 8725 §3.11).
func (c *Core) openObject(ctx context.Context, cl client.Client, raw, issuer string) (object, error) {
	o, bad := c.readObject(ctx, cl, raw, issuer)
	if bad != nil {
		return object{}, &Error{Code: InvalidRequestObject, Description: "the request object " + bad.why, Err: bad.err}
	}
	return o, nil
}

func (c *Core) readObject(ctx context.Context, cl client.Client, raw, issuer string) (o object, bad *badObject) {
	t, err := c.verifySigned(ctx, cl, objectAlgs(cl), raw)
	if err != nil {
		return o, &badObject{"is not signed by a key of the client", err}
	}
	if t.Type != "" && t.Type != "JWT" && !strings.EqualFold(strings.TrimPrefix(t.Type, "application/"), "oauth-authz-req+jwt") {
		return o, &badObject{"has a typ of another kind of token", fmt.Errorf("typ %q", t.Type)}
	}
	var all map[string]json.RawMessage
	if err := t.Claims(&all); err != nil {
		return o, &badObject{"is not an object of claims", err}
	}
	if all["request"] != nil || all["request_uri"] != nil {
		return o, &badObject{"holds another request", nil}
	}
	var says objectClaims
	if err := t.Claims(&says); err != nil {
		return o, &badObject{"has a claim of the wrong type", err}
	}
	if bad := says.parties(cl, issuer); bad != nil {
		return o, bad
	}
	if o.expires, bad = c.objectTimes(cl, t, says); bad != nil {
		return o, bad
	}
	if says.ID != "" {
		o.id = "request object " + string(cl.ID) + " " + says.ID
	}
	if o.params, err = memberParams(all); err != nil {
		return o, &badObject{err.Error(), nil}
	}
	if id := o.params.Get("client_id"); !sameID(id, cl.ID) {
		return o, &badObject{"has another client_id", fmt.Errorf("client_id %q", short(id))}
	}
	return o, nil
}

// objectClaims are those of a request object that are no parameters.
type objectClaims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  audience `json:"aud"`
	ID        string   `json:"jti"`
	Expires   *float64 `json:"exp"`
	NotBefore *float64 `json:"nbf"`
}

// parties checks who made the object, and for whom. Both may be left out but by
// a fapi2 client.
func (o objectClaims) parties(cl client.Client, issuer string) *badObject {
	switch {
	case o.Issuer != "" && !sameID(o.Issuer, cl.ID), o.Issuer == "" && cl.Policy.FAPI():
		return &badObject{"has an iss that is not the client", fmt.Errorf("iss %q", short(o.Issuer))}
	case sameID(o.Subject, cl.ID):
		return &badObject{"has the client for its sub, as an assertion does", nil}
	case len(o.Audience.names) > 0 && !slices.Contains(o.Audience.names, issuer), len(o.Audience.names) == 0 && cl.Policy.FAPI():
		return &badObject{"has an aud that is not this issuer", fmt.Errorf("aud %q", o.Audience.names)}
	}
	return nil
}

// objectTimes checks the times that an object has, and tells when it ends. One
// that comes once is remembered until then, so that is not too far off.
func (c *Core) objectTimes(cl client.Client, t token.JWT, o objectClaims) (time.Time, *badObject) {
	ends := c.Now().Add(maxObjectLife)
	switch {
	case o.Expires != nil || cl.Policy.FAPI():
		if err := t.CheckTimes(c.Now(), objectLeeway); err != nil {
			return ends, &badObject{"is not good now", c.skew(err, o.NotBefore, o.Expires)}
		}
		ends = instant(*o.Expires).Add(objectLeeway)
	case o.NotBefore != nil && instant(*o.NotBefore).After(c.Now().Add(objectLeeway)):
		return ends, &badObject{"is not good now", c.skew(token.ErrEarly, o.NotBefore, nil)}
	}
	if cl.Policy.FAPI() && (o.NotBefore == nil || c.Now().Sub(instant(*o.NotBefore)) > maxObjectLife || *o.Expires-*o.NotBefore > maxObjectLife.Seconds()) {
		return ends, &badObject{"is good for more than an hour", nil}
	}
	if o.ID != "" && ends.Sub(c.Now()) > 24*time.Hour {
		return ends, &badObject{"comes once, and is good for more than a day", nil}
	}
	return ends, nil
}

// objectAlgs are the algorithms that a client's request objects may have.
func objectAlgs(cl client.Client) []string {
	all := token.ClientAlgs
	if cl.Policy.FAPI() {
		all = []string{token.PS256, jwks.ES256, jwks.EdDSA} // FAPI 2.0 §5.4.1
	}
	if one := cl.Policy.OAuth.RequestObjectAlg; one != "" {
		return slices.DeleteFunc(slices.Clone(all), func(alg string) bool { return alg != one })
	}
	return all
}

// memberParams are the members of a request object as parameters: texts as they
// are, numbers and objects by their JSON, and resource as a list of texts too.
func memberParams(all map[string]json.RawMessage) (Params, error) {
	p := Params{}
	for name, raw := range all {
		switch name {
		case "iss", "sub", "aud", "exp", "nbf", "iat", "jti":
			continue
		}
		var one audience
		switch {
		case raw[0] == '"' || raw[0] == '[' && name == "resource":
			if err := json.Unmarshal(raw, &one); err != nil {
				return nil, errors.New("has a member that is not text: " + named(name))
			}
			p[name] = one.names
		case raw[0] == '[':
			return nil, errors.New("has a member that is a list: " + named(name))
		case string(raw) != "null":
			p[name] = []string{string(raw)}
		}
	}
	return p, nil
}

// skew tells the operator by how many seconds a time was missed.
func (c *Core) skew(err error, notBefore, expires *float64) error {
	now := float64(c.Now().Unix())
	switch {
	case errors.Is(err, token.ErrExpired) && expires != nil:
		return fmt.Errorf("%w %.0f seconds ago", err, now-*expires)
	case errors.Is(err, token.ErrEarly) && notBefore != nil:
		return fmt.Errorf("%w for %.0f seconds", err, *notBefore-now)
	}
	return err
}

// instant is a NumericDate (RFC 7519 §2), within what a time can hold.
func instant(seconds float64) time.Time {
	const most = 1 << 40
	return time.Unix(int64(min(max(seconds, 0), most)), 0).UTC()
}
