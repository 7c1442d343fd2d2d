package accountmaker

import (
	"errors"
	"net/http"
	"slices"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/oauth"
	"sallyport/internal/token"
)

// granted is who shows an access token of the provider's, which is what an
// application has after a code (contract §3.2, §7). It opens what one of /auth/*
// opens, where the application is the operator's own and nobody is asked for
// consent, if it was asked for with openid, or without any scope: a token of a
// narrower one is for something else. So is one that was exchanged.
func (a *API) granted(r *http.Request, raw string) (*caller, error) {
	refused := func(err error) error { return &fault.Error{Code: fault.Unauthenticated, Err: err} }
	if a.Granted == nil {
		return nil, refused(token.ErrMalformed)
	}
	l, t, err := a.Granted(r, raw)
	if _, bad := errors.AsType[*oauth.Error](err); bad {
		return nil, refused(err)
	} else if err != nil {
		return nil, err
	}
	narrow := len(t.Scope) > 0 && !slices.Contains(t.Scope, oauth.ScopeOpenID)
	if narrow || t.ClientID != l.Client.ID || len(t.Actor) > 0 || l.Client.Source != client.Operator || l.Client.AsksConsent() {
		return nil, refused(token.ErrMalformed)
	}
	who := caller{user: l.User.ID, client: l.Client.ID}
	s, err := a.Self.ChosenAccount(r.Context(), (&call{who: &who}).person(r))
	who.account, who.role = s.OrgID, roleOf(s.Role)
	return &who, err
}
