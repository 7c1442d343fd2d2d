package upstream_test

import (
	"errors"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/emulator"
	"sallyport/internal/openid"
	"sallyport/internal/upstream"
)

// back is the redirect URI that the emulators know; nothing listens there.
const back = "http://localhost:9/callback"

// startEmulators runs other people's providers.
func startEmulators(t *testing.T) (places map[string]string) {
	t.Helper()
	emulator.Start(t, &places, "testdata/emulators.mjs")
	return places
}

var (
	formTag  = regexp.MustCompile(`(?s)<form[^>]*action="([^"]*)".*?</form>`)
	inputTag = regexp.MustCompile(`<input[^>]*>`)
	attrTag  = regexp.MustCompile(`(\w+)="([^"]*)"`)
)

// walk is a person with a browser: it follows redirects, fills in the form of
// each page, Jane's where there are several, and stops at the redirect URI.
func walk(t *testing.T, location string) upstream.Answer {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	var form url.Values
	for range 20 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, location, nil)
		if form != nil {
			req, err = http.NewRequestWithContext(t.Context(), http.MethodPost, location, strings.NewReader(form.Encode()))
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		if err != nil {
			t.Fatal(err)
		}
		res, err := browser.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		page, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		next := res.Header.Get("Location")
		if form = nil; next == "" {
			next, form = fillIn(t, string(page))
		}
		to, err := req.URL.Parse(next)
		if err != nil {
			t.Fatal(err)
		}
		if location = to.String(); strings.HasPrefix(location, back) {
			if to.Query().Get("state") != "the-state" {
				t.Errorf("state came back as %q", to.Query().Get("state"))
			}
			return upstream.AnswerOf(to.Query())
		}
	}
	t.Fatalf("still at %s", location)
	return upstream.Answer{}
}

func fillIn(t *testing.T, page string) (action string, form url.Values) {
	t.Helper()
	forms := formTag.FindAllStringSubmatch(page, -1)
	if len(forms) == 0 {
		t.Fatalf("no form on\n%s", page)
	}
	m := forms[max(0, slices.IndexFunc(forms, func(f []string) bool { return strings.Contains(f[0], "jane") }))]
	form = url.Values{}
	for _, input := range inputTag.FindAllString(m[0], -1) {
		a := map[string]string{}
		for _, one := range attrTag.FindAllStringSubmatch(input, -1) {
			a[one[1]] = html.UnescapeString(one[2])
		}
		if a["name"] != "" {
			form.Set(a["name"], a["value"])
			if a["type"] != "hidden" {
				form.Set(a["name"], "jane")
			}
		}
	}
	return html.UnescapeString(m[1]), form
}

func TestOtherPeoplesProviders(t *testing.T) {
	places := startEmulators(t)
	b := upstream.NewBroker(upstream.Options{Now: time.Now})
	t.Cleanup(b.Close)
	at := func(kind upstream.Kind, base string) upstream.Upstream {
		return upstream.Upstream{Key: "x", Kind: kind, Secret: "a-secret-of-sallyport", Settings: upstream.Settings{ClientID: "sallyport", BaseURL: base}}
	}
	authkit := at(upstream.WorkOS, places["workos"])
	authkit.Secret = "sk_test_default"
	oidc := at(upstream.OIDC, "")
	oidc.Settings.Issuer = places["oidc"]
	for name, c := range map[string]struct {
		u              upstream.Upstream
		email          string
		verified       bool
		session        bool
		twice, without error // the code a second time, and with another verifier
	}{
		// emulate's github has no PKCE; the real one has compared the verifier
		// since July 2025.
		"github": {at(upstream.GitHub, places["github"]), "jane@example.com", true, false, openid.ErrInvalidGrant, nil},
		"google": {at(upstream.Google, places["google"]), "jane@gmail.com", true, false, openid.ErrInvalidGrant, openid.ErrInvalidGrant},
		// The workos emulator calls a spent code invalid_code and a wrong verifier
		// invalid_code_verifier; WorkOS documents invalid_grant for both.
		"workos": {authkit, "jane@example.com", true, true, openid.ErrClient, openid.ErrClient},
		"oidc":   {oidc, "jane@example.com", true, false, openid.ErrInvalidGrant, openid.ErrInvalidGrant},
	} {
		t.Run(name, func(t *testing.T) {
			begin := func() (string, upstream.Attempt) {
				location, a, err := b.Begin(t.Context(), c.u, upstream.Start{RedirectURI: back, State: "the-state"})
				if err != nil {
					t.Fatal(err)
				}
				return location, a
			}
			location, a := begin()
			ans := walk(t, location)
			p, err := b.Finish(t.Context(), c.u, a, ans, upstream.Visitor{IP: "203.0.113.7", UserAgent: "Test"})
			if err != nil {
				t.Fatal(err)
			}
			if p.Subject == "" || p.Issuer != c.u.Issuer() || p.Email != c.email || p.EmailVerified != c.verified || p.Name != "Jane Doe" || (p.Session != "") != c.session {
				t.Errorf("got %+v", p)
			}
			if _, err := b.Finish(t.Context(), c.u, a, ans, upstream.Visitor{}); !errors.Is(err, c.twice) {
				t.Errorf("the code a second time: %v", err)
			}
			location, _ = begin()
			_, a = begin()
			a.Nonce = ""
			if _, err := b.Finish(t.Context(), c.u, a, walk(t, location), upstream.Visitor{}); !errors.Is(err, c.without) {
				t.Errorf("another verifier: %v", err)
			}
		})
	}
	for name, c := range map[string]upstream.Upstream{"github": at(upstream.GitHub, places["github"]), "google": at(upstream.Google, places["google"]), "oidc": oidc} {
		location, a, err := b.Begin(t.Context(), c, upstream.Start{RedirectURI: back, State: "the-state"})
		if err != nil {
			t.Fatal(err)
		}
		c.Secret = "another"
		if _, err := b.Finish(t.Context(), c, a, walk(t, location), upstream.Visitor{}); !errors.Is(err, openid.ErrClient) {
			t.Errorf("%s: another secret: %v", name, err)
		}
	}
}
