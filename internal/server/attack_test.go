package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/config"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/mail"
)

const attackPassword = "correct horse battery staple"

// box keeps the text of every mail.
type box struct {
	mu  sync.Mutex
	all []string
}

func (b *box) Send(_ context.Context, m mail.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, m.Text)
	return nil
}

func (b *box) texts() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.all)
}

// besieged is a whole server with one application and one person.
func besieged(t *testing.T, d *db.DB, log *lines) (*Server, client.Client, *box) {
	t.Helper()
	return besiegedAt(t, d, log, time.Now)
}

// besiegedAt is besieged by a clock of the test's.
func besiegedAt(t *testing.T, d *db.DB, log *lines, clock func() time.Time) (*Server, client.Client, *box) {
	t.Helper()
	inbox := &box{}
	s, _ := newServer(t, Options{
		Now: clock, Config: testConfig("sqlite:unused"), DB: d, Log: NewLog(log, config.Log{Format: "json", Level: slog.LevelDebug}), Mail: inbox,
	})
	now := clock()
	app := client.Client{ID: client.NewID(), Name: "Demo", Active: true, CreatedAt: now, UpdatedAt: now, SecretHash: client.HashSecret(testKey, "SENTINEL-client-secret"),
		Policy: client.Policy{Registration: client.Open, Methods: []string{client.MethodPassword, client.MethodMagicLink},
			RedirectURIs: []string{"https://app.example.com/callback"},
			Roles:        client.Roles{Available: []string{"user", "admin"}, Default: []string{"user"}}}.WithDefaults()}
	hash, err := s.passwords.Hash(t.Context(), attackPassword)
	if err != nil {
		t.Fatal(err)
	}
	u := identity.User{ID: identity.NewUserID(), Email: "known@example.com", EmailVerified: true, DisplayName: "Known", Status: identity.Active, PasswordHash: hash, CreatedAt: now, UpdatedAt: now}
	err = d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
		if err := client.Create(ctx, tx, app); err != nil {
			return err
		}
		if err := identity.Create(ctx, tx, u); err != nil {
			return err
		}
		_, err := client.Enrol(ctx, tx, client.Enrolment{UserID: u.ID, ClientID: app.ID, Status: client.Active, Roles: []string{"user"}, CreatedAt: now})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, app, inbox
}

func ask(h http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

// The metrics are for the operator: who may ask anybody's address for a reset
// link must not read from them whether that mailed anything.
func TestMetricsTellStrangersNothing(t *testing.T) {
	s, app, _ := besieged(t, dbtest.SQLite(t), &lines{})
	work := func() {
		for {
			n, err := s.Jobs().RunOnce(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				return
			}
		}
	}
	writes := regexp.MustCompile(`sallyport_db_writes_total\{outcome="committed"\} (\d+)`)
	count := func() int {
		found := writes.FindStringSubmatch(ask(s.Handler(), "GET", "/metrics", "").Body.String())
		if found == nil {
			return 0
		}
		n, _ := strconv.Atoi(found[1])
		return n
	}
	measure := func(email string) int {
		before := count()
		ask(s.Handler(), "POST", "/auth/forgot-password", fmt.Sprintf(`{"email":%q,"app_id":%q}`, email, app.ID))
		work()
		return count() - before
	}
	if unknown, known := measure("unknown@example.com"), measure("known@example.com"); unknown != known {
		t.Errorf("a reset link for nobody makes %d writes, for somebody %d: /metrics tells strangers who has an account", unknown, known)
	}
}

// At the debug level, after everything that carries a secret, no log line holds one.
func TestLogsHoldNoSecret(t *testing.T) {
	log := &lines{}
	s, app, inbox := besieged(t, dbtest.SQLite(t), log)
	r := start(t, s)
	var secrets []string
	keep := func(ss ...string) {
		for _, x := range ss {
			if len(x) > 7 {
				secrets = append(secrets, x)
			}
		}
	}
	do := func(method, path, body string, header ...string) (int, map[string]any, http.Header) {
		req, err := http.NewRequest(method, r.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		var v map[string]any
		_ = json.Unmarshal(b, &v)
		for _, k := range []string{"access_token", "refresh_token", "totp_session", "secret", "client_secret"} {
			if x, ok := v[k].(string); ok {
				keep(x)
			}
		}
		for _, c := range res.Cookies() {
			keep(c.Value)
		}
		return res.StatusCode, v, res.Header
	}
	keep("SENTINEL-password-1", "SENTINEL-wrong", "SENTINEL-client-secret", attackPassword)
	do("POST", "/auth/signup", fmt.Sprintf(`{"email":"new@example.com","password":"SENTINEL-password-1","display_name":"N","app_id":%q}`, app.ID))
	_, v, h := do("POST", "/auth/login", fmt.Sprintf(`{"email":"new@example.com","password":"SENTINEL-password-1","app_id":%q}`, app.ID))
	do("POST", "/auth/login", fmt.Sprintf(`{"email":"new@example.com","password":"SENTINEL-wrong","app_id":%q}`, app.ID))
	do("POST", "/auth/login", `{"email":"new@example.com","password":"SENTINEL-wrong"`)
	do("GET", "/account/me?access_token="+v["access_token"].(string), "", "Authorization", "Bearer "+v["access_token"].(string))
	do("GET", "/"+v["refresh_token"].(string), "")
	do("GET", "/account/sessions/"+v["refresh_token"].(string), "", "Cookie", strings.Split(h.Get("Set-Cookie"), ";")[0])
	do("POST", "/token/refresh", fmt.Sprintf(`{"refresh_token":%q,"app_id":%q}`, v["refresh_token"], app.ID))
	do("POST", "/token/refresh", fmt.Sprintf(`{"refresh_token":%q,"app_id":%q}`, v["refresh_token"], app.ID))
	do("POST", "/auth/token", "grant_type=client_credentials&client_secret=SENTINEL-client-secret&client_id="+string(app.ID)+"&scope=users:read", "Content-Type", "application/x-www-form-urlencoded")
	do("POST", "/auth/forgot-password", fmt.Sprintf(`{"email":"known@example.com","app_id":%q}`, app.ID))
	do("POST", "/auth/magic-link/request", fmt.Sprintf(`{"email":"known@example.com","app_id":%q}`, app.ID))
	deadline := time.Now().Add(time.Minute)
	token := regexp.MustCompile(`(/auth/magic-link/verify|/reset-password)\?token=([0-9a-f]{64})`)
	for seen := 0; seen < 2 && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		seen = 0
		for _, m := range inbox.texts() {
			if l := token.FindStringSubmatch(m); l != nil {
				seen++
				keep(l[2])
				do("GET", l[0], "")
			}
		}
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err == nil { // what net/http itself complains of is logged too
		fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer SENTINEL-header\r\nbad header SENTINEL-header\r\n\r\n")
		io.Copy(io.Discard, conn)
		conn.Close()
	}
	keep("SENTINEL-header")
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if len(secrets) < 15 {
		t.Fatalf("only %d secrets were handed out", len(secrets))
	}
	for _, x := range secrets {
		if strings.Contains(log.String(), x) {
			t.Errorf("the log holds %q", x)
		}
	}
}

// Whatever is sent to whatever route, the server does not fail.
func TestNoRequestMakesTheServerFail(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		log := &lines{}
		s, app, _ := besieged(t, d, log)
		h := s.Handler()
		access := struct {
			Access string `json:"access_token"`
		}{}
		_ = json.Unmarshal(ask(h, "POST", "/auth/login", fmt.Sprintf(`{"email":"known@example.com","password":%q,"app_id":%q}`, attackPassword, app.ID)).Body.Bytes(), &access)
		paths := []string{
			"/auth/login", "/auth/totp/verify", "/auth/signup", "/auth/accept-invite", "/auth/forgot-password", "/auth/reset-password",
			"/auth/magic-link/request", "/auth/magic-link/verify", "/auth/logout", "/token/refresh", "/token/revoke", "/token/verify", "/auth/token",
			"/account", "/account/me", "/account/password", "/account/sessions", "/account/sessions/x", "/account/providers/x", "/account/totp/setup",
			"/account/totp/enable", "/account/totp/disable", "/account/totp/backup-codes", "/admin/apps", "/admin/apps/" + string(app.ID),
			"/admin/apps/x/logo", "/admin/apps/x/webhooks", "/admin/users", "/admin/users/x/roles", "/admin/tenants", "/admin/invites", "/admin/audit",
			"/login", "/login/totp", "/login/magic-link", "/signup", "/invite", "/forgot-password", "/reset-password", "/verify-email", "/magic-link",
			"/apps/" + string(app.ID) + "/logo", "/keymaster/auth/login", "/keymaster/login", "/healthz", "/dev/mail", "/dev/mail/wait",
			"/.well-known/openid-configuration", "/.well-known/jwks.json", "/%00", "/%ff", "/auth/%2e%2e/login", "//auth/login", "/keymaster//", "/keymaster/%2f",
		}
		fields := []string{"email", "password", "app_id", "device_id", "display_name", "invite_code", "token", "refresh_token", "audience", "code", "totp_session",
			"redirect_uri", "current_password", "new_password", "roles", "config", "url", "events", "name", "tenant_id", "csrf", "page", "limit", "search", "status", "user_id"}
		values := []string{`"x"`, `""`, `null`, `1`, `-1`, `1e999`, `9223372036854775808`, `[]`, `{}`, `true`, `"` + strings.Repeat("a", 300) + `"`, `"\ud800"`, `"\u0000"`,
			`"\u202e\r\nBcc: x@y.zz"`, `"known@example.com"`, `"` + string(app.ID) + `"`, `"` + access.Access + `"`, `["user"]`, `{"branding":{"primary_color":"#fff"}}`,
			`"%"`, `"'; DROP TABLE users; --"`, `"K@example.com"`, `"` + strings.Repeat("0", 64) + `"`, `"https://127.0.0.1/"`, `"https://[::ffff:7f00:1]/"`}
		rng := rand.New(rand.NewPCG(1, 2))
		methods := []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND"}
		types := []string{"application/json", "application/json; charset=utf-8", "application/json; charset=utf-7", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", ""}
		for range 6000 {
			path := paths[rng.IntN(len(paths))]
			var b bytes.Buffer
			query := ""
			if rng.IntN(4) == 0 {
				query = "?"
			}
			b.WriteByte('{')
			for i := range rng.IntN(7) {
				if i > 0 {
					b.WriteByte(',')
				}
				f, v := fields[rng.IntN(len(fields))], values[rng.IntN(len(values))]
				fmt.Fprintf(&b, "%q:%s", f, v)
				if query != "" {
					query += f + "=" + strings.NewReplacer(`"`, "", " ", "+", "#", "", "\\", "%5c", "\r", "", "\n", "").Replace(v) + "&"
				}
			}
			b.WriteByte('}')
			req, err := http.NewRequest(methods[rng.IntN(len(methods))], "http://localhost:8080"+path+query, &b)
			if err != nil {
				continue
			}
			req.RemoteAddr = fmt.Sprintf("203.0.113.%d:99", rng.IntN(250))
			if ct := types[min(rng.IntN(12), len(types)-1)*rng.IntN(2)]; ct != "" {
				req.Header.Set("Content-Type", ct)
			}
			switch rng.IntN(4) {
			case 0:
				req.Header.Set("Authorization", "Bearer "+access.Access)
			case 1:
				req.Header.Set("Authorization", "Basic Og==")
			case 2:
				req.Header.Set("Cookie", "km_sso=\xff; km_sso=x; sp_csrf="+strings.Repeat("0", 32))
			}
			if rng.IntN(6) == 0 {
				req.Header.Set("Origin", "https://app.example.com")
				req.Header.Set("X-Requested-With", "keymaster")
			}
			w := httptest.NewRecorder()
			if strings.HasSuffix(path, "/wait") {
				ctx, cancel := context.WithTimeout(req.Context(), time.Millisecond)
				req = req.WithContext(ctx)
				defer cancel()
			}
			h.ServeHTTP(w, req)
			if w.Code >= 500 && w.Code != 503 {
				t.Errorf("%s %s%s %s answers %d %s", req.Method, path, query, b.String(), w.Code, w.Body)
			}
		}
		for line := range strings.SplitSeq(log.String(), "\n") {
			if strings.Contains(line, `"level":"ERROR"`) {
				t.Errorf("log: %s", line)
			}
		}
	})
}

// Addresses in mails come from the configuration, whatever a request calls us.
func TestMailLinksDoNotFollowTheHostHeader(t *testing.T) {
	s, app, inbox := besieged(t, dbtest.SQLite(t), &lines{})
	start(t, s)
	for _, header := range [][]string{{"Host", "evil.example"}, {"X-Forwarded-Host", "evil.example"}, {"Forwarded", "host=evil.example"}, {"X-Forwarded-Proto", "gopher"}} {
		ask(s.Handler(), "POST", "/auth/forgot-password", fmt.Sprintf(`{"email":"known@example.com","app_id":%q}`, app.ID), header...)
		ask(s.Handler(), "POST", "//evil.example/auth/forgot-password", fmt.Sprintf(`{"email":"known@example.com","app_id":%q}`, app.ID), header...)
	}
	var all []string
	for deadline := time.Now().Add(time.Minute); len(all) < 3 && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		all = inbox.texts()
	}
	if len(all) == 0 {
		t.Fatal("no mail")
	}
	for _, text := range all {
		if strings.Contains(text, "evil") || strings.Contains(text, "gopher") || !strings.Contains(text, "http://localhost:8080/reset-password?token=") {
			t.Errorf("mail: %s", text)
		}
	}
}

// Unknown users and wrong passwords are one answer, header for header.
func TestAnswersTellNobodyWhoExists(t *testing.T) {
	now := time.Now() // and stays, so that none is asked to wait a second less than the other
	s, app, _ := besiegedAt(t, dbtest.SQLite(t), &lines{}, func() time.Time { return now })
	volatile := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32,}|[a-z]+@example\.com`)
	same := func(method, path, body string, header ...string) {
		t.Helper()
		var got [2]string
		for i, email := range []string{"known@example.com", "ghost@example.com"} {
			w := ask(s.Handler(), method, path, strings.ReplaceAll(strings.ReplaceAll(body, "EMAIL", email), "APP", string(app.ID)), header...)
			var b strings.Builder
			fmt.Fprint(&b, w.Code, " ")
			_ = w.Header().Write(&b)
			b.WriteString(w.Body.String())
			got[i] = volatile.ReplaceAllString(b.String(), "*")
		}
		if got[0] != got[1] {
			t.Errorf("%s %s tells who exists:\n%s\n%s", method, path, got[0], got[1])
		}
	}
	same("POST", "/auth/login", `{"email":"EMAIL","password":"wrong password","app_id":"APP"}`)
	same("POST", "/auth/forgot-password", `{"email":"EMAIL","app_id":"APP"}`)
	same("POST", "/auth/magic-link/request", `{"email":"EMAIL","app_id":"APP"}`)
	for range 5 {
		same("POST", "/auth/login", `{"email":"EMAIL","password":"wrong password","app_id":"APP"}`, "X", "limits")
	}
	same("POST", "/auth/magic-link/request", `{"email":"EMAIL","app_id":"APP"}`)
}

// A page of another site whose name was made to point at this machine does not
// reach the playground.
func TestPlaygroundAnswersToItsOwnNameOnly(t *testing.T) {
	s, _, err := Dev(t.Context(), DevOptions{Listen: "127.0.0.1:0", Dir: t.TempDir(), Log: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	body := fmt.Sprintf(`{"email":%q,"password":%q,"app_id":%q}`, devOperator, devOperatorPass, devConsole)
	if w := ask(s.Handler(), "POST", "/auth/login", body, "Host", "rebound.evil.example:8080"); w.Code == 200 {
		t.Errorf("the operator whose password is printed signs in by the name of another site: %d", w.Code)
	}
	if w := ask(s.Handler(), "POST", "/auth/login", body, "Host", "localhost:8080"); w.Code != 200 {
		t.Errorf("by our own name: %d %s", w.Code, w.Body)
	}
}
