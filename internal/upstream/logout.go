package upstream

import (
	"context"
	"net/url"

	"sallyport/internal/saml"
)

// Goodbye is how a session at the upstream is ended. Session and IDToken are of
// the profile that it began with; ReturnTo is an address that the provider has
// registered, or "".
type Goodbye struct {
	Session  string
	IDToken  string
	ReturnTo string
	State    string
	Party    saml.Party // who we are to a SAML upstream
}

// LogoutURL is where to send a browser so that the upstream does not sign the
// person in again unasked; "" where it has no such place. It is asked for at
// sign-out, which goes on whatever this says.
func (b *Broker) LogoutURL(ctx context.Context, u Upstream, g Goodbye) (string, error) {
	if u.Kind == WorkOS {
		if g.Session == "" || u.Settings.Mode == ModeSSO {
			return "", nil
		}
		q := url.Values{"session_id": {g.Session}}
		if g.ReturnTo != "" {
			q.Set("return_to", g.ReturnTo)
		}
		return withQuery(u.workOSBase()+"/user_management/sessions/logout", q), nil
	}
	if u.Kind == SAML {
		out, err := b.Goodbye(u, g)
		return out.Location, err
	}
	if !u.kind().openID {
		return "", nil
	}
	ctx, stop := context.WithTimeout(ctx, b.timeout)
	defer stop()
	m, err := b.metadata(ctx, u)
	if err != nil || m.EndSession == "" {
		return "", err
	}
	// OpenID Connect RP-Initiated Logout §2.
	q := url.Values{"client_id": {u.Settings.ClientID}}
	for name, value := range map[string]string{"id_token_hint": g.IDToken, "post_logout_redirect_uri": g.ReturnTo, "state": g.State} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return withQuery(m.EndSession, q), nil
}
