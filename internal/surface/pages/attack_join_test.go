package pages_test

import (
	"net/http"
	"net/url"
	"testing"
)

// A sign-in of the attacker's that waits for an invitation does not take the
// victim's code, nor sign the victim's browser in as the attacker.
func TestPendingSignInOfAnotherBrowser(t *testing.T) {
	w, h := browsed(t)
	mallory, victim := w.rider(t, h), w.rider(t, h)
	to := mallory.get(mallory.choose("google", mallory.start("google", "club"), "nia").String()).Header().Get("Location")
	form := url.Values{"app_id": {w.vars["club"]}, "oauth_token": {mustQuery(t, to).Get("oauth_token")}, "code": {w.invited("", "club")}}
	victim.start("google", "club") // they have a binding cookie of their own, too
	victim.get(to)
	if got := victim.post("/login/invite", form); got.Code != http.StatusBadRequest || victim.signedIn() {
		t.Errorf("in the victim's browser: %d %s", got.Code, got.Body)
	}
	mallory.get(to)
	if got := mallory.post("/login/invite", form); got.Code != http.StatusFound || !mallory.signedIn() {
		t.Errorf("in the browser that it is of: %d %s", got.Code, got.Body)
	}
}
