package keymaster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/rig"

	"github.com/pquerna/otp/totp"
)

// hostile is a Sallyport as somebody attacks it: the surface behind the
// middleware of a real server, asked from an address of the caller's choice.
type hostile struct {
	*rig.Rig
	t testing.TB
	h http.Handler
}

func newHostile(t testing.TB, d *db.DB) hostile {
	r := rig.New(t, d)
	api := newAPI(r)
	r.Mount(api.Routes(), api.MethodNotAllowed)
	return hostile{r, t, r.Handler()}
}

// reply is an answer with what is looked at most.
type reply struct {
	*http.Response
	text string
	json map[string]any
}

func (p reply) get(name string) string { s, _ := p.json[name].(string); return s }

// send asks from an address; header is name, value, name, value.
func (a hostile) send(from, method, path, body string, header ...string) reply {
	a.t.Helper()
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.RemoteAddr = "127.0.0.1:1"
	req.Header.Set("X-Forwarded-For", from)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	a.h.ServeHTTP(w, req)
	res := w.Result()
	b, _ := io.ReadAll(res.Body)
	p := reply{Response: res, text: string(b)}
	_ = json.Unmarshal(b, &p.json)
	return p
}

func (a hostile) post(path string, v any, header ...string) reply {
	b, err := json.Marshal(v)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.send("203.0.113.9", "POST", path, string(b), header...)
}

type m = map[string]any

func bearer(access string) []string { return []string{"Authorization", "Bearer " + access} }

func (a hostile) login(c client.Client, email, pass string) reply {
	return a.post("/auth/login", m{"email": email, "password": pass, "app_id": c.ID})
}

func inviteOnly(c *client.Client) { c.Policy.Registration = client.Invite }

// manager is the access token of a manager of an application.
func (a hostile) manager(c client.Client) string {
	u := a.User("manager@example.com", "Mallory Manager", password)
	a.Enrol(u, c, client.Active, "user", "manager", "admin")
	return a.login(c, "manager@example.com", password).get("access_token")
}

var inviteCode = regexp.MustCompile(`code=([A-Z0-9]{8})`)

// Whoever signs up with another person's address waits for that person's
// invitation. Accepting it must not put the stranger's password, session or
// second factor behind the place that it gives (contract §2.3, §2.4).
func TestInviteDoesNotFeedAnAccountThatAStrangerMade(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		a := newHostile(t, d)
		open, members := a.Client("Open", nil), a.Client("Members", inviteOnly)

		got := a.post("/auth/signup", m{"email": "victim@example.com", "password": "the attacker knows this", "display_name": "V", "app_id": open.ID})
		if got.StatusCode != 200 {
			t.Fatalf("sign up: %d %s", got.StatusCode, got.text)
		}
		a.Mail("victim@example.com")
		made := a.post("/admin/invites", m{"app_id": members.ID, "email": "victim@example.com", "roles": []string{"admin"}}, bearer(a.manager(members))...)
		if made.StatusCode != 201 {
			t.Fatalf("invite: %d %s", made.StatusCode, made.text)
		}
		text, _ := a.Mail("victim@example.com")
		code := inviteCode.FindStringSubmatch(text)
		if code == nil {
			t.Fatalf("no code in the mail: %s", text)
		}
		a.post("/auth/accept-invite", m{"app_id": members.ID, "invite_code": code[1]})

		if got := a.login(members, "victim@example.com", "the attacker knows this"); got.StatusCode == 200 {
			t.Errorf("whoever signed up with the address signs in to the application the owner was invited to: %s", got.text)
		}
	})
}

// The same with the operator's set-up link: it would make the stranger a
// platform administrator.
func TestSetUpLinkMakesNoStrangerAnOperator(t *testing.T) {
	a := newHostile(t, dbtest.SQLite(t))
	open := a.Client("Open", nil)
	a.post("/auth/signup", m{"email": "boss@example.com", "password": "the attacker knows this", "display_name": "B", "app_id": open.ID})
	a.Advance(time.Minute)
	link, err := a.Admin.OperatorInvite(t.Context(), "boss@example.com", rig.Base)
	if err != nil {
		t.Fatal(err)
	}
	a.post("/auth/accept-invite", m{"app_id": link.Invite.ClientID, "invite_code": link.Code})
	in := a.login(client.Client{ID: link.Invite.ClientID}, "boss@example.com", "the attacker knows this")
	if got := a.send("203.0.113.9", "GET", "/admin/tenants", "", bearer(in.get("access_token"))...); got.StatusCode == 200 {
		t.Error("whoever signed up with the operator's address administers the platform")
	}
}

// An invitation that was made for nobody's address yet is shown to the inviter.
// When the address has an account later, that code must not be a key to it.
func TestInviteCodeThatOthersSawIsNoKeyToALaterAccount(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		a := newHostile(t, d)
		open, members := a.Client("Open", nil), a.Client("Members", inviteOnly)
		made := a.post("/admin/invites", m{"app_id": members.ID, "email": "victim@example.com", "send_email": false}, bearer(a.manager(members))...)
		if made.get("code") == "" {
			t.Fatalf("invite: %d %s", made.StatusCode, made.text)
		}
		a.Advance(time.Hour)
		a.User("victim@example.com", "Vera Victim", "", open)

		got := a.post("/auth/accept-invite", m{"app_id": members.ID, "invite_code": made.get("code")})
		if got.StatusCode == 200 {
			t.Errorf("the inviter is signed in as a user of another application: %d", got.StatusCode)
		}
		if access := got.get("access_token"); access != "" {
			set := a.post("/account/password", m{"new_password": "taken over by the inviter"}, bearer(access)...)
			if set.StatusCode == 200 {
				in := a.login(open, "victim@example.com", "taken over by the inviter")
				t.Errorf("and has set a password that signs in elsewhere: %d", in.StatusCode)
			}
		}
	})
}

// An invite code proves no person: the tokens it gives are not a fresh sign-in.
func TestInviteCodeIsNoFreshSignIn(t *testing.T) {
	a := newHostile(t, dbtest.SQLite(t))
	open, members := a.Client("Open", nil), a.Client("Members", inviteOnly)
	a.User("victim@example.com", "Vera Victim", "", open)
	a.post("/admin/invites", m{"app_id": members.ID, "email": "victim@example.com"}, bearer(a.manager(members))...)
	text, _ := a.Mail("victim@example.com")
	got := a.post("/auth/accept-invite", m{"app_id": members.ID, "invite_code": inviteCode.FindStringSubmatch(text)[1]})
	if got.StatusCode != 200 {
		t.Fatalf("accept: %d %s", got.StatusCode, got.text)
	}
	for path, body := range map[string]m{"/account/totp/setup": {}, "/account/password": {"new_password": "set by a code alone"}} {
		if got := a.post(path, body, bearer(got.get("access_token"))...); got.StatusCode == 200 {
			t.Errorf("%s: a code that was only handed over counts as a sign-in of the last minutes", path)
		}
	}
}

// An application sees the access tokens of everybody who signs in to it. One
// must not be enough to take their whole account over.
func TestApplicationCannotTakeAnAccountOverWithItsToken(t *testing.T) {
	a := newHostile(t, dbtest.SQLite(t))
	evil, good := a.Client("Evil", nil), a.Client("Good", nil)
	a.User("nora@example.com", "Nora Nopass", "", evil, good)
	a.post("/auth/magic-link/request", m{"email": "nora@example.com", "app_id": evil.ID})
	text, _ := a.Mail("nora@example.com")
	link := regexp.MustCompile(`/auth/magic-link/verify\?token=[0-9a-f]+`).FindString(text)
	to, err := url.Parse(a.send("198.51.100.1", "GET", link, "").Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	access := to.Query().Get("access_token") // what Evil's redirect URI gets
	if got := a.post("/account/password", m{"new_password": "chosen by the application"}, bearer(access)...); got.StatusCode == 200 {
		in := a.login(good, "nora@example.com", "chosen by the application")
		t.Errorf("Evil set a password with the token of its user, which signs in to Good: %d", in.StatusCode)
	}
}

// A token from before a reset must not change the account after it.
func TestTokenFromBeforeAResetIsNoProof(t *testing.T) {
	a := newHostile(t, dbtest.SQLite(t))
	demo := a.Client("Demo", nil)
	a.User("jane@example.com", "Jane", password, demo)
	thief := a.login(demo, "jane@example.com", password).get("access_token")
	a.Advance(time.Second)
	a.post("/auth/forgot-password", m{"email": "jane@example.com", "app_id": demo.ID})
	text, _ := a.Mail("jane@example.com")
	token := regexp.MustCompile(`token=([0-9a-f]{64})`).FindStringSubmatch(text)[1]
	if got := a.post("/auth/reset-password", m{"token": token, "password": "a quite new password"}); got.StatusCode != 200 {
		t.Fatal(got.text)
	}
	if got := a.post("/account/totp/setup", m{}, bearer(thief)...); got.StatusCode == 200 {
		t.Error("who was signed out by the reset sets up a second factor that locks the owner out")
	}
}

// Nobody may have us send mail after mail to an address that they only claim.
func TestAccountChangesAreLimited(t *testing.T) {
	a := newHostile(t, dbtest.SQLite(t))
	demo := a.Client("Demo", nil)
	got := a.post("/auth/signup", m{"email": "victim@example.com", "password": password, "display_name": "V", "app_id": demo.ID})
	access := got.get("access_token")
	setup := a.post("/account/totp/setup", m{"password": password}, bearer(access)...)
	code, err := totp.GenerateCode(setup.get("secret"), a.Now())
	if err != nil {
		t.Fatal(err)
	}
	if got := a.post("/account/totp/enable", m{"code": code}, bearer(access)...); got.StatusCode != 200 {
		t.Fatal(got.text)
	}
	before := a.Passwords.Stats().Hashes
	for _, body := range []m{{}, {"password": password}} {
		n := 0
		for range 100 {
			if a.post("/account/totp/backup-codes", body, bearer(access)...).StatusCode == 200 {
				n++
			}
		}
		if n > 20 {
			t.Errorf("%v: %d of 100 changes in one moment were taken, each with a mail to an address that nobody proved", body, n)
		}
	}
	if n := a.Passwords.Stats().Hashes - before; n > 20 {
		t.Errorf("one person had %d hashes computed in one moment", n)
	}
}

// The limit on a client's secret counts a client, not the spellings of its id.
func TestClientSecretLimitKnowsEverySpelling(t *testing.T) {
	a := newHostile(t, dbtest.SQLite(t))
	c := a.Client("Machine", func(c *client.Client) { c.SecretHash = client.HashSecret(a.Key, "guessable") })
	form := func(id, plain string) reply {
		v := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {plain}, "scope": {"users:read"}}
		return a.send("203.0.113.9", "POST", "/auth/token", v.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	}
	refused := 0
	id := string(c.ID)
	for i := range 40 {
		b := []byte(id)
		for at, n := 0, i; at < len(b) && n > 0; at++ {
			if 'a' <= b[at] && b[at] <= 'f' {
				if n&1 == 1 {
					b[at] -= 'a' - 'A'
				}
				n >>= 1
			}
		}
		if form(string(b), fmt.Sprint("wrong", i)).StatusCode == 429 {
			refused++
		}
	}
	if refused < 30 {
		t.Errorf("of 40 guesses under different spellings of one client_id only %d were limited", refused)
	}
}

// Made-up client ids fill neither the audit log nor the table of limits.
func TestUnknownClientsDoNotFillTheLog(t *testing.T) {
	a := newHostile(t, dbtest.SQLite(t))
	for range 300 {
		v := url.Values{"grant_type": {"client_credentials"}, "client_id": {identity.NewID()}, "client_secret": {"x"}, "scope": {"users:read"}}
		a.send("203.0.113.9", "POST", "/auth/token", v.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	}
	if n := a.count(`SELECT COUNT(*) FROM audit`); n > 150 {
		t.Errorf("300 requests from one address that name no client left %d entries in the audit log", n)
	}
}

func (a hostile) count(query string, args ...any) (n int64) {
	a.Write(func(ctx context.Context, tx *db.Tx) (err error) {
		n, err = db.One(ctx, tx, db.Int, query, args...)
		return err
	})
	return n
}

// Ending a session ends the tokens that began in it (design §6).
func TestEndingASessionEndsItsTokens(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		a := newHostile(t, d)
		demo := a.Client("Demo", nil)
		a.User("jane@example.com", "Jane", password, demo)
		thief := a.login(demo, "jane@example.com", password)
		owner := a.login(demo, "jane@example.com", password)
		list := a.send("203.0.113.9", "GET", "/account/sessions", "", bearer(owner.get("access_token"))...)
		for _, s := range list.json["sessions"].([]any) {
			a.send("203.0.113.9", "DELETE", "/account/sessions/"+s.(m)["id"].(string), "", bearer(owner.get("access_token"))...)
		}
		got := a.post("/token/refresh", m{"refresh_token": thief.get("refresh_token"), "app_id": demo.ID})
		if got.StatusCode == 200 {
			t.Error("a session was ended on the account page, and its refresh token still gives tokens")
		}
	})
}

// A form of another site takes nobody's session cookie away: SameSite=Lax keeps
// the cookie from it, but not the answer's Set-Cookie.
func TestCrossSiteLogoutLeavesTheCookie(t *testing.T) {
	a := newHostile(t, dbtest.SQLite(t))
	req := httptest.NewRequest("POST", "/auth/logout", strings.NewReader("x=1"))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	req.Header.Set("Origin", "https://evil.example")
	w := httptest.NewRecorder()
	a.h.ServeHTTP(w, req)
	if got := w.Header().Values("Set-Cookie"); len(got) > 0 {
		t.Errorf("a cross-site form without the cookie clears it: %v", got)
	}
}

// Signing out ends every session that the browser presents: below a prefix that
// may be two.
func TestLogoutEndsEverySessionPresented(t *testing.T) {
	a := newHostile(t, dbtest.SQLite(t))
	demo := a.Client("Demo", nil)
	a.User("jane@example.com", "Jane", password, demo)
	cookie := func() string { return a.login(demo, "jane@example.com", password).Cookies()[0].Value }
	one, two := cookie(), cookie()
	a.send("203.0.113.9", "POST", "/auth/logout", "", "Cookie", "km_sso="+one+"; km_sso="+two)
	for i, c := range []string{one, two} {
		if got := a.send("203.0.113.9", "GET", "/account/me", "", "Cookie", "km_sso="+c); got.StatusCode == 200 {
			t.Errorf("session %d of 2 is alive after the sign-out", i+1)
		}
	}
}

// Who proves a mailbox for the first time is not kept out by the second factor
// of whoever claimed it before.
func TestStrangersSecondFactorDoesNotOutliveTheProof(t *testing.T) {
	a := newHostile(t, dbtest.SQLite(t))
	demo := a.Client("Demo", nil)
	access := a.post("/auth/signup", m{"email": "victim@example.com", "password": password, "display_name": "V", "app_id": demo.ID}).get("access_token")
	setup := a.post("/account/totp/setup", m{"password": password}, bearer(access)...)
	code, _ := totp.GenerateCode(setup.get("secret"), a.Now())
	a.post("/account/totp/enable", m{"code": code}, bearer(access)...)
	a.Mail("victim@example.com")

	a.post("/auth/magic-link/request", m{"email": "victim@example.com", "app_id": demo.ID})
	text, _ := a.Mail("victim@example.com")
	link := regexp.MustCompile(`/auth/magic-link/verify\?token=[0-9a-f]+`).FindString(text)
	to := a.send("198.51.100.1", "GET", link, "").Header.Get("Location")
	if !strings.Contains(to, "access_token=") {
		t.Errorf("the owner of the address is asked for the stranger's second factor: %s", to)
	}
}

// A changed password ends what the old one began: half-done sign-ins too.
func TestChangedPasswordEndsHalfDoneSignIns(t *testing.T) {
	a := newHostile(t, dbtest.SQLite(t))
	demo := a.Client("Demo", nil)
	a.User("tom@example.com", "Tom", password, demo)
	access := a.login(demo, "tom@example.com", password).get("access_token")
	s := a.post("/account/totp/setup", m{"password": password}, bearer(access)...).get("secret")
	a.post("/account/totp/enable", m{"code": otpAt(t, s, a.Now())}, bearer(access)...)
	a.Advance(time.Minute)
	thief := a.login(demo, "tom@example.com", password).get("totp_session") // knows the password, and sees one code later
	if got := a.post("/account/password", m{"current_password": password, "new_password": "another good password"}, bearer(access)...); got.StatusCode != 200 {
		t.Fatal(got.text)
	}
	if got := a.post("/auth/totp/verify", m{"totp_session": thief, "code": otpAt(t, s, a.Now())}); got.StatusCode == 200 {
		t.Error("a sign-in that the old password began is completed after the change")
	}
}

// What somebody chose as their name writes no header and no link into a mail.
func TestNamesWriteNothingIntoMails(t *testing.T) {
	a := newHostile(t, dbtest.SQLite(t))
	demo := a.Client("Demo", nil)
	for i, name := range []string{
		"x\r\nBcc: eve@evil.example\r\n\r\nhello", "see https://evil.example/x now", "evil.example", "<a href=//evil.example>x</a>",
		"\u202egnp.elpmaxe.live", "click evil\u3002example", "www\uff0eevil\uff0eexample",
	} {
		to := fmt.Sprintf("victim%d@example.com", i)
		a.send(fmt.Sprintf("198.51.100.%d", i), "POST", "/auth/signup", toJSON(m{"email": to, "password": password, "display_name": name, "app_id": demo.ID}))
		text, ok := a.Mail(to)
		if !ok {
			t.Errorf("%q: no mail", name)
		}
		for _, bad := range []string{"evil", "Bcc", "\u202e"} {
			if strings.Contains(text, bad) {
				t.Errorf("%q reaches the mail: %s", name, text)
			}
		}
	}
}
