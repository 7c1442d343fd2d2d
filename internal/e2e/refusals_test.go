package e2e

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// operator is somebody with the right to administer, and the header that shows it.
func (s *story) operator(t *testing.T) (*visitor, []string) {
	t.Helper()
	v := s.visitor(t)
	tk := v.post("/auth/login", fields{"email": operatorEmail, "password": operatorPassword, "app_id": console}).tokens()
	s.secret(operatorPassword, tk.Access)
	return v, tk.bearer()
}

// id is a user's id by their address.
func (s *story) id(t *testing.T, email string) string {
	t.Helper()
	op, key := s.operator(t)
	var list struct{ Users []struct{ ID, Email string } }
	op.get("/admin/users?search="+email, key...).json(200, &list)
	for _, u := range list.Users {
		if u.Email == email {
			return u.ID
		}
	}
	t.Fatalf("no user %s in %+v", email, list)
	return ""
}

type invitation struct {
	ID, Email, Status string
	Code              *string
	URL               *string `json:"invite_url"`
	Roles             []string
}

func (s *story) inviteExisting(t *testing.T) {
	jane := s.jane.with(t)
	jane.post("/auth/login", fields{"email": janeEmail, "password": s.password, "app_id": members}).refused(403, "You do not have access")
	op, key := s.operator(t)
	var made invitation
	op.post("/admin/invites", fields{"app_id": members, "email": janeEmail, "roles": []string{"user", "manager"}}, key...).json(201, &made)
	if made.Code != nil || made.URL != nil || made.Status != "pending" {
		t.Errorf("got %+v: the code of somebody who has an account is for their mailbox alone", made)
	}
	link := s.arrival(t, janeEmail, "You are invited to Members")
	accept := fields{"app_id": members, "invite_code": strings.ToLower(link.Query().Get("code"))}
	s.secret(link.Query().Get("code"))
	// She has a second factor, so the code alone does not let her in.
	var owed struct {
		Status  string
		Session string `json:"totp_session"`
	}
	a := s.visitor(t).post("/auth/accept-invite", accept)
	a.json(200, &owed)
	if owed.Status != "totp_required" || a.cookie("km_sso") != nil {
		t.Errorf("got %s and cookie %v", a.body, a.cookie("km_sso"))
	}
	tk := jane.post("/auth/totp/verify", fields{"totp_session": owed.Session, "code": s.codes[0]}).tokens()
	s.codes = s.codes[1:]
	var verified struct{ Claims struct{ Roles []string } }
	jane.post("/token/verify", fields{"token": tk.Access, "audience": members}).json(200, &verified)
	if !slices.Equal(verified.Claims.Roles, made.Roles) {
		t.Errorf("got roles %v, want %v", verified.Claims.Roles, made.Roles)
	}
	jane.post("/auth/accept-invite", accept).refused(400, "Invalid or expired invite code")
	op.post("/admin/invites", fields{"app_id": members, "email": janeEmail}, key...).refused(400, "User already enrolled")
}

func (s *story) inviteNew(t *testing.T) {
	op, key := s.operator(t)
	var lost, made invitation
	op.post("/admin/invites", fields{"app_id": members, "email": "nina@example.com"}, key...).json(201, &lost)
	op.post("/admin/invites", fields{"app_id": members, "email": "nina@example.com"}, key...).json(201, &made)
	if made.Code == nil || len(*made.Code) != 8 || made.URL == nil || *made.URL != s.base+"/invite?app_id="+members+"&code="+*made.Code {
		t.Fatalf("got %+v", made)
	}
	s.secret(*made.Code)
	v := s.visitor(t)
	body := fields{"app_id": members, "invite_code": *lost.Code, "email": "nina@example.com", "display_name": "Nina New", "password": "nina-has-a-password"}
	v.post("/auth/accept-invite", body).refused(400, "Invalid or expired invite code") // the later one took its place
	body["invite_code"] = *made.Code
	v.post("/auth/accept-invite", body).tokens()
	v.post("/auth/login", fields{"email": "nina@example.com", "password": "nina-has-a-password", "app_id": members}).tokens()
	// An invitation that was taken back, and one by the resource file's command line.
	op.post("/admin/invites", fields{"app_id": members, "email": "rita@example.com"}, key...).json(201, &made)
	op.send("DELETE", "/admin/invites/"+made.ID, "", "", key...).is(200, `{"status":"ok"}`)
	v.post("/auth/accept-invite", fields{"app_id": members, "invite_code": *made.Code, "email": "rita@example.com", "display_name": "R"}).
		refused(400, "Invalid or expired invite code")
}

func (s *story) approval(t *testing.T) {
	v := s.visitor(t)
	v.post("/auth/signup", fields{"email": "ada@example.com", "password": "ada-has-a-password", "display_name": "Ada", "app_id": vetted}).
		is(200, `{"status":"pending_approval"}`)
	login := fields{"email": "ada@example.com", "password": "ada-has-a-password", "app_id": vetted}
	v.post("/auth/login", login).refused(403, "Account pending approval")
	op, key := s.operator(t)
	op.post("/admin/users/"+s.id(t, "ada@example.com")+"/approve", fields{"app_id": vetted}, key...).is(200, `{"status":"ok"}`)
	v.post("/auth/login", login).tokens()
	s.visitor(t).post("/auth/login", fields{"email": "pat@example.com", "password": "pat-has-a-password", "app_id": vetted}).
		refused(403, "Account pending approval")
}

func (s *story) suspend(t *testing.T) {
	v := s.visitor(t)
	join := fields{"email": "uma@example.com", "password": "uma-has-a-password", "display_name": "Uma", "app_id": demo}
	tk := v.post("/auth/signup", join).tokens()
	op, key := s.operator(t)
	user := "/admin/users/" + s.id(t, "uma@example.com")
	op.post(user+"/suspend", fields{"app_id": demo}, key...).is(200, `{"status":"ok"}`)
	v.post("/auth/login", join).refused(403, "Account suspended")
	use := fields{"refresh_token": tk.Refresh, "app_id": demo}
	v.post("/token/refresh", use).refused(403, "Account suspended")
	join["app_id"] = modern // suspended in one app, not in another
	v.post("/auth/login", join).tokens()
	op.post(user+"/unsuspend", fields{"app_id": demo}, key...).is(200, `{"status":"ok"}`)
	v.post("/token/refresh", use).refused(401, "Invalid or expired refresh token") // it has ended for good
	join["app_id"] = demo
	v.post("/auth/login", join).tokens()
}

func (s *story) refuseLogin(t *testing.T) {
	for _, c := range []struct {
		email, password, app string
		status               int
		detail               string
	}{
		{janeEmail, s.password, "00000000-0000-4000-8000-00000000dead", 400, "Invalid app_id"},
		{janeEmail, s.password, "no-uuid", 400, "Invalid app_id"},
		{janeEmail, s.password, closed, 400, "Invalid app_id"},
		{janeEmail, s.password, links, 400, "Password login not enabled"},
		{janeEmail, "wrong_password", demo, 401, "Invalid email or password"},
		{"nobody@example.com", "their_password", demo, 401, "Invalid email or password"},
		{"max@example.com", "their_password", demo, 401, "Invalid email or password"}, // has no password
		{"pat@example.com", "pat-has-a-password", members, 403, "You do not have access"},
		{"sam@example.com", "sam-has-a-password", demo, 403, "Account suspended"},
		{"sam@example.com", "not-sams-password", demo, 401, "Invalid email or password"},
	} {
		s.visitor(t).post("/auth/login", fields{"email": c.email, "password": c.password, "app_id": c.app}).refused(c.status, c.detail)
	}
	s.visitor(t).post("/auth/login", fields{"email": "sam@example.com", "password": "sam-has-a-password", "app_id": strict}).
		is(403, `{"detail":{"error":"2fa_required","message":"This app requires two-factor authentication.","setup_url":"/account"}}`)
	// Five for an address, from wherever, and whether it has an account or not.
	for _, email := range []string{"pat@example.com", "nobody-at-all@example.com"} {
		for range 5 {
			s.visitor(t).post("/auth/login", fields{"email": email, "password": "guess-a-password", "app_id": demo}).refused(401, "Invalid email or password")
		}
		s.visitor(t).post("/auth/login", fields{"email": email, "password": "guess-a-password", "app_id": demo}).refused(429, "rate_limited")
	}
	// Twenty for a network address.
	v := s.visitor(t)
	for i := range 20 {
		v.post("/auth/login", fields{"email": "n" + strconv.Itoa(i) + "@example.com", "password": "guess-a-password", "app_id": demo}).refused(401, "Invalid email or password")
	}
	v.post("/auth/login", fields{"email": "n20@example.com", "password": "guess-a-password", "app_id": demo}).refused(429, "rate_limited")
}

func (s *story) refuseTOTP(t *testing.T) {
	const secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" // of tess in testdata
	v := s.visitor(t)
	for _, raw := range []string{"nonsense", s.tokens.Access, s.tokens.Refresh} {
		v.post("/auth/totp/verify", fields{"totp_session": raw, "code": "123456"}).refused(400, "Invalid or expired TOTP session")
	}
	var owed struct {
		Session string `json:"totp_session"`
	}
	v.post("/auth/login", fields{"email": "tess@example.com", "password": "tess-has-a-password", "app_id": strict}).json(200, &owed)
	var good []string
	for step := range 7 {
		good = append(good, code(t, secret, time.Now().Add(time.Duration(step-3)*30*time.Second)))
	}
	wrong := 0
	for slices.Contains(good, pad(wrong)) {
		wrong++
	}
	for range 5 {
		v.post("/auth/totp/verify", fields{"totp_session": owed.Session, "code": pad(wrong)}).refused(401, "Invalid TOTP code")
	}
	v.post("/auth/totp/verify", fields{"totp_session": owed.Session, "code": pad(wrong)}).refused(429, "Too many TOTP attempts")
	// The session has ended with that, and a new one is under the same limit.
	v.post("/auth/totp/verify", fields{"totp_session": owed.Session, "code": code(t, secret, time.Now())}).refused(400, "Invalid or expired TOTP session")
	v.post("/auth/login", fields{"email": "tess@example.com", "password": "tess-has-a-password", "app_id": demo}).json(200, &owed)
	v.post("/auth/totp/verify", fields{"totp_session": owed.Session, "code": code(t, secret, time.Now())}).refused(429, "Too many TOTP attempts")
}

// pad writes n as six digits.
func pad(n int) string { return strconv.Itoa(1_000_000 + n)[1:] }

func (s *story) refuseSignUp(t *testing.T) {
	for _, c := range []struct {
		email, password, app string
		detail               string
	}{
		{"new@example.com", "their_password", members, "This app requires an invite code"},
		{janeEmail, "their_password", members, "This app requires an invite code"}, // tells nothing about who exists
		{janeEmail, "their_password", demo, "Account already exists"},
		{operatorEmail, "their_password", demo, "Account already exists"}, // not even enrolled there
		{"new@example.com", "short", demo, "Password must be at least 8 characters"},
		{"new@example.com", "thirteenchars", lengthy, "Password must be at least 14 characters"},
		{"new@example.com", "their_password", closed, "Invalid app_id"},
		{"new@example.com", "their_password", links, "Password login not enabled"},
	} {
		s.visitor(t).post("/auth/signup", fields{"email": c.email, "password": c.password, "display_name": "New", "app_id": c.app}).refused(400, c.detail)
	}
	v := s.visitor(t)
	for range 10 {
		v.post("/auth/signup", fields{"email": janeEmail, "password": "their_password", "display_name": "New", "app_id": demo}).refused(400, "Account already exists")
	}
	v.post("/auth/signup", fields{"email": "new@example.com", "password": "their_password", "display_name": "New", "app_id": demo}).refused(429, "rate_limited")
}

func (s *story) refuseLinks(t *testing.T) {
	v := s.visitor(t)
	v.post("/auth/accept-invite", fields{"app_id": members, "invite_code": "ABCD1234", "email": "x@example.com", "display_name": "X"}).
		refused(400, "Invalid or expired invite code")
	v.post("/auth/reset-password", fields{"token": strings.Repeat("0", 64), "password": "their_password"}).refused(400, "Invalid or expired reset token")
	v.post("/auth/magic-link/request", fields{"email": "x@example.com", "app_id": vetted}).refused(400, "Magic link login not enabled")
	to := v.get("/auth/magic-link/verify?token=" + strings.Repeat("0", 64)).location(302)
	if to.String() != "/login?error=invalid_magic_link" {
		t.Errorf("got redirected to %s", to)
	}
	v.post("/token/refresh", fields{"refresh_token": strings.Repeat("0", 64), "app_id": demo}).refused(401, "Invalid or expired refresh token")
	v.get("/account/me").refused(401, "Not authenticated")
	v.post("/auth/login", fields{"email": 1, "app_id": demo}).want(422)
	v.send("POST", "/auth/login", "text/plain", "{}").want(415)
	v.send("PUT", "/auth/login", "application/json", "{}").want(405)
}
