package oauth

import (
	"context"
	"errors"
	"strings"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/onetime"
)

// PushedPrefix is what the request_uri of a pushed request begins with (RFC 9126 §2.2).
const PushedPrefix = "urn:ietf:params:oauth:request_uri:"

// AuthorizeIn is a request at the authorization endpoint. Cookie is the session
// cookie. Park keeps the request for Continue in any case: a form that another
// site posted brings no cookie along, and the browser is to come again by itself.
type AuthorizeIn struct {
	Params  Params
	Cookie  string
	Park    bool
	Visitor Visitor
}

// Decision is what comes next of an authorization request: exactly one field
// is set. Consent, Continue and Device are handles, of the consent page, of
// Continue, and of the page where a device is let in.
type Decision struct {
	Reply    *Reply
	Login    *Login
	Consent  string
	Continue string
	Device   string
}

// Reply goes back to the client by the browser: a code or a refusal, with state
// and iss (RFC 9207). Refused is what the operator's log is told.
type Reply struct {
	Client      client.Client
	Issuer      string
	RedirectURI string
	Mode        string
	Params      [][2]string
	Refused     *Error
}

// Login sends the person to sign in, or, if Create, to sign up. Hint is the
// address that the client thinks is theirs.
type Login struct {
	Handle string
	Hint   string
	Create bool
}

// Authorize judges an authorization request (RFC 6749 §4.1.1). With a person
// who is signed in and agreed already it costs one read and one write. Its
// error is an *Error that must not be redirected, since nobody knows where to,
// or what the database failed with.
func (c *Core) Authorize(ctx context.Context, in AuthorizeIn) (Decision, error) {
	if len(in.Params["client_id"]) > 1 {
		return Decision{}, refuse(InvalidRequest, "client_id is given more than once")
	}
	id := in.Params.Get("client_id")
	if id == "" {
		return Decision{}, refuse(InvalidRequest, "client_id is missing")
	}
	s, err := c.see(ctx, id, in.Cookie, in.Visitor)
	if err != nil {
		return Decision{}, err
	}
	if raw, ok := strings.CutPrefix(in.Params.Get("request_uri"), PushedPrefix); ok {
		return c.authorizePushed(ctx, raw, s, in)
	}
	r, refused, err := c.parse(ctx, s.client, in.Params, in.Visitor.Base, false)
	switch {
	case err != nil:
		return Decision{}, err
	case refused != nil && !s.mayBeSentOff():
		return Decision{}, refused
	case refused != nil:
		return Decision{Reply: reply(r, s.client, refused)}, nil
	}
	return c.advance(ctx, r, handle{}, s, in.Cookie, in.Park, in.Visitor)
}

// mayBeSentOff reports whether a browser may be sent to the client with a
// refusal though nobody did anything. A client that nobody knows could make us
// send people wherever it likes, by requests that are wrong on purpose, with our
// name in the link (RFC 9700 §4.11.2): whoever is not signed in stays here.
func (s sight) mayBeSentOff() bool {
	return s.client.Source == client.Operator || s.session.ID != "" && !s.session.Partial
}

// see reads what a request is judged by. A client that is named by its metadata
// document is read anew first, when that is due.
func (c *Core) see(ctx context.Context, id, cookie string, who Visitor) (s sight, err error) {
	if canonical, ok := identity.ParseID(id); ok {
		id = canonical
	} else {
		cl, err := c.ClientByID(ctx, id, who)
		if err != nil {
			return s, err
		}
		id = string(cl.ID)
	}
	err = c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		s, err = sightOf(ctx, tx, client.ID(id), cookie, c.Now())
		return err
	})
	return s, known(s, err)
}

// known refuses a client that is not there, or not now.
func known(s sight, err error) error {
	switch {
	case errors.Is(err, db.ErrNotFound):
		return refuse(InvalidRequest, "client_id is not that of an application known here")
	case err == nil && !s.client.Active:
		return refuse(InvalidRequest, "the application is switched off")
	}
	return err
}

// parse reads the parameters of a request. refused may go back to the client by
// what r holds by then; err may not.
func (c *Core) parse(ctx context.Context, cl client.Client, p Params, issuer string, pushed bool) (r Request, refused *Error, err error) {
	o, signed, err := c.requestObject(ctx, cl, p, issuer)
	if err != nil {
		// What is outside may say where the refusal goes, if it is valid itself.
		var e *Error
		outside, bad := c.begin(cl, p, issuer)
		if !errors.As(err, &e) || bad != nil || !p.Has("redirect_uri") {
			return r, nil, err
		}
		return outside, e, nil
	}
	if signed {
		p = o.params
	}
	r, refused = c.begin(cl, p, issuer)
	if refused != nil {
		return r, nil, refused
	}
	r.Pushed, r.Object = pushed, o.id
	if o.id != "" {
		r.ObjectExpires = o.expires
	}
	return r, c.fill(&r, cl, p), nil
}

// Continue takes up a request that waited for a person: after the sign-in, or
// for a browser that comes again.
func (c *Core) Continue(ctx context.Context, raw, cookie string, v Visitor) (Decision, error) {
	r, h, s, err := c.waiting(ctx, raw, cookie, onetime.Authorization)
	if err != nil {
		return Decision{}, err
	}
	return c.advance(ctx, r, h, s, cookie, false, v)
}

// authorizePushed takes up a pushed request (RFC 9126 §4): its own parameters
// count, whatever stands beside it. A page that is loaded again finds it, until
// a code was made of it.
func (c *Core) authorizePushed(ctx context.Context, raw string, s sight, in AuthorizeIn) (Decision, error) {
	if len(in.Params["request_uri"]) > 1 {
		return Decision{}, refuse(InvalidRequest, "request_uri is given more than once")
	}
	r, h, again, err := c.waiting(ctx, raw, in.Cookie, onetime.PushedRequest, onetime.Authorization)
	switch e := (*Error)(nil); {
	case errors.As(err, &e):
		return Decision{}, &Error{Code: InvalidRequestURI, Description: "request_uri is unknown, has expired, or was used already", Err: err}
	case err != nil:
		return Decision{}, err
	case again.client.ID != s.client.ID:
		return Decision{}, &Error{Code: InvalidRequestURI, Description: "request_uri was pushed by another client", Detail: "by " + string(again.client.ID)}
	case !r.Pushed:
		return Decision{}, &Error{Code: InvalidRequestURI, Description: "request_uri is unknown, has expired, or was used already", Detail: "it was never pushed"}
	}
	if h.purpose == onetime.PushedRequest {
		r.CreatedAt = c.Now() // whoever must sign in again does so from now on
	}
	return c.advance(ctx, r, h, again, in.Cookie, in.Park, in.Visitor)
}

// advance takes a request one step further. What it decides by reading it
// decides again in the transaction that acts: the session may have ended in
// between, and of two callers with one handle one gets the code.
func (c *Core) advance(ctx context.Context, r Request, h handle, s sight, cookie string, park bool, who Visitor) (Decision, error) {
	if r.UserCode != "" {
		return Decision{Device: h.raw}, nil
	}
	if park {
		raw, err := c.wait(ctx, r, h, "", who)
		return Decision{Continue: raw}, err
	}
	v := c.judge(r, s, false)
	switch v.step {
	case giveError:
		return Decision{Reply: reply(r, s.client, v.refused)}, nil
	case askLogin:
		raw, err := c.wait(ctx, r, h, "", who)
		return Decision{Login: &Login{Handle: raw, Hint: r.LoginHint, Create: r.Asks(promptCreate)}}, err
	case askConsent:
		raw, err := c.wait(ctx, r, h, s.session.UserID, who)
		return Decision{Consent: raw}, err
	}
	return c.finish(ctx, r, h, cookie, nil, who)
}

// reply is what goes back to the client: a refusal, or, without one, a code. iss
// tells the client who answers, so that it takes the code to no other server
// (RFC 9207).
func reply(r Request, cl client.Client, refused *Error, code ...string) *Reply {
	out := &Reply{Client: cl, Issuer: r.Issuer, RedirectURI: r.RedirectURI, Mode: r.ResponseMode, Refused: refused}
	add := func(name, value string) {
		if value != "" {
			out.Params = append(out.Params, [2]string{name, value})
		}
	}
	if refused != nil {
		add("error", refused.Code)
		add("error_description", refused.Description)
	}
	for _, one := range code {
		add("code", one)
	}
	add("state", r.State)
	add("iss", r.Issuer)
	return out
}
