package keymaster

import (
	"net/http"

	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

type redirectResponse struct {
	Redirect string `json:"redirect"`
}

// oauthInviteAccept is POST /oauth/invite-accept (contract §3.3): an invitation
// for somebody whom an upstream vouched for. Where it leads is for the caller to
// follow: the application with tokens, or the login page for what is owed.
func (a *API) oauthInviteAccept(w http.ResponseWriter, r *http.Request) {
	b, err := wire.ReadBody(w, r, wire.MaxBody)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	in := signin.UpstreamInviteIn{
		Pending:     b.String("oauth_token", wire.Required, wire.Max(maxOpaque)),
		ClientID:    appID(b, wire.Required),
		Code:        b.String("invite_code", wire.Required, wire.Max(maxOpaque)),
		DisplayName: displayName(b),
		Terms:       terms, Visitor: visitor(r),
	}
	if err := b.Err(); err != nil {
		a.fail(w, r, err)
		return
	}
	in.Failures = InviteFailures(wire.OriginOf(r.Context()), string(in.ClientID))
	got, err := a.SignIn.AcceptUpstreamInvite(r.Context(), in)
	if err == nil && got.Outcome.Setup != nil {
		setSSO(w, r, got.Outcome.Setup.Session)
		failSetup(w)
		return
	}
	to := ""
	if err == nil {
		to, err = a.destination(r, got.Outcome, errandOf(got))
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	if in := got.Outcome.SignedIn; in != nil {
		setSSO(w, r, in.Session)
	}
	noStore(w)
	wire.WriteJSON(w, http.StatusOK, redirectResponse{to})
}
