package hackillinois_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/surface/hackillinois"
	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
)

// The weaknesses of the original (contract §9), each with a test that it is
// closed and that its clients do not notice.

const (
	noURL   = `{"status":403,"type":"AUTHORIZATION_ERROR","message":"Could not retrieve OAuth provider authorization code URL."}` + "\n"
	noToken = `{"status":403,"type":"AUTHORIZATION_ERROR","message":"Could not get OAuth token."}` + "\n"
)

func TestW01StateBindsTheAnswerToTheBrowser(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSite(t, d)
		// Mallory signs in at the provider and has Jane's browser finish it.
		location, cookie := s.begin("github", "?redirect_uri="+page)
		_, other := s.begin("github", "")
		back := s.choose("github", location, "79")
		for name, headers := range map[string][]string{
			"no cookie": nil, "another browser's": {"Cookie", other}, "a made-up one": {"Cookie", "__Host-hackillinois=" + strings.Repeat("0", 64)},
			"under a name that another host may set": {"Cookie", strings.TrimPrefix(cookie, "__Host-")},
		} {
			w := s.ask("GET", back, "", headers...)
			want(t, name, w, 403, noToken)
			if l := w.Header().Get("Location"); l != "" {
				t.Errorf("%s: sent to %s", name, l)
			}
		}
		for _, state := range []string{"", "x", strings.Repeat("0", 64)} {
			want(t, "state "+state, s.ask("GET", "/auth/callback/github/?code=x&state="+state, "", "Cookie", cookie), 403, noToken)
		}
		// The answer of one provider, carried to another's callback.
		want(t, "another provider's callback", s.ask("GET", strings.Replace(back, "/github/", "/google/", 1), "", "Cookie", cookie), 403, noToken)
		// None of it robbed the browser that began.
		if w := s.ask("GET", back, "", "Cookie", cookie); w.Code != http.StatusFound || !strings.Contains(w.Header().Get("Location"), "code=") {
			t.Errorf("the browser that began: %d %s", w.Code, w.Body)
		}
		want(t, "the answer again", s.ask("GET", back, "", "Cookie", cookie), 403, noToken)
	})
}

// crooked are redirect URIs that look like the page and are not.
var crooked = []string{
	"https://evil.example/auth/", "https://hackillinois.org.evil.example/auth/", "https://hackillinois.org@evil.example/auth/",
	"https://user:password@hackillinois.org/auth/", "https://hackillinois.org\\@evil.example/auth/", "https://evil.example\\@hackillinois.org/auth/",
	"https:\\\\evil.example/auth/", "https://hackillinois.org/auth/#x", "https://hackillinois.org#@evil.example/auth/", "https://hackillinois.org/auth/?x#",
	"https://HACKILLINOIS.org/auth/", "HTTPS://hackillinois.org/auth/", "https://hackillinois.org./auth/", "https://hackillinois.org:443/auth/",
	"https://hackillinois.org:8443/auth/", "https://hackillinois.org/auth", "https://hackillinois.org/auth/x", "https://hackillinois.org/auth/../x/",
	"https://hackillinois.org/auth/%2e%2e/", "https://hackillinois.org/AUTH/", "http://hackillinois.org/auth/", "https://www.hackillinois.org/auth/",
	"https://hackillinois.org\t/auth/", "\thttps://hackillinois.org/auth/", "https://hackillinois.org/auth/\r\nSet-Cookie:x=y", "https://hackillinois.org/auth/?\r\nX: y",
	"https://hackillinois.org/auth/\x00", " https://hackillinois.org/auth/", "//evil.example/auth/", "/auth/", "javascript:alert(1)", "data:text/html,x",
	"https://hackillinois.org%2fauth/", "https://hackillinois.org%00.evil.example/auth/", "https://hackillinois。org/auth/", "https://hackıllinois.org/auth/",
	"http://localhost:3001/auth/", "http://127.0.0.1:3000/auth/", "http://localhost.evil.example:3000/auth/", "hackillinois://org.hackillinois.ios/auth",
}

func TestW02RedirectsOnlyToTheListedPages(t *testing.T) {
	s := newSite(t, dbtest.SQLite(t))
	for _, mode := range [][]string{nil, hackillinois.Providers} {
		s.settings.PassThrough = mode
		for _, uri := range crooked {
			w := s.ask("GET", "/auth/google/?redirect_uri="+url.QueryEscape(uri), "")
			want(t, uri, w, 403, noURL)
			if l := w.Header().Get("Location"); l != "" {
				t.Errorf("%q: sent to %s", uri, l)
			}
		}
	}
	// More than there is room for is refused before anything is kept or logged.
	for about, query := range map[string]string{
		"a long page": "?redirect_uri=" + page + "?to=/" + strings.Repeat("x", 7900), "a longer one": "?redirect_uri=" + page + "?to=/" + strings.Repeat("x", 20000),
		"signs that JSON escapes": "?redirect_uri=" + page + "?to=/" + strings.Repeat("%26", 1340), "a long state": "?state=" + strings.Repeat("x", 2000),
	} {
		s.settings.PassThrough = nil
		want(t, about, s.ask("GET", "/auth/google/"+query, ""), 403, noURL)
	}
	if n := s.count("onetime_secrets"); n != "onetime_secrets 0 " || s.log.Len() > 0 {
		t.Errorf("kept %s, logged %s", n, s.log)
	}
	// What clients send, unescaped or not, is where the browser lands, to the byte.
	s.settings.PassThrough = nil
	for given, lands := range map[string]string{
		"": page + "?code=",
		"?redirect_uri=" + page + "?to=/" + strings.Repeat("x", 3500): page + "?to=/" + strings.Repeat("x", 3500) + "&code=",
		"?redirect_uri=":                                            page + "?code=",
		"?redirect_uri=" + page:                                     page + "?code=",
		"?redirect_uri=" + page + "?isiOS=1":                        page + "?isiOS=1&code=",
		"?redirect_uri=" + url.QueryEscape(page+"?to=/a?b=c"):       page + "?to=/a?b=c&code=",
		"?redirect_uri=" + adminPage:                                adminPage + "?code=",
		"?redirect_uri=" + adminPage + "?to=/a;b=c":                 adminPage + "?to=/a;b=c&code=",
		"?redirect_uri=" + adminPage + "?to=100%":                   adminPage + "?to=100%&code=",
		"?redirect_uri=http://localhost:3000/auth/?isAndroid=1":     "http://localhost:3000/auth/?isAndroid=1&code=",
		"?redirect_uri=" + url.QueryEscape(page+"?to=/caf\u00e9 x"): page + "?to=/caf%C3%A9%20x&code=",
	} {
		if to := s.comeBack("github", "", given).String(); !strings.HasPrefix(to, lands) {
			t.Errorf("%s: landed at %s, want %s…", given, to, lands)
		}
	}
}

func TestW02NobodyIsSentToAPageThatWasTakenOffTheList(t *testing.T) {
	s := newSite(t, dbtest.SQLite(t))
	location, cookie := s.begin("github", "?redirect_uri="+adminPage)
	back := s.choose("github", location, "")
	s.client.Policy.RedirectURIs = []string{page}
	s.rig.Write(func(ctx context.Context, tx *db.Tx) error { return client.Update(ctx, tx, s.client, s.rig.Now()) })
	w := s.ask("GET", back, "", "Cookie", cookie)
	want(t, "the answer", w, 403, noToken)
	if l := w.Header().Get("Location"); l != "" || s.log.Len() > 0 {
		t.Errorf("sent to %q; the log has %s", l, s.log)
	}
}

func TestW03ProviderCodesStayHere(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSite(t, d)
		location, cookie := s.begin("github", "")
		if q := query(t, location); q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43 {
			t.Errorf("no PKCE at the provider: %s", location)
		}
		if google, _ := s.begin("google", ""); query(t, google).Get("nonce") == "" {
			t.Errorf("no nonce at Google: %s", google)
		}
		back := s.choose("github", location, "")
		theirs := query(t, back).Get("code")
		w := s.ask("GET", back, "", "Cookie", cookie)
		if to := w.Header().Get("Location"); strings.Contains(to, url.QueryEscape(theirs)) || strings.Contains(to, theirs) {
			t.Errorf("the provider's code went on to %s", to)
		}
		want(t, "the provider's code", s.redeem("github", theirs, ""), 403, noToken)

		// Additive: a client's own challenge is enforced, and only then.
		const verifier = "dBjFQWPnOt7oN4zuXnTkT0d4lQ5X1nVZq9Yo9v1bQzA"
		challenge := "?code_challenge_method=S256&code_challenge=" + upstream.Challenge(verifier)
		post := func(code, verifier string) *httptest.ResponseRecorder {
			return s.ask("POST", "/auth/code/github/", `{"code":"`+code+`","code_verifier":"`+verifier+`"}`)
		}
		for name, wrong := range map[string]string{"none": "", "another": verifier + "x", "the challenge": upstream.Challenge(verifier)} {
			code := s.code("github", "", challenge)
			want(t, "verifier: "+name, post(code, wrong), 403, noToken)
			want(t, "after a wrong verifier", post(code, verifier), 403, noToken)
		}
		s.tokenOf(post(s.code("github", "", challenge), verifier))
		want(t, "a verifier without a challenge", post(s.code("github", "", ""), verifier), 403, noToken)
		for _, bad := range []string{"?code_challenge=" + verifier, "?code_challenge=" + verifier + "&code_challenge_method=plain", "?code_challenge_method=S256&code_challenge=short", "?code_challenge_method=S256"} {
			want(t, bad, s.ask("GET", "/auth/github/"+bad, ""), 403, noURL)
		}
	})
}

func query(t testing.TB, raw string) url.Values {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

func TestW04SecretsAndCodesAreInNoURL(t *testing.T) {
	s := newSite(t, dbtest.SQLite(t))
	for provider, fake := range s.fakes {
		var mu sync.Mutex
		var urls []string
		spy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			urls = append(urls, r.URL.String())
			mu.Unlock()
			fake.ServeHTTP(w, r)
		}))
		t.Cleanup(spy.Close)
		u := fake.Upstream(provider)
		u.Settings.Issuer, u.Settings.BaseURL = u.Issuer(), spy.URL
		s.rig.PutUpstream(u)
		s.login(provider, "")
		mu.Lock()
		if len(urls) < 2 {
			t.Errorf("%s was asked %q", provider, urls)
		}
		for _, u := range urls {
			if strings.Contains(u, "secret") || strings.Contains(u, "code") || strings.Contains(u, "token=") {
				t.Errorf("%s was asked %s", provider, u)
			}
		}
		mu.Unlock()
	}
}

func TestW09RemovedGrantsStayRemoved(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSite(t, d)
		admin := s.admin()
		const stan = "google908290138109283982388"
		s.login("google", "908290138109283982388")
		want(t, "taken by hand", s.put("remove", admin, stan, "Staff"), 200, `{"id":"`+stan+`","roles":["User"]}`+"\n")
		s.login("google", "908290138109283982388")
		want(t, "at the next login", s.get("/auth/roles/"+stan+"/", admin), 200, `{"id":"`+stan+`","roles":["User"]}`+"\n")
		want(t, "given by hand", s.put("add", admin, stan, "Staff"), 200, `{"id":"`+stan+`","roles":["User","Staff"]}`+"\n")

		// A grant ends with what it was given for; what was given by hand does not.
		const github = "github78"
		s.login("github", "78")
		want(t, "by rule", s.get("/auth/roles/"+github+"/", admin), 200, `{"id":"`+github+`","roles":["User","Staff"]}`+"\n")
		s.fakes["github"].SetPeople(upstreamtest.Person{ID: "78", Email: "stan@gmail.com", EmailVerified: true, Username: "stan"})
		s.fakes["google"].SetPeople(upstreamtest.Person{ID: "908290138109283982388", Email: "stan@gmail.com", EmailVerified: true, GivenName: "Stan"})
		s.login("github", "")
		s.login("google", "")
		want(t, "who left the domain", s.get("/auth/roles/"+github+"/", admin), 200, `{"id":"`+github+`","roles":["User"]}`+"\n")
		want(t, "given by hand, and left", s.get("/auth/roles/"+stan+"/", admin), 200, `{"id":"`+stan+`","roles":["User","Staff"]}`+"\n")

		// The setting that keeps them, as the original does.
		s.settings.KeepGrants = true
		s.fakes["github"].SetPeople(upstreamtest.Person{ID: "78", Email: "stan@hackillinois.org", EmailVerified: true, Username: "stan"})
		s.login("github", "")
		s.fakes["github"].SetPeople(upstreamtest.Person{ID: "78", Email: "stan@gmail.com", EmailVerified: true, Username: "stan"})
		s.login("github", "")
		want(t, "kept", s.get("/auth/roles/"+github+"/", admin), 200, `{"id":"`+github+`","roles":["User","Staff"]}`+"\n")

		// The operator has no rules any more: what they gave ends, too.
		s.settings.KeepGrants, s.settings.StaffDomain, s.settings.Admins = false, "", nil
		s.fakes["github"].SetPeople(people["github"]...)
		for _, id := range []string{"78", "1290381"} {
			if got := s.rolesAfter("github", id); !slices.Equal(got, []string{"User"}) {
				t.Errorf("github%s, without rules: %q", id, got)
			}
		}
	})
}

// rolesAfter are the roles in the token of a login.
func (s *site) rolesAfter(provider, person string) []string {
	s.t.Helper()
	var roles []string
	for _, r := range payload(s.t, s.login(provider, person))["roles"].([]any) {
		roles = append(roles, r.(string))
	}
	return roles
}

func TestW10TheDomainIsBehindTheLastAt(t *testing.T) {
	s := newSite(t, dbtest.SQLite(t))
	for id, roles := range map[string][]string{
		"79": {"User"}, // "@hackillinois.org@"@evil.example
		"80": {"User"}, "81": {"User"},
		"78": {"User", "Staff"}, "1290381": {"User", "Staff", "Admin"},
	} {
		if got := s.rolesAfter("github", id); !slices.Equal(got, roles) {
			t.Errorf("github%s: %q, want %q", id, got, roles)
		}
	}
	s.fakes["github"].SetPeople(upstreamtest.Person{ID: "82", Email: "Systems@HACKILLINOIS.org", EmailVerified: true, Username: "capital"})
	if got := s.rolesAfter("github", ""); !slices.Equal(got, []string{"User", "Staff", "Admin"}) {
		t.Errorf("capital letters: %q", got)
	}
}

func TestW11UnverifiedAddressesGrantNothing(t *testing.T) {
	s := newSite(t, dbtest.SQLite(t))
	s.settings.GrantBy = []string{"github", "google", "linkedin"}
	if got := s.rolesAfter("github", "77"); !slices.Equal(got, []string{"User"}) {
		t.Errorf("GitHub, unverified: %q", got)
	}
	lee := people["linkedin"][0]
	for _, said := range []any{nil, false, "false", "maybe"} {
		lee.EmailVerified = said
		s.fakes["linkedin"].SetPeople(lee)
		if got := s.rolesAfter("linkedin", ""); !slices.Equal(got, []string{"User"}) {
			t.Errorf("LinkedIn, email_verified %v: %q", said, got)
		}
	}
	s.settings.LinkedInLegacy = true
	lee.EmailVerified = true
	s.fakes["linkedin"].SetPeople(lee)
	if got := s.rolesAfter("linkedin", ""); !slices.Equal(got, []string{"User"}) {
		t.Errorf("LinkedIn as it was: %q", got)
	}
}

func TestW12GrantsAreByProvider(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSite(t, d)
		if got := s.rolesAfter("linkedin", ""); !slices.Equal(got, []string{"User"}) {
			t.Errorf("by LinkedIn, which is on no list: %q", got)
		}
		// An address of the domain that Google does not hand out itself.
		if got := s.rolesAfter("google", "908290138109283982399"); !slices.Equal(got, []string{"User"}) {
			t.Errorf("by Google, not of the Workspace: %q", got)
		}
		s.settings.StaffHosted = "staff.hackillinois.org"
		if got := s.rolesAfter("google", "908290138109283982388"); !slices.Equal(got, []string{"User"}) {
			t.Errorf("by Google, of another Workspace: %q", got)
		}
		s.settings.StaffHosted = "hackillinois.org"
		if got := s.rolesAfter("google", "908290138109283982388"); !slices.Equal(got, []string{"User", "Staff"}) {
			t.Errorf("by Google, of the Workspace: %q", got)
		}
		if got := s.rolesAfter("github", "78"); !slices.Equal(got, []string{"User", "Staff"}) {
			t.Errorf("by GitHub, which has no Workspaces: %q", got)
		}
		s.settings.GrantBy = []string{"google"}
		if got := s.rolesAfter("github", "1290381"); !slices.Equal(got, []string{"User"}) {
			t.Errorf("by GitHub, which is on the list no more: %q", got)
		}
		s.settings.GrantBy = nil
		if got := s.rolesAfter("google", "908290138109283982388"); !slices.Equal(got, []string{"User"}) {
			t.Errorf("by Google, of an empty list: %q", got)
		}
		if n := s.audited("user.role_changed", `"by":"rule"`); n != 3 {
			t.Errorf("%d automatic changes in the audit log, want 3", n)
		}
	})
}

func TestW25ALoginIsAllOrNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSite(t, d)
		// Somebody else has Jane's id already, so that the end of her first login
		// fails.
		other := s.rig.User("other@example.com", "Other", "", s.client)
		s.rig.Write(func(ctx context.Context, tx *db.Tx) error {
			return identity.SetAlias(ctx, tx, string(s.client.ID), "github6892396", other.ID)
		})
		before := s.count("users", "enrolments", "links", "sessions", "aliases", "rule_roles")
		w := s.redeem("github", s.code("github", "", ""), "")
		want(t, "the login", w, 403, `{"status":403,"type":"AUTHORIZATION_ERROR","message":"Could not fetch user's API roles."}`+"\n")
		if after := s.count("users", "enrolments", "links", "sessions", "aliases", "rule_roles"); after != before {
			t.Errorf("left behind: %s, before %s", after, before)
		}
	})
}
