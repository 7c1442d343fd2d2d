package transcript

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport/internal/wire"
)

// town is a small server with all that a transcript can show.
type town struct {
	now  time.Time
	mail map[string]string
	n    int
}

func (h *town) Now() time.Time          { return h.now }
func (h *town) Advance(d time.Duration) { h.now = h.now.Add(d) }

func (h *town) Mail(to string) (string, bool) {
	text, ok := h.mail[to]
	delete(h.mail, to)
	return text, ok
}

func (h *town) Handler() http.Handler {
	mux := &wire.Mux{}
	mux.Add(h.routes(), nil)
	return mux
}

func (h *town) routes() []wire.Route {
	return []wire.Route{
		{Method: "POST", Pattern: "/echo", Handler: func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("X-Type", r.Header.Get("Content-Type"))
			w.Header().Set("X-Agent", r.UserAgent())
			w.Header().Set("X-Host", r.Host)
			w.Header().Add("X-Many", "one")
			w.Header().Add("X-Many", "two")
			wire.Write(w, 200, "application/json", body)
		}},
		{Method: "GET", Pattern: "/count", Handler: func(w http.ResponseWriter, _ *http.Request) {
			h.n++
			wire.WriteJSON(w, 200, map[string]int{"n": h.n})
		}},
		{Method: "GET", Pattern: "/in", Handler: func(w http.ResponseWriter, r *http.Request) {
			wire.SetCookie(w, r, "who", "jane", time.Minute)
			http.Redirect(w, r, "http://app.test/cb?code=abc123&state="+r.URL.Query().Get("state"), http.StatusFound)
		}},
		{Method: "GET", Pattern: "/who", Handler: func(w http.ResponseWriter, r *http.Request) {
			wire.Write(w, 200, "text/html", []byte("<p>Hello "+wire.Cookie(r, "who")+"</p>"))
		}},
		{Method: "GET", Pattern: "/pair/{a}/{b}", Handler: func(w http.ResponseWriter, r *http.Request) {
			wire.WriteJSON(w, 200, []string{r.PathValue("a"), r.PathValue("b")})
		}},
		{Method: "POST", Pattern: "/send", Handler: func(w http.ResponseWriter, _ *http.Request) {
			h.mail["jane@example.com"] = "Hello,\nplease go to http://x.test/pair/k1/" + strings.Repeat("ab", 4) + ".\n"
			w.WriteHeader(204)
		}},
		{Method: "GET", Pattern: "/wrong", Handler: func(w http.ResponseWriter, _ *http.Request) {
			wire.Write(w, 200, "text/plain", []byte(`{"ok":true}`))
		}},
		{Method: "GET", Pattern: "/jwt", Handler: func(w http.ResponseWriter, _ *http.Request) {
			payload := base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"u1","exp":900}`))
			wire.WriteJSON(w, 200, map[string]string{"t": "e30." + payload + ".c2ln"})
		}},
	}
}

func newStage() Stage {
	return Stage{
		Host: &town{now: time.Unix(59, 0), mail: map[string]string{}},
		Vars: map[string]string{
			"demo":   "7f3c2e0a-6b1f-4e0e-9c55-0a4f5d1b8e11",
			"cb":     "http://app.test/cb?x=1",
			"secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", // RFC 6238 appendix B's "12345678901234567890"
		},
		Hooks:     map[string]func(*testing.T, map[string]string){"greet": func(_ *testing.T, v map[string]string) { v["greeting"] = "hi" }},
		Authority: "sallyport.test",
	}
}

func playText(t *testing.T, text string) error {
	t.Helper()
	steps, err := parse("x.http", text)
	if err != nil {
		return err
	}
	return perform(t, "x.http", steps, newStage())
}

func TestRunPlaysEveryFile(t *testing.T) {
	Run(t, "testdata", func(*testing.T) Stage { return newStage() })
}

func TestWrongTranscriptsFail(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"status", "> GET /count\n< 201\n< {\"n\":1}", "x.http:1: GET /count: got  200 {\"n\":1}"},
		{"body", "\n# c\n> GET /count\n< 200\n< {\"n\":2}", "x.http:3: GET /count: body:\ngot  {\"n\":1}\nwant {\"n\":2}"},
		{"body is a part", "> GET /count\n< 200\n< {\"n\":", "body:"},
		{"body not given", "> GET /count\n< 200", "body:"},
		{"body missing", "> POST /send\n< 204\n< {}", "Content-Type"},
		{"capture differs later", "> GET /count\n< 200\n< {\"n\":<n>}\n\n> GET /count\n< 200\n< {\"n\":<n>}", "x.http:5:"},
		{"capture differs at once", "> GET /pair/a/b\n< 200\n< [\"<v>\",\"<v>\"]", "<v> is both"},
		{"capture of a kind", "> GET /pair/a/b\n< 200\n< [\"<v:uuid>\",\"b\"]", "body:"},
		{"capture of a pattern", "> GET /pair/a/b\n< 200\n< [\"<v:/[0-9]/>\",\"b\"]", "body:"},
		{"capture of no kind", "> GET /pair/a/b\n< 200\n< [\"<v:cat>\",\"b\"]", "no such kind"},
		{"capture eats a field", "> POST /echo\n> {\"a\":\"1\",\"b\":\"2\"}\n< 200\n< {\"a\":\"<a>\"}", "body:"},
		{"unknown in path", "> GET /pair/<gone>/b\n< 200\n< *", "<gone> is not known"},
		{"unknown in header", "> GET /count\n> Authorization: Bearer <gone>\n< 200\n< *", "<gone> is not known"},
		{"unknown in body", "> POST /echo\n> {\"a\":\"<gone>\"}\n< 200\n< *", "<gone> is not known"},
		{"header", "> POST /echo\n> {}\n< 200\n< X-Type: text/plain\n< *", "header X-Type"},
		{"header is absent", "> POST /echo\n> {}\n< 200\n< X-Gone: 1\n< *", "header X-Gone"},
		{"header is there", "> GET /in\n<! Set-Cookie\n< 302", "want \"< STATUS\""},
		{"header must not be there", "> GET /in\n< 302\n<! Set-Cookie", "want none"},
		{"pattern", "> GET /who\n< 200\n<~ Hello jane", "want it to hold /Hello jane/"},
		{"JSON without its type", "> GET /wrong\n< 200\n< {\"ok\":true}", "Content-Type \"text/plain\""},
		{"cookie none", "> GET /in\n> Cookie: none\n< 302\n\n> GET /who\n< 200\n<~ jane", "x.http:5:"},
		{"cookie expired", "> GET /in\n< 302\n\n@ advance 61s\n\n> GET /who\n< 200\n<~ jane", "x.http:6:"},
		{"other browser", "> GET /in\n< 302\n\n@ browser b\n> GET /who\n< 200\n<~ jane", "x.http:5:"},
		{"no mail", "@ mail jane@example.com <link>", "no mail to jane@example.com"},
		{"mail without match", "> POST /send\n< 204\n@ mail jane@example.com capture /token=(.+)/ as t", "does not hold"},
		{"unwanted mail", "> POST /send\n< 204\n@ no-mail jane@example.com", "want none"},
		{"claims", "> GET /jwt\n< 200\n< {\"t\":\"<t:jwt>\"}\n@ claims <t> {\"sub\":\"u2\",\"exp\":900}", "claims:"},
		{"times", "@ times 2\n> GET /count\n< 200\n< {\"n\":1}", "time 2 of 2"},
		{"totp of nothing", "@ totp 1 as code", "secret:"},
		{"hook", "@ run gone", "no hook \"gone\""},
		{"directive", "@ dance", "no such directive"},
		{"duration", "@ advance soon", "invalid duration"},
		{"stray line", "> GET /count\n< 200\n< *\nhello", "x.http:4: a line starts with none"},
		{"no response", "> GET /count\n\n> GET /count\n< 200\n< *", "a request has no response"},
		{"no path", "> GET\n< 200", "want \"> METHOD path\""},
		{"response first", "< 200", "a line starts with none"},
		{"broken pattern", "> GET /who\n< 200\n<~ (", "x.http:3: error parsing regexp"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := playText(t, c.text)
			if err == nil {
				t.Fatal("it passed")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant it to say %s", err, c.want)
			}
		})
	}
}

// RFC 6238 appendix B, SHA-1, cut to 6 digits.
func TestTOTPVectors(t *testing.T) {
	for unix, want := range map[int64]string{59: "287082", 1111111109: "081804", 1234567890: "005924", 20000000000: "353130"} {
		if got := totpCode([]byte("12345678901234567890"), time.Unix(unix, 0)); got != want {
			t.Errorf("code at %d: got %s, want %s", unix, got, want)
		}
	}
}

func TestCoverageSeesStatusesByRoute(t *testing.T) {
	steps, err := parse("x", "> GET /pair/<a>/b?c=1\n< 200\n\n> GET /pair/x/y\n< 404\n\n> GET /pair/x/z\n< 404\n\n> PUT /count\n< 405\n\n> GET /gone\n< 404")
	if err != nil {
		t.Fatal(err)
	}
	seen := statuses((&town{}).routes(), steps)
	if got, want := fmt.Sprint(seen), "map[GET /pair/{a}/{b}:[200 404]]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCoverageOfTheWholeTown(t *testing.T) { Coverage(t, (&town{}).routes(), "testdata") }
