package oidc_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/oauth"
	"sallyport/internal/rig"
	"sallyport/internal/token"
)

// get asks as a browser does, and is not sent on.
func (w *world) get(path, cookies string) *http.Response {
	w.t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Cookie", cookies)
	rec := httptest.NewRecorder()
	w.Handler().ServeHTTP(rec, r)
	return rec.Result()
}

// wanting is the path of a plain request of a client's.
func (w *world) wanting(name string, pairs ...string) string {
	c := w.clients[name]
	q := url.Values{
		"response_type": {"code"}, "client_id": {string(c.ID)}, "redirect_uri": {"https://app.example.com/callback"}, "scope": {"openid"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return "/oauth2/authorize?" + q.Encode()
}

// change changes the policy of a client.
func (w *world) change(name string, how func(*client.Policy)) {
	w.t.Helper()
	w.Write(func(ctx context.Context, tx *db.Tx) error {
		c, err := client.ByID(ctx, tx, w.clients[name].ID)
		if err != nil {
			return err
		}
		how(&c.Policy)
		return client.Update(ctx, tx, c, w.Now())
	})
}

func TestSignedAnswersVerify(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dbtest.SQLite(t))
	jane := cookie + "=" + w.signIn("jane")
	for _, c := range []struct{ registered, want string }{{"", "RS256"}, {"ES256", "ES256"}} {
		w.change("web", func(p *client.Policy) { p.OAuth.AuthorizationAlg = c.registered })
		to, err := w.get(w.wanting("web", "response_mode", "query.jwt"), jane).Location()
		if err != nil {
			t.Fatal(err)
		}
		raw := to.Query().Get("response")
		jwt, err := token.Verify(w.Keys, "", []string{c.want}, raw)
		if err != nil || len(to.Query()) != 1 {
			t.Errorf("%q: %v in %s", c.registered, err, to)
			continue
		}
		if err := jwt.CheckTimes(w.Now(), 0); err != nil {
			t.Error(err)
		}
	}
	w.change("web", func(p *client.Policy) { p.OAuth.AuthorizationAlg = "none" })
	if got := w.get(w.wanting("web", "response_mode", "jwt"), jane); got.StatusCode != http.StatusInternalServerError || got.Header.Get("Location") != "" {
		t.Errorf("alg none: got %d", got.StatusCode)
	}
}

// RFC 6749 §3.1.2: a registered query is kept as it is.
func TestAnswersAreAddedToTheRegisteredURI(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dbtest.SQLite(t))
	jane := cookie + "=" + w.signIn("jane")
	for uri, want := range map[string]string{
		"https://app.example.com/cb":           "https://app.example.com/cb?code=",
		"https://app.example.com/cb?a=%2fb&c":  "https://app.example.com/cb?a=%2fb&c&code=",
		"https://app.example.com/cb?":          "https://app.example.com/cb?code=",
		"https://app.example.com/cb?a=1&":      "https://app.example.com/cb?a=1&code=",
		"https://app.example.com?x":            "https://app.example.com?x&code=",
		"com.example.app:/cb":                  "com.example.app:/cb?code=",
		"https://app.example.com/%E2%82%AC;p?": "https://app.example.com/%E2%82%AC;p?code=",
	} {
		w.change("web", func(p *client.Policy) { p.RedirectURIs = []string{uri} })
		if got := w.get(w.wanting("web", "redirect_uri", uri), jane).Header.Get("Location"); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %s, want %s…", uri, got, want)
		}
	}
}

// The person reads what is wrong, the operator where exactly.
func TestOperatorsLogHasTheMismatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dbtest.SQLite(t))
	var log bytes.Buffer
	w.api.Log = slog.New(slog.NewTextHandler(&log, nil))
	w.get(w.wanting("web", "redirect_uri", "https://app.example.com/callbacks"), "")
	if !strings.Contains(log.String(), "they differ from character 33 on") {
		t.Errorf("the log says:\n%s", log.String())
	}
	log.Reset()
	w.get(w.wanting("web", "resource", "https://evil.example"), "")
	if !strings.Contains(log.String(), oauth.InvalidTarget) || !strings.Contains(log.String(), "evil.example") {
		t.Errorf("the log says:\n%s", log.String())
	}
	log.Reset()
	w.get(w.wanting("web"), cookie+"="+w.signIn("jane"))
	if strings.Contains(log.String(), "code=") {
		t.Errorf("the log holds a code:\n%s", log.String())
	}
}

// What answers in the name of a mount below a prefix leads back to that prefix.
func TestPrefixIsKeptOnTheWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dbtest.SQLite(t))
	below := newAPI(w.Rig)
	below.Prefix = "/api/auth"
	w.Mount(below.Routes(), nil)
	to := w.get("/api/auth"+w.wanting("web"), "").Header.Get("Location")
	handle, ok := strings.CutPrefix(to, "/login?request=")
	if !ok {
		t.Fatalf("got %s", to)
	}
	to = w.get("/oauth2/continue?request="+handle, cookie+"="+w.signIn("jane")).Header.Get("Location")
	if want := "&iss=" + url.QueryEscape(rig.Base+"/api/auth"); !strings.HasSuffix(to, want) {
		t.Errorf("got %s, want it to end in %s", to, want)
	}
}
