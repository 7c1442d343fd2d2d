package tofu_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/rig"
)

// compared are the headers that the contract names (§2.5).
var compared = []string{"Content-Type", "Vary", "Allow", "Location", "WWW-Authenticate", "Retry-After", "Set-Cookie",
	"X-Content-Type-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy"}

// twins are the original's stack and ours, with the same people and the same key.
type twins struct {
	ref  *reference
	ours string
	site *site
	n    int
}

func newTwins(t *testing.T) *twins {
	ref := startReference(t)
	s := newSite(t, dbtest.SQLite(t), nil)
	s.Advance(time.Since(rig.Start)) // the reference lives in our time
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	for _, u := range []struct {
		email  string
		active bool
	}{{"jane@example.com", true}, {"sue@example.com", false}} {
		var made struct{ ID int64 }
		ref.do(map[string]any{"do": "user", "email": u.email, "password": password, "active": u.active}, &made)
	}
	return &twins{ref: ref, ours: srv.Listener.Addr().String(), site: s}
}

// both sends a request to both, ours from a network of its own each time, because
// the original has no limits.
func (w *twins) both(t *testing.T, q ask) (theirs, ours reply) {
	w.n++
	mine := q
	mine.headers = append([]string{fmt.Sprintf("X-Forwarded-For: 10.%d.%d.%d", w.n>>16, w.n>>8&255, w.n&255)}, q.headers...)
	return send(t, w.ref.at, q), send(t, w.ours, mine)
}

var jwt = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+`)

// plain is a body with its tokens opened and what is different by nature taken
// out: times, ids, and our sid.
func plain(body string) string {
	return jwt.ReplaceAllStringFunc(body, func(token string) string {
		parts := strings.Split(token, ".")
		out := ""
		for _, part := range parts[:2] {
			b, err := base64.RawURLEncoding.DecodeString(part)
			if err != nil {
				return token
			}
			out += string(b)
		}
		out = regexp.MustCompile(`,"sid":"[0-9a-f-]{36}"`).ReplaceAllString(out, "")
		out = regexp.MustCompile(`"jti":"[0-9a-f]{32}"`).ReplaceAllString(out, `"jti":"…"`)
		var c struct{ Exp, Iat int64 }
		if json.Unmarshal([]byte(out[strings.Index(out, "}")+1:]), &c) == nil {
			// The original looks at the clock twice, and a second may end in between.
			out += fmt.Sprintf(" lives %d", (c.Exp-c.Iat+5)/10*10)
		}
		return regexp.MustCompile(`"(exp|iat)":[0-9]+`).ReplaceAllString(out, `"$1":…`)
	})
}

// diff says how two answers differ, "" if they do not.
func diff(theirs, ours reply) string {
	if theirs.status != ours.status {
		return fmt.Sprintf("status: got %d %s\nwant %d %s", ours.status, ours.body, theirs.status, theirs.body)
	}
	for _, name := range compared {
		got, want := ours.header.Get(name), theirs.header.Get(name)
		if got != want {
			return fmt.Sprintf("%s: got %q, want %q", name, got, want)
		}
	}
	// DRF can also answer with a page, and says so.
	if got, want := plain(ours.body), strings.Replace(plain(theirs.body), `["application/json","text/html"]`, `["application/json"]`, 1); got != want {
		return fmt.Sprintf("body:\ngot  %s\nwant %s", got, want)
	}
	return ""
}

const asJSON = "Content-Type: application/json"

func post(target, body string, headers ...string) ask {
	return ask{"POST", target, append([]string{asJSON}, headers...), body}
}

// corpus are requests whose answers the two must agree on.
func (w *twins) corpus(t *testing.T) map[string]ask {
	const obtain, refresh, verify, google, logout = "/api/token/", "/api/token/refresh/", "/api/token/verify/", "/api/core/auth/google/login/", "/api/core/auth/logout/"
	good := fmt.Sprintf(`{"email":"jane@example.com","password":"%s"}`, password)
	all := map[string]ask{
		"good":                 post(obtain, good),
		"good, junk in header": post(obtain, good, "Authorization: Bearer junk"),
		"good form":            {"POST", obtain, []string{"Content-Type: application/x-www-form-urlencoded"}, "email=jane%40example.com&password=" + strings.ReplaceAll(password, " ", "+")},
		"good multipart":       {"POST", obtain, []string{"Content-Type: multipart/form-data; boundary=x"}, "--x\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\njane@example.com\r\n--x\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n" + password + "\r\n--x--\r\n"},
		"trimmed":              post(obtain, fmt.Sprintf(`{"email":"\u001c\u00a0jane@example.com\u2003\n","password":"\t%s\u0085"}`, password)),
		"wrong password":       post(obtain, `{"email":"jane@example.com","password":"nope"}`),
		"unknown":              post(obtain, `{"email":"nobody@example.com","password":"nope"}`),
		"inactive":             post(obtain, fmt.Sprintf(`{"email":"sue@example.com","password":"%s"}`, password)),
		"no address":           post(obtain, `{"email":"nope","password":"nope"}`),
		"numbers":              post(obtain, `{"email":1,"password":-0.0}`),
		"empty body":           post(obtain, ""),
		"no type, empty":       {"POST", obtain, nil, ""},
		"text, empty":          {"POST", obtain, []string{"Content-Type: text/plain"}, ""},
		"text":                 {"POST", obtain, []string{"Content-Type: text/plain"}, "x"},
		"no type":              {"POST", obtain, nil, "x"},
		"latin type":           {"POST", obtain, []string{"Content-Type: te\xe4xt/plain; x=\"\\\""}, "x"},
		"any type":             {"POST", obtain, []string{"Content-Type: */*"}, "{}"},
		"any application":      {"POST", obtain, []string{"Content-Type: Application/*"}, "{}"},
		"long type":            {"POST", obtain, []string{"Content-Type: application/json; x=" + strings.Repeat("y", 300)}, "{}"},
		"charset":              {"POST", obtain, []string{"Content-Type: APPLICATION/JSON; Charset=UTF-16"}, ""},
		"latin-1":              {"POST", obtain, []string{"Content-Type: application/json; charset=latin-1"}, "{\"email\":\"\xe4\",\"password\":\xe4}"},
		"ascii":                {"POST", obtain, []string{"Content-Type: application/json; charset=us-ascii"}, "{\"email\":\"\xe4\"}"},
		"unknown charset":      {"POST", obtain, []string{"Content-Type: application/json; charset=klingon"}, "{\"email\":\"\xe4\"}"},
		"form twice":           {"POST", obtain, []string{"Content-Type: application/x-www-form-urlencoded"}, "email=&email=%e4%zz+x&password=%00&&x"},
		"form, blank":          {"POST", obtain, []string{"Content-Type: application/x-www-form-urlencoded"}, "email=+&password"},
		"form, empty":          {"POST", obtain, []string{"Content-Type: application/x-www-form-urlencoded"}, ""},
		"no boundary":          {"POST", obtain, []string{"Content-Type: multipart/form-data"}, "x"},
		"file":                 {"POST", obtain, []string{"Content-Type: multipart/form-data; boundary=x"}, "--x\r\nContent-Disposition: form-data; name=\"email\"; filename=\"a\"\r\n\r\njane\r\n--x--\r\n"},
		"GET":                  {"GET", obtain, nil, ""},
		"PATCH":                {"PATCH", refresh, []string{asJSON}, "{}"},
		"DELETE":               {"DELETE", verify, nil, ""},
		"FOO":                  {"FOO", obtain, nil, ""},
		"foo":                  {"foo", obtain, nil, ""},
		"post":                 {"post", obtain, []string{asJSON}, "{}"},
		"HEAD":                 {"HEAD", obtain, nil, ""},
		"HEAD, logout":         {"HEAD", logout, nil, ""},
		"OPTIONS obtain":       {"OPTIONS", obtain, nil, ""},
		"OPTIONS refresh":      {"OPTIONS", refresh, nil, ""},
		"OPTIONS verify":       {"OPTIONS", verify, nil, ""},
		"OPTIONS logout":       {"OPTIONS", logout, nil, ""},
		"not acceptable":       post(obtain, good, "Accept: text/plain"),
		"not acceptable, GET":  {"GET", obtain, []string{"Accept: image/*"}, ""},
		"not acceptable first": {"GET", logout, []string{"Accept: a/b", "Authorization: Bearer junk"}, ""},
		"acceptable":           post(verify, "{}", "Accept: text/plain, */*;q=0.1"),
		"acceptable kind":      post(verify, "{}", "Accept: APPLICATION/*"),
		"indent":               post(verify, "{}", "Accept: application/json; indent=4"),
		"deep indent":          post(verify, "{}", "Accept: application/json;indent=100"),
		"no indent":            post(verify, "{}", "Accept: application/json;indent=x"),
		"format":               post(verify+"?format=xml", "{}"),
		"format json":          post(verify+"?format=json", "{}"),
		"social":               post(google, "{}"),
		"social, partly":       post(google, `{"code":"  ","redirect_uri":{}}`),
		"social, file":         {"POST", google, []string{"Content-Type: text/csv"}, "a;b"},
		"workos":               post("/api/core/auth/workos/callback/", `{"code":null}`),
		"refresh, nothing":     post(refresh, "{}"),
		"refresh, blank":       post(refresh, `{"refresh":""}`),
		"refresh, junk":        post(refresh, `{"refresh":"a.b.c"}`),
		"verify, nothing":      post(verify, `{}`),
		"verify, list":         post(verify, `{"token":["x"]}`),
		"no header":            post(logout, ""),
		"empty header":         post(logout, "", "Authorization: "),
		"basic":                post(logout, "", "Authorization: Basic eDp5"),
		"lower case":           post(logout, "", "Authorization: bearer x"),
		"alone":                post(logout, "", "Authorization: Bearer"),
		"three":                post(logout, "", "Authorization: Bearer x y"),
		"tab":                  post(logout, "", "Authorization: Bearer\tx"),
	}
	for _, path := range []string{"/api/token", "/api/token/refresh", "/api/token/verify", "/api/core/auth/logout", "/api/core/auth/google/login",
		"/api/core/auth/okta/login", "/api/core/auth/workos/callback", "/api/token/x", "/api", "/", "/api/token//", "/nope", "/api//token", "/api/tok%65n"} {
		for _, method := range []string{"POST", "GET", "OPTIONS"} {
			all[method+" "+path] = ask{method, path, nil, ""}
			all[method+" "+path+"?"] = ask{method, path + "?a=b&c=%20\"<>^`{}|~é/?'()", nil, ""}
		}
	}
	for i, body := range []string{`[]`, `[1]`, `"x"`, `""`, `1`, `1.5`, `true`, `null`, ` `, `{`, `}`, `{"email"`, `{"email":`, `{"email":}`, `{email:1}`, `{"a":1 "b":2}`,
		`{"a" 1}`, `{"a":1}{`, "{\"a\":1}\n x", `NaN`, `[Infinity]`, `-Infinity`, `-`, `01`, `1.`, `.5`, `1e`, `+1`, `nul`, `tru`, `'a'`, `"a`, "\"a\nb\"", `"\x"`, `"\u12"`, `"\u12g4"`,
		`"\ud83d\ude00"`, `"\ud83d\u00zz"`, `"\ud83d"`, "\xef\xbb\xbf{}", "{\"email\":\"\xff\"}", "{\"email\":\"\xe2\x28\xa1\"}", "{\"email\":\"\xf0\x9f\x92", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "[\xc3\xa4",
		`{"email":1e400,"password":1E5}`, `{"email":"x","email":"","password":12345678901234567890}`, strings.Repeat("9", 4301), "é\n x", strings.Repeat("[", 40) + "x", `[1,,2]`, `[1 2]`, `{"a":[1`,
		`{"email":"a\u0000b","password":"\udfff"}`, `{"email":"\ud83d\ude00 \ud800 x","password":"\u0000\ud800"}`, `{"email":true,"password":{}}`, `{"email":null,"password":[]}`,
		`{"email":"\u2028 \u001c","password":"\u001d"}`} {
		all[fmt.Sprintf("body %d", i)] = post(obtain, body)
	}
	vars := map[string]string{}
	var pair struct{ Access, Refresh string }
	w.ref.do(map[string]any{"do": "pair", "id": 1}, &pair)
	w.site.Advance(time.Since(w.site.Now())) // or they are of the future
	w.site.forge(vars)
	vars["their_access"], vars["their_refresh"] = pair.Access, pair.Refresh
	delete(vars, "no_user_fresh") // SimpleJWT makes a token for nobody
	delete(vars, "gone_fresh")    // and fails
	delete(vars, "odd_user")      // and fails
	delete(vars, "twice")         // we refuse a claim that comes twice
	for name, token := range vars {
		all["bearer "+name] = post(logout, "", "Authorization: Bearer "+token)
		all["refresh "+name] = post(refresh, `{"refresh":"`+token+`"}`)
		all["verify "+name] = post(verify, `{"token":" `+token+`\n"}`)
	}
	return all
}

// TestAnswersAreThoseOfTheOriginal sends Django REST Framework with SimpleJWT and
// us the same requests.
func TestAnswersAreThoseOfTheOriginal(t *testing.T) {
	t.Parallel()
	w := newTwins(t)
	for name, q := range w.corpus(t) {
		theirs, ours := w.both(t, q)
		if why := diff(theirs, ours); why != "" {
			t.Errorf("%s: %s %s %q: %s", name, q.method, q.target, q.body, why)
		}
	}
}

// TestBrokenJSONIsToldAsCPythonDoes sends both JSON with mistakes made at random.
func TestBrokenJSONIsToldAsCPythonDoes(t *testing.T) {
	t.Parallel()
	w := newTwins(t)
	seed := time.Now().UnixNano()
	random := rand.New(rand.NewPCG(uint64(seed), 1))
	docs := []string{`{"token": "a\u00e9\ud83d\ude00\n", "n": [1, -2.5e3, null, true]}`, `[[], {}, "x", {"a": {"b": "c"}}]`, "{\n \"token\" : \"é\",\r\n \"x\":false}", `-0.5E-7`, `"\\\"\/\b"`}
	pieces := strings.Split(`{ } [ ] " : , \ \u \ud8 \x 0 1 - + . e null true NaN Infinity a é 😀 `+"\t \n \x00 \x1f \x7f \xff \xc3 \xe2\x82 \xed\xa0\x80", " ")
	for range 600 {
		b := []byte(docs[random.IntN(len(docs))])
		for range 1 + random.IntN(3) {
			at := random.IntN(len(b) + 1)
			end := min(len(b), at+random.IntN(3))
			b = append(append(append([]byte{}, b[:at]...), pieces[random.IntN(len(pieces))]...), b[end:]...)
		}
		theirs, ours := w.both(t, post("/api/token/verify/", string(b)))
		if strings.Contains(theirs.body, "Illegal trailing comma") { // CPython since 3.13; the contract has the older text
			continue
		}
		if why := diff(theirs, ours); why != "" {
			t.Errorf("seed %d: %q: %s", seed, b, why)
		}
	}
}

// TestTokensAreGoodOnBothSides has SimpleJWT read our tokens, with the same key.
func TestTokensAreGoodOnBothSides(t *testing.T) {
	t.Parallel()
	w := newTwins(t)
	res := send(t, w.ours, post("/api/token/", fmt.Sprintf(`{"email":"jane@example.com","password":"%s"}`, password)))
	var mine struct{ Access, Refresh string }
	if err := json.Unmarshal([]byte(res.body), &mine); err != nil {
		t.Fatalf("%v: %s", err, res.body)
	}
	for kind, token := range map[string]string{"access": mine.Access, "refresh": mine.Refresh} {
		var read struct {
			Claims map[string]any
			Error  string
		}
		w.ref.do(map[string]any{"do": "read", "token": token, "type": kind}, &read)
		if read.Error != "" || read.Claims["user_id"] != "1" || read.Claims["token_type"] != kind {
			t.Errorf("SimpleJWT reads our %s token as %+v", kind, read)
		}
		var other struct{ Error string }
		w.ref.do(map[string]any{"do": "read", "token": token, "type": map[string]string{"access": "refresh", "refresh": "access"}[kind]}, &other)
		if other.Error != "Token has wrong type" {
			t.Errorf("SimpleJWT says of our %s token as another: %q", kind, other.Error)
		}
	}
	// And a view of theirs takes it.
	theirs := send(t, w.ref.at, post("/api/core/auth/logout/", "", "Authorization: Bearer "+mine.Access))
	if theirs.status != 200 {
		t.Errorf("their view says to our token: %d %s", theirs.status, theirs.body)
	}
	theirs = send(t, w.ref.at, post("/api/token/refresh/", `{"refresh":"`+mine.Refresh+`"}`))
	if theirs.status != 200 || !strings.Contains(plainClaims(theirs.body), `"sid"`) {
		t.Errorf("their refresh says to our token: %d %s", theirs.status, theirs.body)
	}
}

// plainClaims is the payload of the first token in a body.
func plainClaims(body string) string {
	parts := strings.Split(jwt.FindString(body), ".")
	if len(parts) != 3 {
		return ""
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	return string(b)
}

// TestOwnAudienceAndIssuer compares claims that a deployment may configure.
func TestOwnAudienceAndIssuer(t *testing.T) {
	t.Parallel()
	s := newSite(t, dbtest.SQLite(t), func(c *client.Client) { c.Policy.Audience, c.Policy.Issuer = "tofu", "https://chrome.example.com" })
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	at := srv.Listener.Addr().String()
	res := send(t, at, post("/api/token/", fmt.Sprintf(`{"email":"jane@example.com","password":"%s"}`, password)))
	if got := plainClaims(res.body); !strings.HasSuffix(got, `,"aud":"tofu","iss":"https://chrome.example.com"}`) {
		t.Errorf("claims: %s", got)
	}
	var mine struct{ Access, Refresh string }
	if err := json.Unmarshal([]byte(res.body), &mine); err != nil {
		t.Fatal(err)
	}
	if res := send(t, at, post("/api/token/refresh/", `{"refresh":"`+mine.Refresh+`"}`)); res.status != 200 || strings.Count(plainClaims(res.body), `"aud"`) != 1 {
		t.Errorf("refresh: %d %s", res.status, plainClaims(res.body))
	}
	vars := map[string]string{}
	s.forge(vars)
	maps.DeleteFunc(vars, func(name, _ string) bool { return name != "simple_access" })
	for name, token := range vars { // of another audience: none
		if res := send(t, at, post("/api/token/verify/", `{"token":"`+token+`"}`)); res.status != 401 {
			t.Errorf("%s: %d %s", name, res.status, res.body)
		}
	}
}
