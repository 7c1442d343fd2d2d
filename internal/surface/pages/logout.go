package pages

import (
	"errors"
	"net/http"

	"sallyport/internal/oauth"
	"sallyport/internal/wire"
)

// pageLogout asks whether to sign out.
const pageLogout = "logout"

// logoutData fills the page that asks whether to sign out. Asking is the name
// of the application that wants it, "" if the person came by themselves.
type logoutData struct{ Request, Email, Asking string }

// logout is GET /logout: it asks, and changes nothing. Any site can send a
// browser here, and none can press the button.
func (p *Pages) logout(w http.ResponseWriter, r *http.Request) {
	handle := wire.Query(r).String("request")
	out, ok := p.leaving(w, r, handle)
	switch {
	case !ok:
	case out.User.ID == "":
		p.left(w, r, out)
	default:
		p.show(w, r, http.StatusOK, pageLogout, view{
			Title: "Do you want to sign out?", client: out.Client, bind: []string{wire.Cookie(r, p.Flow.Cookie), handle},
			Data: logoutData{Request: handle, Email: out.User.Called(), Asking: out.Client.Name},
		})
	}
}

// postLogout does what the button says.
func (p *Pages) postLogout(w http.ResponseWriter, r *http.Request, in *wire.Params) {
	out, ok := p.leaving(w, r, in.String("request"))
	if !ok {
		return
	}
	if in.String("do") != "sign-out" {
		if to := out.Destination(); to != "" {
			redirect(w, to)
			return
		}
		p.message(w, r, http.StatusOK, "You stay signed in", "Nothing was changed. You can close this page.")
		return
	}
	there := p.farewell(r, out.Destination())
	if err := p.OAuth.Leave(r.Context(), out.Client, p.sessionCookies(r), leaver(r)); err != nil {
		p.fail(w, r, err)
		return
	}
	wire.ClearCookie(w, r, p.Flow.Cookie)
	if there.Location == "" && there.Form == nil {
		p.left(w, r, out)
	} else if err := away(w, there.Location, there.Form); err != nil {
		p.crash(w, r, err)
	}
}

// leaving reads the request to sign out; false if it answered with a refusal.
func (p *Pages) leaving(w http.ResponseWriter, r *http.Request, handle string) (oauth.Logout, bool) {
	out, err := p.OAuth.Leaving(r.Context(), handle, p.sessionCookies(r))
	if e, ok := errors.AsType[*oauth.Error](err); ok {
		p.message(w, r, http.StatusBadRequest, "Sign out", "The application made a mistake: "+e.Description+".")
		return out, false
	}
	if err != nil {
		p.fail(w, r, err)
		return out, false
	}
	return out, true
}

// left is where a browser goes that is signed out.
func (p *Pages) left(w http.ResponseWriter, r *http.Request, out oauth.Logout) {
	if to := out.Destination(); to != "" {
		redirect(w, to)
		return
	}
	p.message(w, r, http.StatusOK, signedOut, goodbye)
}

// sessionCookies are the values of the session cookie: there may be several, of
// paths that hold one another.
func (p *Pages) sessionCookies(r *http.Request) (all []string) {
	for _, c := range r.CookiesNamed(p.Flow.Cookie) {
		if c.Value != "" {
			all = append(all, c.Value)
		}
	}
	return all
}

// leaver is who asks, as the core for applications wants it.
func leaver(r *http.Request) oauth.Visitor {
	v := visitor(r)
	return oauth.Visitor{IP: v.IP, UserAgent: v.UserAgent, RequestID: v.RequestID, Base: v.Base}
}
