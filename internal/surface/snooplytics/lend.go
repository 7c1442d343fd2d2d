package snooplytics

import (
	"net/http"

	"sallyport/internal/fault"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// Lend returns the session by which the provider below /api/auth knows a browser: that
// of its pages, whose cookie has a name, if it opens anything. Somebody who is signed in
// here alone is known by that, and the pages get it too: they ask for consent, and not
// for a password that was just given (contract §13).
func (a *API) Lend(w http.ResponseWriter, r *http.Request, name string) (string, error) {
	set := a.Settings()
	c := &call{set: set, client: set.Client}
	theirs, ours := wire.Cookie(r, name), c.cookie(r, sessionCookie)
	if ours == "" || ours == theirs {
		return theirs, nil
	}
	if theirs != "" {
		o := wire.OriginOf(r.Context())
		if _, err := a.Self.Browser(r.Context(), theirs, o.IP, o.RequestID); !fault.Is(err, fault.Unauthenticated) {
			return theirs, err
		}
	}
	who, err := a.byCookie(w, r, c, ours)
	switch {
	case fault.Is(err, fault.Unauthenticated), fault.Is(err, fault.EnrolmentSuspended):
		return theirs, nil
	case err != nil:
		return "", err
	case who.Session.Partial: // owes a factor, which is ours to ask for
		return theirs, nil
	}
	life := min(signin.SessionLifetime, who.Session.ExpiresAt.Sub(a.Now()))
	if c.cookie(r, forgetCookie) != "" {
		life = 0
	}
	wire.SetCookie(w, r, name, ours, life)
	return ours, nil
}
