package pages

import (
	"net/http"

	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/oauth"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// The pages of an authorization request. The provider sends a browser here when
// it needs a person, and is gone back to when it has one: it alone decides
// whether that was enough.
//
//	/oauth2/authorize ──▶ /login?request= ──▶ /oauth2/continue?request= ──▶ the client
//	                      (any way in)                │        ▲
//	                                                  ▼        │
//	                                         /consent?request= ┘

// expected is who the request expects to sign in, for the form, and why it asks
// somebody who is signed in already.
func expected(at oauth.PendingRequest) (email, notice string) {
	if at.User.ID != "" {
		return at.User.Email, "You are signed in as " + at.User.Called() + ". Please sign in once more to go on."
	}
	// Whatever the application says: only an address is filled in.
	email, err := identity.NormalizeEmail(at.Request.LoginHint)
	if err != nil {
		return "", ""
	}
	return email, ""
}

// destination is where the browser goes with an outcome: what the flow says, or
// back to the request.
func (p *Pages) destination(r *http.Request, t target, page place, out signin.Outcome) (string, error) {
	problem := ""
	switch {
	case t.Request == "":
		return p.Flow.Destination(r, out, page.Client, page.RedirectURI)
	case out.SignedIn != nil:
		return p.next(r, t, page), nil
	case out.Setup != nil:
		problem = problemOf(fault.FactorSetupRequired)
	case out.Pending:
		problem = problemOf(fault.EnrolmentPending)
	}
	return wire.WithQuery(wire.MountOf(r.Context()).Path+"/login", "request", t.Request, "error", problem), nil
}

// next is where a request goes on.
func (p *Pages) next(r *http.Request, t target, at place) string {
	return at.Pending.Next(t.Request, wire.MountOf(r.Context()).Path)
}

// problemOf is the error parameter that says a fault.
func problemOf(code fault.Code) string {
	for problem, c := range problemFaults {
		if c == code {
			return problem
		}
	}
	return ""
}
