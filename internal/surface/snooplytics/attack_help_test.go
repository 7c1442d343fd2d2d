package snooplytics_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/pquerna/otp/totp"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/rig"
	"sallyport/internal/surface/snooplytics"
)

// site is the surface over a rig, with Ada, who has no second factor.
type site struct {
	*rig.Rig
	t      *testing.T
	client client.Client
	ada    identity.User
	h      http.Handler
}

func newSite(t *testing.T, d *db.DB) *site {
	t.Helper()
	s := &site{Rig: rig.New(t, d), t: t}
	s.client = s.Client("Snooplytics", func(c *client.Client) { policy(&c.Policy) })
	api := newAPI(t, s.Rig, snooplytics.Settings{Client: s.client.ID, AppURL: origin})
	s.Mount(api.Routes(), api.MethodNotAllowed)
	s.ada = s.User("ada@example.com", "Ada Lovelace", password, s.client)
	s.h = s.Handler()
	return s
}

// browser is somebody's, at an address of their own.
type browser struct {
	*site
	ip      string
	cookies map[string]string
}

func (s *site) browser(ip string) *browser { return &browser{s, ip, map[string]string{}} }

// answer is what a browser got.
type answer struct {
	status int
	header http.Header
	text   string
	Code   string          `json:"code"`
	Data   json.RawMessage `json:"data"`
}

// ask sends a request as a page of the application does; headers are name, value.
func (b *browser) ask(method, path, body string, headers ...string) answer {
	b.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:4711"
	r.Header.Set("X-Forwarded-For", b.ip)
	r.Header.Set("Origin", origin)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	} else {
		r.ContentLength = 0
	}
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Del(headers[i])
		if headers[i+1] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	w := httptest.NewRecorder()
	b.h.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c.Value
		}
	}
	out := answer{status: w.Code, header: w.Header(), text: w.Body.String()}
	if strings.HasPrefix(out.text, "{") {
		if err := json.Unmarshal([]byte(out.text), &out); err != nil {
			b.t.Fatal(err)
		}
	}
	return out
}

// post is ask for what must be answered with a status.
func (b *browser) post(want int, path, body string) answer {
	b.t.Helper()
	got := b.ask("POST", path, body)
	if got.status != want {
		b.t.Fatalf("POST %s %s: got %d %s, want %d", path, body, got.status, got.text, want)
	}
	return got
}

const (
	sessionName   = "__Secure-better-auth.session_token"
	challengeName = "__Secure-better-auth.two_factor"
	trustName     = "__Secure-better-auth.trust_device"
	signInPath    = "/api/auth/sign-in/email"
	adaSignsIn    = `{"email":"ada@example.com","password":"` + password + `"}`
)

// who is the id of the user whom the browser is signed in as, "" for nobody.
func (b *browser) who() string {
	b.t.Helper()
	var s struct {
		User struct{ ID string }
	}
	if err := json.Unmarshal(b.ask("GET", "/api/auth/get-session", "").Data, &s); err != nil {
		b.t.Fatal(err)
	}
	return s.User.ID
}

var secretIn = regexp.MustCompile(`secret=([A-Z2-7]+)`)

// withApp gives Ada an app, from a browser that is signed in, and returns its secret.
func (b *browser) withApp() string {
	b.t.Helper()
	setup := b.post(200, "/api/auth/two-factor/enable", `{"password":"`+password+`"}`)
	secret := secretIn.FindStringSubmatch(setup.text)[1]
	b.post(200, "/api/auth/two-factor/verify-totp", `{"code":"`+b.app(secret)+`"}`)
	return secret
}

// app is the code that an app shows now.
func (s *site) app(secret string) string {
	s.t.Helper()
	code, err := totp.GenerateCode(secret, s.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	return code
}

var codeIn = regexp.MustCompile(`\b[0-9]{6}\b`)

// linkIn is the link in the newest mail to an address, without the mount.
func (s *site) linkIn(to string) string {
	s.t.Helper()
	text, ok := s.Mail(to)
	if !ok {
		s.t.Fatalf("no mail to %s", to)
	}
	link := regexp.MustCompile(`https://auth\.example\.com(/\S+)`).FindStringSubmatch(text)
	if link == nil {
		s.t.Fatalf("no link in: %s", text)
	}
	return link[1]
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func escaped(s string) string { return url.QueryEscape(s) }
