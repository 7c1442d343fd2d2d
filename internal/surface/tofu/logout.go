package tofu

import (
	"net/http"

	"sallyport/internal/signin"
)

// goodbye is the answer of the sign-out (contract §8.4).
type goodbye struct {
	Message   string  `json:"message"`
	WorkOSURL *string `json:"workos_logout_url"`
	To        string  `json:"redirect_to"`
}

// logout is POST /api/core/auth/logout/ (contract §8.4). The body is not read.
// The access token stays good until it expires; whether the refresh token does is
// a setting. Whatever is wrong with WorkOS, the sign-out works.
func (a *API) logout(w http.ResponseWriter, r *http.Request, q request) error {
	at, err := a.SignIn.Release(r.Context(), signin.ReleaseIn{
		Held: *q.holder, Close: q.settings.LogoutRevokesRefresh,
		Upstream: q.settings.WorkOS, ReturnTo: q.settings.ReturnTo, Visitor: visitor(r),
	})
	if err != nil {
		return err
	}
	out := goodbye{Message: "Successfully logged out", To: "/login"}
	if at.ByUpstream {
		out.To = "/signin"
	}
	if at.URL != "" {
		out.WorkOSURL = &at.URL
	}
	if q.settings.ProxyMode {
		setCookie(w, r, "", 0)
	}
	write(w, r, http.StatusOK, out)
	return nil
}
