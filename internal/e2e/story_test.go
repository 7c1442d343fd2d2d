package e2e

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"sallyport/internal/mail/mailtest"
)

// TestStory is what the Keymaster contract's users do, in the order in which
// they do it, with nothing but HTTP and the mail that arrives.
func TestStory(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		n := s.serve()
		st := &story{site: s, secrets: map[string]bool{}}
		for _, step := range []struct {
			name string
			do   func(t *testing.T)
		}{
			{"sign up and verify by mail", st.signUp},
			{"log in", st.logIn},
			{"enrol TOTP and log in with it", st.secondFactor},
			{"refresh, and reuse ends the family", st.refresh},
			{"forgot and reset", st.reset},
			{"magic link", st.magicLink},
			{"invite an existing user", st.inviteExisting},
			{"invite a new user", st.inviteNew},
			{"approval", st.approval},
			{"suspend", st.suspend},
			{"every refusal of login", st.refuseLogin},
			{"every refusal of TOTP", st.refuseTOTP},
			{"every refusal of sign-up", st.refuseSignUp},
			{"every refusal of links and codes", st.refuseLinks},
		} {
			if !t.Run(step.name, step.do) {
				return
			}
		}
		n.stop()
		for secret := range st.secrets {
			if strings.Contains(n.log.String(), secret) {
				t.Errorf("the log holds the secret %q", secret)
			}
		}
	})
}

// story remembers what one step leaves to the next: Jane, the person it is
// about. secrets are what must not be in the log.
type story struct {
	*site
	jane     *visitor
	password string
	tokens   tokens
	totp     string // secret
	codes    []string
	secrets  map[string]bool
}

const janeEmail = "jane@example.com"

// secret notes what must not be logged.
func (s *story) secret(all ...string) {
	for _, one := range all {
		s.secrets[one] = true
	}
}

// arrival is the newest mail to an address and its link.
func (s *story) arrival(t *testing.T, to, subject string) *url.URL {
	t.Helper()
	var m mailtest.Message
	for m.Subject != subject {
		m = s.sink.WaitFor(t, to) // fails when there is no further one
	}
	u, err := url.Parse(m.Link())
	if err != nil || !strings.HasPrefix(m.Link(), s.base+"/") || !strings.Contains(m.HTML, strings.ReplaceAll(m.Link(), "&", "&amp;")) {
		t.Fatalf("mail %q: got link %q (%v), want one of this site in both parts", m.Subject, m.Link(), err)
	}
	s.secret(u.Query().Get("token"))
	delete(s.secrets, "")
	return u
}

func (s *story) login(t *testing.T, v *visitor, app string) answer {
	t.Helper()
	return v.with(t).post("/auth/login", fields{"email": janeEmail, "password": s.password, "app_id": app})
}

func (s *story) signUp(t *testing.T) {
	s.jane, s.password = s.visitor(t), "their_password"
	s.secret(s.password)
	a := s.jane.post("/auth/signup", fields{"email": "Jane@Example.com ", "password": s.password, "display_name": "Jane Doe", "app_id": demo})
	s.tokens = a.tokens()
	s.secret(s.tokens.Access, s.tokens.Refresh)
	if c := a.cookie("km_sso"); c == nil || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.MaxAge != 28800 || c.Path != "/" {
		t.Errorf("got cookie %v, want km_sso for 8 hours", c)
	}
	// The mail's link shows a button, and a scanner that follows it confirms nothing.
	link := s.arrival(t, janeEmail, "Confirm your address for Demo")
	page := s.jane.get(link.String()).want(200)
	form := url.Values{"csrf": {page.input("csrf")}, "token": {page.input("token")}}
	forged := url.Values{"csrf": {strings.Repeat("0", 64)}, "token": form["token"]}
	s.jane.submit("/verify-email", forged).want(403)
	s.visitor(t).submit("/verify-email", form).want(403) // of another browser
	done := s.jane.submit("/verify-email", form).want(200)
	if !strings.Contains(string(done.body), "confirmed") {
		t.Errorf("got page\n%s", done.body)
	}
	s.jane.submit("/verify-email", form).want(400) // once
}

func (s *story) logIn(t *testing.T) {
	tk := s.login(t, s.jane, demo).tokens()
	var verified struct {
		Valid  bool
		Claims map[string]any
	}
	s.jane.with(t).post("/token/verify", fields{"token": tk.Access, "audience": demo}).json(200, &verified)
	c := verified.Claims
	if !verified.Valid || c["email"] != janeEmail || c["name"] != "Jane Doe" || c["aud"] != demo || c["iss"] != s.base || c["exp"].(float64)-c["iat"].(float64) != 900 {
		t.Errorf("got claims %v", c)
	}
	var me map[string]any
	s.jane.with(t).get("/account/me", tk.bearer()...).json(200, &me)
	if me["email"] != janeEmail || me["totp_enabled"] != false || me["has_password"] != true {
		t.Errorf("got account %v", me)
	}
}

func (s *story) secondFactor(t *testing.T) {
	jane := s.jane.with(t)
	tk := s.login(t, s.jane, demo).tokens()
	var setup struct {
		Secret string `json:"secret"`
		URI    string `json:"otpauth_uri"`
	}
	jane.post("/account/totp/setup", fields{"password": s.password}, tk.bearer()...).json(200, &setup)
	if want := "otpauth://totp/Keymaster:jane%40example.com?secret=" + setup.Secret + "&issuer=Keymaster&algorithm=SHA1&digits=6&period=30"; setup.URI != want {
		t.Errorf("got %s, want %s", setup.URI, want)
	}
	now := time.Now()
	var enabled struct {
		Status string   `json:"status"`
		Codes  []string `json:"backup_codes"`
	}
	jane.post("/account/totp/enable", fields{"code": code(t, setup.Secret, now)}, tk.bearer()...).json(200, &enabled)
	if enabled.Status != "ok" || len(enabled.Codes) != 10 {
		t.Fatalf("got %+v, want ten backup codes", enabled)
	}
	s.totp, s.codes = setup.Secret, enabled.Codes
	s.secret(setup.Secret)
	s.secret(enabled.Codes...)

	session := s.challenge(t, demo)
	// That step is spent by enabling; the next one is good already.
	jane.post("/auth/totp/verify", fields{"totp_session": session, "code": code(t, s.totp, now)}).refused(401, "Invalid TOTP code")
	a := jane.post("/auth/totp/verify", fields{"totp_session": session, "code": code(t, s.totp, now.Add(30*time.Second))})
	s.tokens = a.tokens()
	jane.post("/auth/totp/verify", fields{"totp_session": session, "code": s.codes[0]}).refused(400, "Invalid or expired TOTP session")
}

// challenge logs Jane in as far as her password goes.
func (s *story) challenge(t *testing.T, app string) string {
	t.Helper()
	var owed struct {
		Status  string `json:"status"`
		Session string `json:"totp_session"`
	}
	s.login(t, s.jane, app).json(200, &owed)
	if owed.Status != "totp_required" || owed.Session == "" {
		t.Fatalf("got %+v, want a TOTP challenge", owed)
	}
	s.secret(owed.Session)
	return owed.Session
}

// complete logs Jane in with a backup code.
func (s *story) complete(t *testing.T, app string) tokens {
	t.Helper()
	spent := s.codes[0]
	s.codes = s.codes[1:]
	return s.jane.with(t).post("/auth/totp/verify", fields{"totp_session": s.challenge(t, app), "code": spent}).tokens()
}

func (s *story) refresh(t *testing.T) {
	jane := s.jane.with(t)
	use := func(raw string) answer {
		s.secret(raw)
		return jane.post("/token/refresh", fields{"refresh_token": raw, "app_id": demo})
	}
	beside := s.complete(t, demo) // a second device of hers
	first := s.tokens.Refresh
	jane.post("/token/refresh", fields{"refresh_token": first, "app_id": modern}).refused(401, "Token does not belong to this app")
	second := use(first).tokens().Refresh
	third := use(second).tokens().Refresh
	if first == second || second == third {
		t.Fatal("a refresh token was not rotated")
	}
	use(first).refused(401, "Invalid or expired refresh token")
	for _, raw := range []string{third, beside.Refresh} {
		use(raw).refused(401, "Invalid or expired refresh token")
	}
	// Revoking is quiet, and of that token alone.
	here, there := s.complete(t, demo), s.complete(t, demo)
	for range 2 {
		jane.post("/token/revoke", fields{"refresh_token": here.Refresh}).is(200, `{"status":"ok"}`)
	}
	use(here.Refresh).refused(401, "Invalid or expired refresh token")
	s.tokens = use(there.Refresh).tokens()
}

func (s *story) reset(t *testing.T) {
	jane := s.jane.with(t)
	const sent = `{"detail":"If an account exists with that email, a reset link has been sent."}`
	jane.post("/auth/forgot-password", fields{"email": "nobody@example.com", "app_id": demo}).is(200, sent)
	ask := func() string {
		jane.post("/auth/forgot-password", fields{"email": janeEmail, "app_id": demo}).is(200, sent)
		return s.arrival(t, janeEmail, "Choose a new password for Demo").Query().Get("token")
	}
	other, link := ask(), ask()
	old := s.password
	jane.post("/auth/reset-password", fields{"token": link, "password": "short"}).refused(400, "Password must be at least 8 characters")
	s.password = "new_secure_password"
	s.secret(s.password)
	jane.post("/auth/reset-password", fields{"token": link, "password": s.password}).is(200, `{"status":"ok"}`)
	for _, dead := range []string{link, other} {
		jane.post("/auth/reset-password", fields{"token": dead, "password": "another_password"}).refused(400, "Invalid or expired reset token")
	}
	// Sessions and refresh tokens have ended with the old password.
	jane.post("/token/refresh", fields{"refresh_token": s.tokens.Refresh, "app_id": demo}).refused(401, "Invalid or expired refresh token")
	jane.get("/account/me").refused(401, "Not authenticated")
	jane.post("/auth/login", fields{"email": janeEmail, "password": old, "app_id": demo}).refused(401, "Invalid email or password")
	s.tokens = s.complete(t, demo)
}

func (s *story) magicLink(t *testing.T) {
	v := s.visitor(t)
	v.post("/auth/magic-link/request", fields{"email": "max@example.com", "app_id": links}).is(200, `{"status":"sent"}`)
	link := s.arrival(t, "max@example.com", "Sign in to Links only")
	v.send("HEAD", link.String(), "", "").want(200) // spends nothing
	to := v.get(link.String()).location(302)
	got := tokens{Access: to.Query().Get("access_token"), Refresh: to.Query().Get("refresh_token")}
	to.RawQuery = ""
	if to.String() != "http://localhost:3000/links" {
		t.Errorf("got redirected to %s", to)
	}
	s.secret(got.Access, got.Refresh)
	v.post("/token/refresh", fields{"refresh_token": got.Refresh, "app_id": links}).tokens()
	// Once: the second click ends on the login page.
	to = v.get(link.String()).location(302)
	if to.Path != "/login" || to.Query().Get("error") != "invalid_magic_link" {
		t.Errorf("second click: got redirected to %s", to)
	}
	// Whoever signs in by a link owes the second factor too.
	jane := s.visitor(t)
	jane.post("/auth/magic-link/request", fields{"email": janeEmail, "app_id": demo, "redirect_uri": callback}).is(200, `{"status":"sent"}`)
	to = jane.get(s.arrival(t, janeEmail, "Sign in to Demo").String()).location(302)
	session, owed := strings.CutPrefix(to.Fragment, "totp_session=")
	if to.Path != "/login" || !owed {
		t.Fatalf("got redirected to %s, want the second factor", to)
	}
	jane.post("/auth/totp/verify", fields{"totp_session": session, "code": s.codes[0]}).tokens()
	s.codes = s.codes[1:]
}

// with is the same visitor in another step of the test.
func (v visitor) with(t testing.TB) *visitor {
	v.t = t
	return &v
}

// cookie is a cookie that an answer sets, or nil.
func (a answer) cookie(name string) *http.Cookie {
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// input is the value of a hidden field of a page.
func (a answer) input(name string) string {
	a.t.Helper()
	m := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindSubmatch(a.body)
	if m == nil {
		a.t.Fatalf("%s: no field %s in\n%s", a.what, name, a.body)
	}
	return string(m[1])
}

// location demands a redirect and says where to.
func (a answer) location(status int) *url.URL {
	a.t.Helper()
	u, err := url.Parse(a.want(status).header.Get("Location"))
	if err != nil {
		a.t.Fatal(err)
	}
	return u
}

func code(t testing.TB, secret string, at time.Time) string {
	t.Helper()
	c, err := totp.GenerateCode(secret, at)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
