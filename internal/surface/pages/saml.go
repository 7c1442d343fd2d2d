package pages

import (
	"net/http"
	"net/url"

	"sallyport/internal/client"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/signin"
	"sallyport/internal/upstream"
	"sallyport/internal/wire"
)

// maxResponse bounds a SAML message in a form: it may hold every group that somebody
// is in, encrypted, and encoded twice.
const maxResponse = 1 << 20

// samlResponse is what a SAML provider's page posts. Where nobody was sent there, the
// relay state names the application that the person wants, as the provider's
// administrator has entered it.
func (p *Pages) samlResponse(w http.ResponseWriter, r *http.Request) {
	in, err := wire.ReadForm(w, r, maxResponse)
	if err != nil {
		p.message(w, r, statusOfBody(err), failed, "The answer of your provider could not be read.")
		return
	}
	relay, answer := in.String("RelayState", wire.Max(maxOpaque)), upstream.Answer{SAML: in.String("SAMLResponse", wire.Max(maxResponse))}
	app, unasked := identity.ParseID(relay)
	if !unasked {
		p.finishSSO(w, r, signin.SSOReturn{State: relay, Answer: answer})
		return
	}
	got, err := p.SignIn.UnsolicitedSSO(r.Context(), signin.SSOUnsolicited{
		ClientID: client.ID(app), Base: wire.MountOf(r.Context()).Base, Answer: answer, Visitor: visitor(r),
	})
	p.Signed(w, r, got, err)
}

// samlMetadata is what a SAML provider reads of us.
func (p *Pages) samlMetadata(w http.ResponseWriter, r *http.Request) {
	doc, err := p.SignIn.ServiceMetadata(r.Context(), org.ID(r.PathValue("org")), wire.MountOf(r.Context()).Base)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Disposition", `attachment; filename="sallyport-metadata.xml"`)
	wire.Write(w, http.StatusOK, "application/samlmetadata+xml", doc)
}

// samlLogout is what a SAML provider sends a browser to when somebody signed out, there
// or here.
func (p *Pages) samlLogout(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead || wire.Prefetch(r) {
		p.message(w, r, http.StatusServiceUnavailable, signedOut, "Not available for prefetch.")
		return
	}
	p.leaveSSO(w, r, signin.SSOLogout{Query: r.URL.RawQuery})
}

// samlLogoutPosted is the same where the provider's page posts.
func (p *Pages) samlLogoutPosted(w http.ResponseWriter, r *http.Request) {
	in, err := wire.ReadForm(w, r, maxResponse)
	if err != nil {
		p.message(w, r, statusOfBody(err), failed, "The message of your provider could not be read.")
		return
	}
	form := url.Values{}
	for _, name := range []string{"SAMLRequest", "SAMLResponse", "RelayState"} {
		if in.Has(name) {
			form.Set(name, in.String(name, wire.Max(maxResponse)))
		}
	}
	p.leaveSSO(w, r, signin.SSOLogout{Form: form})
}

// signedOut is the heading of the page that says so.
const signedOut = "Signed out"

// leaveSSO ends what the provider says has ended, and goes where it wants to be answered,
// or where the sign-out was begun for.
func (p *Pages) leaveSSO(w http.ResponseWriter, r *http.Request, in signin.SSOLogout) {
	in.Org, in.Base, in.Cookie, in.Visitor = org.ID(r.PathValue("org")), wire.MountOf(r.Context()).Base, wire.Cookie(r, p.Flow.Cookie), visitor(r)
	left, err := p.SignIn.LogoutSSO(r.Context(), in)
	if left.Ended {
		wire.ClearCookie(w, r, p.Flow.Cookie)
	}
	switch {
	case err != nil:
		p.note(r, string(in.Org), err)
		p.fail(w, r, err)
	case left.Location == "" && left.Form == nil:
		p.message(w, r, http.StatusOK, signedOut, goodbye)
	default:
		if err := away(w, left.Location, left.Form); err != nil {
			p.crash(w, r, err)
		}
	}
}

// goodbye is what somebody reads who has nowhere to go back to.
const goodbye = "You are signed out of this browser. Applications that you opened before may keep you signed in for a while."

// farewell is where a browser goes that signs out of a session which a SAML provider
// began, so that it ends there, too; to is where it goes then. It is asked before the
// session ends here, and used after. A provider that cannot be asked keeps nobody here.
func (p *Pages) farewell(r *http.Request, to string) signin.SSOLeft {
	for _, cookie := range p.sessionCookies(r) {
		left, err := p.SignIn.GoodbyeSSO(r.Context(), signin.SSOGoodbye{Cookie: cookie, Base: wire.MountOf(r.Context()).Base, Back: to})
		if err != nil {
			p.Log.InfoContext(r.Context(), "no goodbye to a provider", "request_id", wire.OriginOf(r.Context()).RequestID, "err", err)
		} else if left.Location != "" || left.Form != nil {
			return left
		}
	}
	return signin.SSOLeft{}
}
