package hackillinois_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/jwks"
	"sallyport/internal/session"
	"sallyport/internal/upstream/upstreamtest"
)

// refused fails unless the gate says nothing.
func refused(t testing.TB, about string, w *httptest.ResponseRecorder) {
	t.Helper()
	want(t, about, w, 403, "")
	if ct := w.Header().Get("Content-Type"); ct != "" {
		t.Errorf("%s: Content-Type %s", about, ct)
	}
}

const janesRoles = `{"id":"github6892396","roles":["User"]}` + "\n"

func TestW05TheSecretRotates(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSite(t, d)
		old := s.login("github", "")
		fresh := []byte("ZmM0ZjQ0M2EtNmM1Yy00ZDg5LWE5NWEtMm")
		s.sign(fresh, tokenSecret)
		want(t, "by the previous secret", s.get("/auth/roles/", old), 200, janesRoles)
		now := s.login("github", "")
		want(t, "by the current one", s.get("/auth/roles/", now), 200, janesRoles)
		if head, _, _ := strings.Cut(now, "."); head != "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9" {
			t.Errorf("the header is %s, not the seed's", head)
		}
		input, sig := now[:strings.LastIndexByte(now, '.')], now[strings.LastIndexByte(now, '.')+1:]
		if made := forgeHS256(decoded(t, strings.Split(input, ".")[1]), fresh); made != now {
			t.Errorf("the signature %s is not that of the secret as raw bytes", sig)
		}
		refused(t, "by the previous one, of a forger", s.get("/auth/roles/", forgeHS256(changed(t, old, map[string]any{"jti": nil}), previousSecret)))
		s.sign(fresh, nil)
		refused(t, "after it was taken away", s.get("/auth/roles/", old))
		want(t, "the other", s.get("/auth/roles/", now), 200, janesRoles)

		err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			_, err := jwks.SetClientSecret(ctx, tx, s.rig.Key, s.client.ID, []byte("secret_string"), s.rig.Now())
			return err
		})
		if err == nil || !jwks.WellKnown([]byte("secret_string")) {
			t.Errorf("the original's default secret is taken: %v", err)
		}
	})
}

func decoded(t testing.TB, part string) string {
	t.Helper()
	text, err := b64.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestW06OnlyOneKindOfTokenIsGood(t *testing.T) {
	s := newSite(t, dbtest.SQLite(t))
	token := s.login("github", "")
	for name, forged := range forgeries(t, changed(t, token, nil), tokenSecret) {
		refused(t, name, s.get("/auth/roles/", forged))
	}
	now := s.rig.Now().Unix()
	for name, with := range map[string]map[string]any{
		"exp 0": {"exp": 0}, "no exp": {"exp": nil}, "exp a text": {"exp": "9999999999"}, "exp now": {"exp": now}, "exp -1": {"exp": -1}, "exp null-like": {"exp": []int{}},
		"iat in the future": {"iat": now + 120}, "nbf in the future": {"nbf": now + 120},
		"another aud": {"aud": "7f3c2e0a-6b1f-4e0e-9c55-0a4f5d1b8e11"}, "no aud": {"aud": nil}, "a list of aud": {"aud": []string{string(s.client.ID)}},
		"another iss": {"iss": "https://evil.example"}, "no iss": {"iss": nil},
		"another sid": {"sid": "0197c5a0-0000-7000-8000-000000000000"}, "no sid": {"sid": nil},
		"a QR token": {"id": nil, "userId": "github6892396"},
	} {
		refused(t, name, s.get("/auth/roles/", forgeHS256(changed(t, token, with), tokenSecret)))
	}
	want(t, "iat a little ahead", s.get("/auth/roles/", forgeHS256(changed(t, token, map[string]any{"iat": now + 30}), tokenSecret)), 200, janesRoles)
	for name, raw := range map[string]string{
		"empty": "", "null": "null", "garbage": "x", "two dots": "..", "with a newline": token + "\n.", "cut": token[:len(token)-2], "Basic": "Basic " + token,
		"twice": token + ", " + token, "Bearer alone": "Bearer", "another last letter": otherSpelling(token),
	} {
		refused(t, name, s.get("/auth/roles/", raw))
	}
}

// otherSpelling is a token whose signature has the same bytes in other letters:
// the last letter of 43 has two bits that mean nothing.
func otherSpelling(token string) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	i := strings.IndexByte(letters, token[len(token)-1])
	return token[:len(token)-1] + string(letters[i^1])
}

func TestW07TokensCanBeRevoked(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSite(t, d)
		first, second := s.login("github", ""), s.login("github", "")
		fresh := s.tokenOf(s.get("/auth/token/refresh/", first))
		sid := func(token string) session.ID { return session.ID(payload(t, token)["sid"].(string)) }
		end := func(id session.ID) {
			s.rig.Write(func(ctx context.Context, tx *db.Tx) error {
				u, err := identity.ByAlias(ctx, tx, string(s.client.ID), "github6892396")
				if err == nil {
					_, err = session.End(ctx, tx, u.ID, id)
				}
				return err
			})
		}
		end(sid(first))
		refused(t, "after its session ended", s.get("/auth/roles/", first))
		refused(t, "refreshed from it", s.get("/auth/roles/", fresh))
		refused(t, "refresh after that", s.get("/auth/token/refresh/", fresh))
		want(t, "of another login", s.get("/auth/roles/", second), 200, janesRoles)

		// The original's tokens, which have no jti: not unless the operator says so,
		// and not for longer.
		legacy := forgeHS256(fmt.Sprintf(`{"email":"jane@gmail.com","exp":%d,"id":"github6892396","roles":["User","Admin"]}`, s.rig.Now().Add(365*24*time.Hour).Unix()), previousSecret)
		refused(t, "no jti", s.get("/auth/roles/", legacy))
		s.sign(tokenSecret, previousSecret)
		refused(t, "no jti, and no date", s.get("/auth/roles/", legacy))
		s.settings.LegacyUntil = s.rig.Now().Add(168 * time.Hour)
		want(t, "until the date", s.get("/auth/roles/", legacy), 200, janesRoles)
		refused(t, "by the secret that the original never had", s.get("/auth/roles/", forgeHS256(changed(t, legacy, nil), tokenSecret)))
		refused(t, "with a role that only the token says", s.get("/auth/roles/list/", legacy))
		renewed := s.tokenOf(s.get("/auth/token/refresh/", legacy))
		want(t, "what it was renewed to", s.get("/auth/roles/", renewed), 200, janesRoles)
		s.rig.Advance(168 * time.Hour)
		refused(t, "hand-minted, with a far-away exp", s.get("/auth/roles/", legacy))
	})
}

func TestW07TheChainEnds(t *testing.T) {
	s := newSite(t, dbtest.SQLite(t))
	s.settings.RenewWithin = 10 * 24 * time.Hour
	token := s.login("github", "")
	s.rig.Advance(160 * time.Hour)
	token = s.tokenOf(s.get("/auth/token/refresh/", token))
	s.rig.Advance(80 * time.Hour) // 240 hours
	refused(t, "ten days after the login", s.get("/auth/token/refresh/", token))
	want(t, "the token itself", s.get("/auth/roles/", token), 200, janesRoles)
	s.rig.Advance(88 * time.Hour)
	refused(t, "the token at its end", s.get("/auth/roles/", token))
}

func TestW08RolesAreThoseOfNow(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSite(t, d)
		admin := s.admin()
		jane := s.login("github", "")
		want(t, "made Admin", s.put("add", admin, "github6892396", "Admin"), 200, `{"id":"github6892396","roles":["User","Admin"]}`+"\n")
		refused(t, "before a refresh", s.get("/auth/roles/list/", jane))
		jane = s.tokenOf(s.get("/auth/token/refresh/", jane))
		if w := s.get("/auth/roles/list/", jane); w.Code != 200 {
			t.Errorf("after a refresh: %d", w.Code)
		}
		want(t, "withdrawn", s.put("remove", admin, "github6892396", "Admin"), 200, janesRoles)
		refused(t, "at once", s.get("/auth/roles/list/", jane))
		refused(t, "to give it back", s.put("add", jane, "github6892396", "Admin"))
	})
}

func TestW13RoleNamesAreValidAndAnAdminStays(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSite(t, d)
		admin := s.admin()
		for _, role := range []string{"", "admin", "ADMIN", "Admin ", " Admin", "Wizard", "Аdmin", "User,Admin", strings.Repeat("x", 5000)} {
			if w := s.put("add", admin, "github1290381", role); w.Code != 422 || !strings.Contains(w.Body.String(), "MALFORMED_REQUEST_ERROR") {
				t.Errorf("role %.20q: %d %s", role, w.Code, w.Body)
			}
		}
		// Two administrators take each other's role at once: one of them keeps it.
		s.login("github", "")
		s.put("add", admin, "github6892396", "Admin")
		jane := s.login("github", "")
		var wg sync.WaitGroup
		wg.Go(func() { s.put("remove", jane, "github1290381", "Admin") })
		wg.Go(func() { s.put("remove", admin, "github6892396", "Admin") })
		wg.Wait()
		left := 0
		for _, token := range []string{admin, jane} {
			if w := s.get("/auth/roles/list/Admin/", token); w.Code == 200 {
				left++
				if n := strings.Count(w.Body.String(), "github"); n != 1 {
					t.Errorf("%d administrators: %s", n, w.Body)
				}
			}
		}
		if left != 1 {
			t.Errorf("%d of two administrators are left", left)
		}
	})
}

func TestW14NothingIsLostOrDoubled(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSite(t, d)
		admin := s.admin()
		// A double first login of one person.
		var codes []string
		for range 8 {
			codes = append(codes, s.code("github", "", ""))
		}
		before := s.count("users")
		var wg sync.WaitGroup
		ids := make([]string, len(codes))
		for i, code := range codes {
			wg.Go(func() {
				var out struct{ Token string }
				if w := s.redeem("github", code, ""); json.Unmarshal(w.Body.Bytes(), &out) == nil && w.Code == 200 {
					ids[i] = fmt.Sprint(payload(t, out.Token)["id"])
				}
			})
		}
		wg.Wait()
		if slices.ContainsFunc(ids, func(id string) bool { return id != "github6892396" }) {
			t.Errorf("ids %q", ids)
		}
		if after := s.count("users"); before != "users 1 " || after != "users 2 " {
			t.Errorf("users before %s, after %s", before, after)
		}
		// Roles added and removed at once.
		roles := []string{"Staff", "Mentor", "Applicant", "Attendee", "Sponsor", "Blobstore"}
		for _, role := range roles {
			wg.Go(func() { s.put("add", admin, "github6892396", role) })
		}
		wg.Wait()
		var got struct{ Roles []string }
		if err := json.Unmarshal(s.get("/auth/roles/github6892396/", admin).Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		slices.Sort(got.Roles)
		if want := slices.Sorted(slices.Values(append(roles, "User"))); !slices.Equal(got.Roles, want) {
			t.Errorf("roles %q, want %q", got.Roles, want)
		}
	})
}

func TestW15ImpersonationIsBounded(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSite(t, d)
		admin := s.admin()
		s.login("github", "")
		s.login("google", "908290138109283982388")
		const as, stan = "HackIllinois-Impersonation", "google908290138109283982388"
		acting := s.tokenOf(s.get("/auth/token/refresh/", admin, as, stan))
		c := payload(t, acting)
		if act := c["act"].(map[string]any); act["sub"] != "github1290381" || c["id"] != stan || c["exp"].(float64) != float64(s.rig.Now().Add(time.Hour).Unix()) {
			t.Errorf("claims %v", c)
		}
		refused(t, "as somebody else again", s.get("/auth/token/refresh/", acting, as, "github6892396"))
		if n := s.audited("user.impersonated", stan); n != 1 {
			t.Errorf("%d entries in the audit log, want 1", n)
		}
		// Whoever holds Admin is nobody to be, now or later.
		s.put("add", admin, "github6892396", "Admin")
		refused(t, "as an Admin", s.get("/auth/token/refresh/", admin, as, "github6892396"))
		s.put("add", admin, stan, "Admin")
		refused(t, "as one who became Admin", s.get("/auth/roles/", acting))
		s.put("remove", admin, stan, "Admin")
		want(t, "and is no more", s.get("/auth/roles/", acting), 200, `{"id":"`+stan+`","roles":["User","Staff"]}`+"\n")
		// It ends with the administrator's own power.
		jane := s.login("github", "")
		s.put("remove", jane, "github1290381", "Admin")
		refused(t, "by one who is Admin no more", s.get("/auth/roles/", acting))
		refused(t, "the header of one who is Admin no more", s.get("/auth/roles/list/", admin, as, "github6892396"))
		want(t, "which is ignored", s.get("/auth/roles/", admin, as, "github6892396"), 200, `{"id":"github1290381","roles":["User","Staff"]}`+"\n")
		s.settings.Impersonation = false
		own := s.tokenOf(s.get("/auth/token/refresh/", jane, as, stan))
		if payload(t, own)["id"] != "github6892396" {
			t.Error("impersonation is off, and the header is not ignored")
		}
	})
}

func TestW17MalformedJSONDoesNothing(t *testing.T) {
	s := newSite(t, dbtest.SQLite(t))
	admin := s.admin()
	s.login("github", "")
	for _, body := range []string{
		`{"id":"github6892396","role":"Admin"`, `{"id":"github6892396","role":"Admin"}{}`, `{"id":"github6892396","role":"Admin",}`, "\x00", `{'id':'x'}`,
		`{"id":"github6892396","role":"Admin"} junk`, strings.Repeat("[", 100000),
	} {
		w := s.ask("PUT", "/auth/roles/add/", body, "Authorization", admin)
		want(t, fmt.Sprintf("%.40q", body), w, 422, `{"status":422,"type":"MALFORMED_REQUEST_ERROR","message":"Could not read request body."}`+"\n")
	}
	large := `{"id":"github6892396","role":"Admin","x":"` + strings.Repeat("x", 1<<20) + `"}`
	want(t, "over 1 MiB", s.ask("PUT", "/auth/roles/add/", large, "Authorization", admin), 413, `{"status":413,"type":"MALFORMED_REQUEST_ERROR","message":"Request body is too large."}`+"\n")
	want(t, "after all that", s.get("/auth/roles/github6892396/", admin), 200, janesRoles)
}

func TestW18OddClaimsAreRefused(t *testing.T) {
	s := newSite(t, dbtest.SQLite(t))
	token := s.login("github", "")
	for name, with := range map[string]map[string]any{
		"no id": {"id": nil}, "a number for an id": {"id": 0}, "an empty id": {"id": ""}, "an object for an id": {"id": map[string]any{}}, "nobody's id": {"id": "github1"},
		"somebody else's id":       {"id": "github1290381"},
		"an id that is not stored": {"id": "github6892396\x00"}, "a sid that is not stored": {"sid": "x\x00"},
		"an actor who is not stored": {"act": map[string]any{"sub": "\x00"}},
		"no roles":                   {"roles": nil}, "one role": {"roles": "User"}, "a number among roles": {"roles": []any{"User", 1}}, "null among roles": {"roles": []any{nil}},
		"roles as an object": {"roles": map[string]any{"User": true}}, "another letter case": {"roles": []string{"user"}}, "no role": {"roles": []string{}},
		"act as a text": {"act": "github1290381"}, "acting for nobody": {"act": map[string]any{"sub": ""}}, "acting by oneself": {"act": map[string]any{"sub": "github6892396"}},
		"a jti that is a number": {"jti": 1}, "a sid that is a list": {"sid": []string{"x"}},
	} {
		refused(t, name, s.get("/auth/roles/", forgeHS256(changed(t, token, with), tokenSecret)))
	}
	for name, claims := range map[string]string{
		"a list": `[]`, "a text": `"x"`, "null": `null`, "no JSON": `{`, "id twice": `{"id":"github6892396","id":"github1290381","exp":9999999999,"roles":["User"]}`,
		"another case": `{"ID":"github6892396","Exp":9999999999,"Roles":["User"]}`,
	} {
		refused(t, name, s.get("/auth/roles/", forgeHS256(claims, tokenSecret)))
	}
}

func TestW19NothingLeaks(t *testing.T) {
	s := newSite(t, dbtest.SQLite(t))
	admin := s.admin()
	location, cookie := s.begin("github", "")
	back := s.choose("github", location, "")
	s.fakes["github"].Behave(upstreamtest.Down, upstreamtest.AtToken)
	s.ask("GET", back, "", "Cookie", cookie)
	s.settings.PassThrough = []string{"github"}
	w := s.redeem("github", "5897dk3j05192c5j2gc8", "")
	for _, body := range []string{w.Body.String(), s.redeem("github", "", "").Body.String(), s.put("add", admin, "github1", "User").Body.String(), s.get("/user/github1/", admin).Body.String()} {
		if strings.Contains(body, "raw_error") || strings.Contains(body, "upstream") || strings.Count(body, `":`) != 3 {
			t.Errorf("an answer says more than it should: %s", body)
		}
	}
	log := s.log.String()
	if !strings.Contains(log, "request_id=") || !strings.Contains(log, "unreachable") {
		t.Errorf("the log does not tell what was wrong: %s", log)
	}
	for name, hush := range map[string]string{
		"a provider's code": query(t, back).Get("code"), "a state": query(t, back).Get("state"), "the cookie": strings.TrimPrefix(cookie, "__Host-hackillinois="),
		"a token": admin, "a posted code": "5897dk3j05192c5j2gc8", "our secret": upstreamtest.ClientSecret,
	} {
		if strings.Contains(log, hush) {
			t.Errorf("the log holds %s", name)
		}
	}
}

func TestW23TheTokenSaysWhetherTheAddressIsVerified(t *testing.T) {
	s := newSite(t, dbtest.SQLite(t))
	c := payload(t, s.login("github", "77"))
	if c["email"] != "una@hackillinois.org" || c["email_verified"] != false {
		t.Errorf("unverified: %v", c)
	}
	if c = payload(t, s.login("github", "")); c["email"] != "jane@gmail.com" || c["email_verified"] != true {
		t.Errorf("verified: %v", c)
	}
	if c = payload(t, s.login("github", "79")); c["email"] != "" || c["email_verified"] != false {
		t.Errorf("none that can be used: %v", c)
	}
	// atob knows neither "-" nor "_" (§2.1).
	s.fakes["github"].SetPeople(upstreamtest.Person{ID: "83", Email: "o?o~~~>>>@gmail.com", EmailVerified: true}, upstreamtest.Person{ID: "84", Email: "???~~~{}@gmail.com", EmailVerified: true})
	for _, id := range []string{"83", "84"} {
		token := s.login("github", id)
		if _, err := base64.StdEncoding.WithPadding(base64.NoPadding).DecodeString(strings.Split(token, ".")[1]); err != nil {
			t.Errorf("atob cannot read %s", token)
		}
	}
}

func TestW24DisabledUsersAndTheAuditTrail(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSite(t, d)
		admin := s.admin()
		jane := s.login("github", "")
		s.tokenOf(s.get("/auth/token/refresh/", jane))
		s.put("add", admin, "github6892396", "Mentor")
		hooks(s)["jane is suspended"](nil, nil)
		refused(t, "token use", s.get("/auth/roles/", jane))
		refused(t, "refresh", s.get("/auth/token/refresh/", jane))
		want(t, "login", s.redeem("github", s.code("github", "", ""), ""), 403, noToken)
		for action, n := range map[string]int{"user.login": 2, "user.login_failed": 1, "session.renewed": 1} {
			if got := s.audited(audit.Action(action), ""); got != n {
				t.Errorf("%d entries %s, want %d", got, action, n)
			}
		}
		if n := s.audited("user.role_changed", `"previous_roles":["User"],"roles":["User","Mentor"]`); n != 1 {
			t.Errorf("%d entries of the role that was given, want 1", n)
		}
	})
}
