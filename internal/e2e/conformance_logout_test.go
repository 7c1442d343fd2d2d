package e2e

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"

	"sallyport/internal/client"
	"sallyport/internal/rig"
)

// What the RP-Initiated Logout and Back-Channel Logout OP plans ask for.

// bye is where the applications of these tests want people who signed out.
const bye = "https://app.example.com/bye"

// leaver is a client that signs people out, and is told when they are.
func (o *op) leaver(t *testing.T) *party {
	t.Helper()
	return o.party(t, func(c *client.Client) {
		c.Policy.PostLogoutRedirectURIs = []string{bye}
		c.Policy.BackchannelLogoutURI = o.web.URL + "/told"
		c.Policy.OAuth.BackchannelNeedsSID = true
	})
}

// end sends a browser to the end session endpoint, and its person on.
func (v *visitor) end(agree bool, pairs ...string) trip {
	v.t.Helper()
	return v.walk(v.get("/oauth2/end-session?"+with(url.Values{}, pairs...).Encode()), account{}, agree)
}

// isSignedIn demands that the browser is, or is not.
func (p *party) isSignedIn(v *visitor, want bool) {
	p.t.Helper()
	tr := p.authorize(v, account{}, p.ask("prompt", "none"))
	if want {
		p.code(tr)
		return
	}
	tr.refused(p.t, "login_required")
}

func TestLogoutGoesBackToTheClient(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		for _, state := range []string{"a state & more", ""} {
			p, who, v := o.leaver(t), o.person(), o.visitor(t)
			tk := p.signIn(v, who)
			tr := v.end(true, "id_token_hint", tk.ID, "post_logout_redirect_uri", bye, "state", state)
			tr.saw(t)
			if tr.to != bye || tr.reply.Get("state") != state || tr.reply.Has("state") != (state != "") || len(tr.reply) > 1 {
				t.Errorf("got %s with %v, want %s with state %q alone", tr.to, tr.reply, bye, state)
			}
			p.isSignedIn(v, false)
		}
	})
}

func TestLogoutByPost(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p, v := o.leaver(t), o.visitor(t)
		tk := p.signIn(v, o.person())
		o.Advance(2 * time.Hour) // an expired hint is one, too
		tr := v.walk(v.submit("/oauth2/end-session", url.Values{"id_token_hint": {tk.ID}, "post_logout_redirect_uri": {bye}, "client_id": {string(p.client.ID)}}), account{}, true)
		if tr.saw(t); tr.to != bye {
			t.Errorf("got %s %v", tr.to, tr.last.status)
		}
		p.isSignedIn(v, false)
	})
}

func TestLogoutWithoutADestinationSaysSo(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		for name, tc := range map[string]struct {
			hint  bool
			pairs []string
			pages []string
		}{
			"no parameters":               {pages: []string{"logout"}},
			"state alone":                 {pairs: []string{"state", "s"}, pages: []string{"logout"}},
			"no post_logout_redirect_uri": {hint: true, pairs: []string{"state", "s"}},
		} {
			p, v := o.leaver(t), o.visitor(t)
			tk := p.signIn(v, o.person())
			if tc.hint {
				tc.pairs = append(tc.pairs, "id_token_hint", tk.ID)
			}
			tr := v.end(true, tc.pairs...)
			tr.saw(t, tc.pages...)
			if tr.to != "" || tr.last.status != http.StatusOK || !strings.Contains(string(tr.last.body), "signed out") {
				t.Errorf("%s: got %s %d %s", name, tr.to, tr.last.status, tr.last.body)
			}
			p.isSignedIn(v, false)
		}
	})
}

func TestLogoutGoesNowhereElse(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p, who, v := o.leaver(t), o.person(), o.visitor(t)
		tk := p.signIn(v, who)
		claims := unverified(t, tk.ID)
		modified := unsigned(t, claims)
		foreign := signed(t, newKey(t, "k1", gojose.RS256), nil, claims)
		other := o.leaver(t)
		for name, pairs := range map[string][]string{
			"unregistered URI":      {"id_token_hint", tk.ID, "post_logout_redirect_uri", "https://evil.example/"},
			"query added":           {"id_token_hint", tk.ID, "post_logout_redirect_uri", bye + "?foo=bar"},
			"hint of alg none":      {"id_token_hint", modified, "post_logout_redirect_uri", bye},
			"hint of another's":     {"id_token_hint", foreign, "post_logout_redirect_uri", bye},
			"no hint":               {"post_logout_redirect_uri", bye},
			"access token for hint": {"id_token_hint", tk.Access, "post_logout_redirect_uri", bye},
			"hint of another party": {"id_token_hint", tk.ID, "client_id", string(other.client.ID), "post_logout_redirect_uri", bye},
		} {
			if tr := v.end(true, pairs...); tr.to != "" || tr.last.status != http.StatusBadRequest {
				t.Errorf("%s: got %s, then %d %s", name, tr.to, tr.last.status, tr.last.body)
			}
		}
		p.isSignedIn(v, true)
		// A client that only names itself proves nothing: the person is asked.
		tr := v.end(false, "client_id", string(p.client.ID), "post_logout_redirect_uri", bye)
		if _, ok := tr.last.form("/logout"); !ok || tr.to != "" {
			t.Errorf("got %s, then %d %s", tr.to, tr.last.status, tr.last.body)
		}
		p.isSignedIn(v, true)
		// So it is with a hint at somebody else than the one who sits here.
		john := o.visitor(t)
		p.signIn(john, o.person())
		john.end(false, "id_token_hint", tk.ID, "post_logout_redirect_uri", bye)
		p.isSignedIn(john, true)
	})
}

func TestEveryClientOfASessionIsTold(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p, other, idle, who, v := o.leaver(t), o.leaver(t), o.leaver(t), o.person(), o.visitor(t)
		tokens := map[any]tokenSet{string(p.client.ID): p.signIn(v, who, "scope", "openid offline_access")}
		tokens[string(other.client.ID)] = other.redeem(other.code(other.authorize(v, account{}, other.ask()))).tokenSet(other)
		idle.signIn(o.visitor(t), who) // a session elsewhere, which stays
		tk := tokens[string(p.client.ID)]
		v.end(true, "id_token_hint", tk.ID, "post_logout_redirect_uri", bye).saw(t)
		o.tellClients(t)
		told := o.web.told()
		if len(told) != 2 {
			t.Fatalf("%d clients were told, want 2: %v", len(told), told)
		}
		var audiences []any
		for _, posted := range told {
			raw := posted.Get("logout_token")
			claims, _ := p.verified(raw)
			audiences = append(audiences, claims["aud"])
			events, _ := claims["events"].(map[string]any)
			now, issued, expires := float64(o.Now().Unix()), claims["iat"].(float64), claims["exp"].(float64)
			switch event, ok := events["http://schemas.openid.net/event/backchannel-logout"].(map[string]any); {
			case len(posted) != 1 || !ok || len(event) != 0 || len(events) != 1:
				t.Errorf("got %v with %v", posted, claims)
			case claims["nonce"] != nil || claims["jti"] == "" || claims["iss"] != rig.Base || issued > now || expires <= now || expires > now+120:
				t.Errorf("got %v at %v", claims, now)
			case claims["sid"] != tokens[claims["aud"]].id["sid"] || claims["sid"] == nil || claims["sub"] != tokens[claims["aud"]].id["sub"]:
				t.Errorf("got %v, want the sid and sub of the ID token", claims)
			}
			if !strings.Contains(headerOf(t, raw), `"logout+jwt"`) {
				t.Errorf("the header is %s", headerOf(t, raw))
			}
		}
		if audiences[0] == audiences[1] || !slices.Contains(audiences, any(string(p.client.ID))) {
			t.Errorf("told %v", audiences)
		}
		p.isSignedIn(v, false)
		// What was not asked to live on ends with the session (Back-Channel Logout §2.7).
		other.userinfo(tokens[string(other.client.ID)].Access).want(http.StatusUnauthorized)
		p.refresh(tk.Refresh).tokenSet(p)
	})
}
