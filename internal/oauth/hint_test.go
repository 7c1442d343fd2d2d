package oauth_test

import (
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/jwks"
	"sallyport/internal/oauth"
	"sallyport/internal/rig"
	"sallyport/internal/token"
)

func TestIDTokenHintSaysWhoIsMeant(t *testing.T) {
	t.Parallel()
	w := newGate(t, dbtest.SQLite(t))
	key, err := w.Keys.Active(jwks.RS256, "")
	if err != nil {
		t.Fatal(err)
	}
	hint := func(typ string, pairs ...any) string {
		claims := map[string]any{"iss": rig.Base, "sub": w.jane.ID, "aud": w.web.ID, "exp": w.Now().Add(-24 * time.Hour).Unix()}
		for i := 0; i < len(pairs); i += 2 {
			claims[pairs[i].(string)] = pairs[i+1]
		}
		maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
		raw, err := token.Sign(key, typ, claims)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	cookie := w.signIn(w.jane)
	w.Advance(time.Minute)
	good := hint("JWT")
	for _, c := range []struct{ name, hint, want, none string }{
		{"Jane's, long expired", good, "code", "code"},
		{"for several", hint("JWT", "aud", []string{string(w.web.ID), "x"}), "code", "code"},
		{"Otto's", hint("JWT", "sub", w.otto.ID), "login", oauth.LoginRequired},
		{"another client's", hint("JWT", "aud", w.spa.ID), oauth.InvalidRequest, oauth.InvalidRequest},
		{"an access token", hint("at+jwt"), oauth.InvalidRequest, oauth.InvalidRequest},
		{"a logout token", hint("logout+jwt"), oauth.InvalidRequest, oauth.InvalidRequest},
		{"userinfo", hint("JWT", "exp", nil), oauth.InvalidRequest, oauth.InvalidRequest},
		{"an authorization response", hint("JWT", "sub", nil), oauth.InvalidRequest, oauth.InvalidRequest},
		{"changed", good[:len(good)-4] + "AAAA", oauth.InvalidRequest, oauth.InvalidRequest},
		{"alg none", none(map[string]any{"iss": rig.Base, "sub": w.jane.ID, "aud": w.web.ID, "exp": 1}, "none"), oauth.InvalidRequest, oauth.InvalidRequest},
	} {
		d, err := w.authorize(wanting(w.web, "id_token_hint", c.hint), cookie)
		w.wantNext(c.name, d, err, c.want)
		d, err = w.authorize(wanting(w.web, "id_token_hint", c.hint, "prompt", "none"), cookie)
		w.wantNext(c.name+", prompt=none", d, err, c.none)
	}
	d, err := w.authorize(wanting(w.web, "id_token_hint", good, "claims", `{"id_token":{"sub":{"value":"x"}}}`), cookie)
	w.wantNext("two people", d, err, oauth.InvalidRequest)
}

// RFC 9101 §5.2: by reference, from addresses that were registered, and nothing
// else is asked for.
func TestRequestObjectsByReference(t *testing.T) {
	t.Parallel()
	w := newGate(t, dbtest.SQLite(t))
	s, there := newSigner(t), newSite(t)
	answer := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/oauth-authz-req+jwt")
			io.WriteString(w, body)
		}
	}
	var cl client.Client
	object := func() string {
		return s.sign(map[string]any{
			"client_id": cl.ID, "response_type": "code", "redirect_uri": callback, "scope": "openid", "state": "inner", "code_challenge": challenge,
			"code_challenge_method": "S256",
		})
	}
	late := func(path string) string {
		return there.at(path, func(w http.ResponseWriter, r *http.Request) { answer(object()+"\n")(w, r) })
	}
	good := late("/good")
	moved := there.at("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, good, http.StatusFound) })
	large, empty, gone := there.at("/large", answer(strings.Repeat("x", 1<<20))), there.at("/empty", answer("")), there.url+"/gone"
	secretly := late("/unregistered")
	cl = w.Client("Signs", func(c *client.Client) {
		c.Policy.OAuth.JWKS = s.jwks()
		c.Policy.OAuth.RequestURIs = []string{good + "#oldhash", moved, large, empty, gone, "http://169.254.169.254/latest", "file:///etc/passwd"}
	})
	w.Enrol(w.jane, cl, client.Active)
	cookie := w.signIn(w.jane)
	for _, c := range []struct{ name, uri, want string }{
		{"registered", good, "code"},
		{"with another hash", good + "#newhash", "code"},
		{"not registered", secretly, oauth.InvalidRequestURI},
		{"a path below", good + "/x", oauth.InvalidRequestURI},
		{"a query more", good + "?x", oauth.InvalidRequestURI},
		{"redirected", moved, oauth.InvalidRequestURI},
		{"too large", large, oauth.InvalidRequestURI},
		{"gone", gone, oauth.InvalidRequestURI},
		{"empty", empty, oauth.InvalidRequestObject},
		{"a network of ours", "http://169.254.169.254/latest", oauth.InvalidRequestURI},
		{"a file", "file:///etc/passwd", oauth.InvalidRequestURI},
	} {
		d, err := w.authorize(wanting(cl, "request_uri", c.uri), cookie)
		w.wantNext(c.name, d, err, c.want)
	}
	if n := there.hit("/unregistered"); n != 0 {
		t.Errorf("an unregistered address was asked %d times", n)
	}
	if _, err := w.push(cl, oauth.Params{"client_id": {string(cl.ID)}, "request_uri": {good}}); err == nil {
		t.Error("a request_uri was pushed")
	}
}
