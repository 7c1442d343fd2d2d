package snooplytics_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

// wrongCode is a code that another is not.
func wrongCode(code string) string {
	if code == "000000" {
		return "000001"
	}
	return "000000"
}

// from is a new address each time, so that no limit by address is in the way.
func from(n *int) string { *n++; return fmt.Sprintf("203.0.%d.%d", *n/250, *n%250) }

// New challenges give no new tries: ten wrong codes in a row shut the second factor for
// 15 minutes, of every kind, for whoever knows the password.
func TestTenWrongCodesShutTheFactor(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, n := newSite(t, d), 0
		owner := s.browser(from(&n))
		owner.post(200, signInPath, adaSignsIn)
		secret := owner.withApp()
		s.Advance(time.Minute)
		kinds := []string{"verify-totp", "verify-backup-code"}
		for try := range 10 {
			b := s.browser(from(&n))
			b.post(200, signInPath, adaSignsIn)
			b.post(401, "/api/auth/two-factor/"+kinds[try%2], `{"code":"`+[]string{wrongCode(s.app(secret)), "aaaaa-aaaaa"}[try%2]+`"}`)
		}
		b := s.browser(from(&n))
		b.post(200, signInPath, adaSignsIn)
		got := b.post(429, "/api/auth/two-factor/verify-totp", `{"code":"`+s.app(secret)+`"}`)
		if got.Code != "ACCOUNT_TEMPORARILY_LOCKED" || got.header.Get("Retry-After") != "900" {
			t.Errorf("got %s, Retry-After %s", got.text, got.header.Get("Retry-After"))
		}
		b.post(200, "/api/auth/two-factor/send-otp", "")
		text, _ := s.Mail("ada@example.com")
		if got := b.post(429, "/api/auth/two-factor/verify-otp", `{"code":"`+codeIn.FindString(text)+`"}`); got.Code != "ACCOUNT_TEMPORARILY_LOCKED" {
			t.Errorf("by mail: got %s", got.text)
		}
		if owner.who() == "" {
			t.Error("the owner's session ended by what somebody else did")
		}
		s.Advance(15 * time.Minute)
		b.post(200, signInPath, adaSignsIn)
		b.post(200, "/api/auth/two-factor/verify-totp", `{"code":"`+s.app(secret)+`"}`)
	})
}

// A right code forgives the wrong ones before it: the lock is for a row.
func TestRightCodeForgivesWrongOnes(t *testing.T) {
	s, n := newSite(t, dbtest.SQLite(t)), 0
	owner := s.browser(from(&n))
	owner.post(200, signInPath, adaSignsIn)
	secret := owner.withApp()
	for range 4 {
		s.Advance(time.Minute)
		b := s.browser(from(&n))
		b.post(200, signInPath, adaSignsIn)
		for range 4 {
			b.post(401, "/api/auth/two-factor/verify-totp", `{"code":"`+wrongCode(s.app(secret))+`"}`)
		}
		b.post(200, "/api/auth/two-factor/verify-totp", `{"code":"`+s.app(secret)+`"}`)
	}
}

// trusted is a browser that is trusted with Ada's second factor.
func (s *site) trusted(secret, ip string) *browser {
	s.t.Helper()
	b := s.browser(ip)
	b.post(200, signInPath, adaSignsIn)
	b.post(200, "/api/auth/two-factor/verify-totp", `{"code":"`+s.app(secret)+`","trustDevice":true}`)
	if b.cookies[trustName] == "" {
		s.t.Fatal("the browser is not trusted")
	}
	return b
}

// A copy of a trusted browser's cookie is good once at most, and then for neither; and it
// is no use with another's password, nor without one.
func TestStolenTrustIsFoundOut(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, n := newSite(t, d), 0
		owner := s.browser(from(&n))
		owner.post(200, signInPath, adaSignsIn)
		secret := owner.withApp()
		s.Advance(time.Minute)
		b := s.trusted(secret, from(&n))

		eve := s.User("eve@example.com", "Eve", password, s.client)
		other := s.browser(from(&n))
		other.cookies[trustName] = b.cookies[trustName]
		if other.who() != "" {
			t.Error("the cookie alone signs in")
		}
		other.post(200, signInPath, strings.ReplaceAll(adaSignsIn, "ada", "eve"))
		if other.who() != string(eve.ID) {
			t.Error("Eve cannot sign in beside somebody's trusted browser")
		}

		thief := s.browser(from(&n))
		thief.cookies[trustName] = b.cookies[trustName]
		thief.post(200, signInPath, adaSignsIn) // who knows the password, too
		if thief.who() == "" {
			t.Fatal("the copy was not good to begin with")
		}
		if got := b.post(200, signInPath, adaSignsIn); !strings.Contains(got.text, "twoFactorRedirect") {
			t.Errorf("the owner's, used once already: got %s", got.text)
		}
		if got := thief.post(200, signInPath, adaSignsIn); !strings.Contains(got.text, "twoFactorRedirect") {
			t.Errorf("the thief's, after the owner came: got %s", got.text)
		}
	})
}

// What ends the trust in all browsers: a new password, the end of the factor, 30 days.
func TestTrustEnds(t *testing.T) {
	for name, end := range map[string]func(s *site, owner *browser){
		"a new password": func(_ *site, owner *browser) {
			owner.post(200, "/api/auth/change-password", `{"currentPassword":"`+password+`","newPassword":"Another-horse-8"}`)
			owner.post(200, "/api/auth/change-password", `{"currentPassword":"Another-horse-8","newPassword":"`+password+`"}`)
		},
		"30 days": func(s *site, _ *browser) { s.Advance(30 * 24 * time.Hour) },
		"a password by mail": func(s *site, _ *browser) {
			s.browser("192.0.2.99").post(200, "/api/auth/request-password-reset", `{"email":"ada@example.com"}`)
			link := s.linkIn("ada@example.com")
			token := strings.TrimPrefix(strings.Split(link, "?")[0], "/api/auth/reset-password/")
			s.browser("192.0.2.99").post(200, "/api/auth/reset-password", `{"newPassword":"`+password+`","token":"`+token+`"}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, n := newSite(t, dbtest.SQLite(t)), 0
			owner := s.browser(from(&n))
			owner.post(200, signInPath, adaSignsIn)
			secret := owner.withApp()
			s.Advance(time.Minute)
			b := s.trusted(secret, from(&n))
			s.Work()
			s.Mail("ada@example.com") // the notices of the set-up
			end(s, owner)
			if got := b.post(200, signInPath, adaSignsIn); !strings.Contains(got.text, "twoFactorRedirect") {
				t.Errorf("got %s", got.text)
			}
		})
	}
}

// Who has the mailbox has one factor: after a password that was set by way of it, a code
// by mail does not stand in for the app, until the app was used.
func TestMailboxIsOneFactorAlone(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, n := newSite(t, d), 0
		owner := s.browser(from(&n))
		owner.post(200, signInPath, adaSignsIn)
		secret := owner.withApp()
		s.Work()
		s.Mail("ada@example.com")
		owes := func(step, want string) *browser {
			t.Helper()
			b := s.browser(from(&n))
			if got := b.post(200, signInPath, adaSignsIn); !strings.Contains(got.text, `"twoFactorMethods":`+want) {
				t.Errorf("%s: got %s, want %s", step, got.text, want)
			}
			return b
		}
		owes("with the old password", `["totp","otp"]`)

		thief := s.browser(from(&n))
		thief.post(200, "/api/auth/request-password-reset", `{"email":"ada@example.com"}`)
		token := strings.TrimPrefix(strings.Split(s.linkIn("ada@example.com"), "?")[0], "/api/auth/reset-password/")
		thief.post(200, "/api/auth/reset-password", `{"newPassword":"`+password+`","token":"`+token+`"}`)
		s.Mail("ada@example.com") // that it was set
		b := owes("with a password by mail", `["totp"]`)
		b.post(400, "/api/auth/two-factor/send-otp", "")
		b.post(400, "/api/auth/two-factor/verify-otp", `{"code":"123456"}`)

		thief.post(200, "/api/auth/sign-in/magic-link", `{"email":"ada@example.com"}`)
		s.Work()
		link := s.linkIn("ada@example.com")
		got := thief.ask("GET", link, "")
		if got.status != 302 || thief.cookies[sessionName] != "" {
			t.Errorf("a mailed sign-in: got %d %s", got.status, got.header)
		}
		thief.post(400, "/api/auth/two-factor/send-otp", "")

		s.Advance(time.Minute)
		b.post(200, "/api/auth/two-factor/verify-totp", `{"code":"`+s.app(secret)+`"}`)
		owes("after the app", `["totp","otp"]`)
	})
}

// However many guess at once, a challenge takes five codes.
func TestGuessersAtOnceHaveFiveTries(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, n := newSite(t, d), 0
		owner := s.browser(from(&n))
		owner.post(200, signInPath, adaSignsIn)
		secret := owner.withApp()
		s.Advance(time.Minute)
		b := s.browser(from(&n))
		b.post(200, signInPath, adaSignsIn)
		var judged atomic.Int64
		var all sync.WaitGroup
		for range 9 {
			guesser := s.browser(from(&n))
			guesser.cookies[challengeName] = b.cookies[challengeName]
			all.Go(func() {
				if guesser.ask("POST", "/api/auth/two-factor/verify-totp", `{"code":"`+wrongCode(s.app(secret))+`"}`).Code == "INVALID_CODE" {
					judged.Add(1)
				}
			})
		}
		all.Wait()
		if judged.Load() != 5 {
			t.Errorf("%d of 9 guesses were judged", judged.Load())
		}
	})
}

// Of many sign-ins at once with one copy of a trusted browser's cookie, one is trusted.
func TestTrustHasOneWinner(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, n := newSite(t, d), 0
		owner := s.browser(from(&n))
		owner.post(200, signInPath, adaSignsIn)
		secret := owner.withApp()
		s.Advance(time.Minute)
		b := s.trusted(secret, from(&n))
		var in atomic.Int64
		var all sync.WaitGroup
		for range 4 {
			copied := s.browser(from(&n))
			copied.cookies[trustName] = b.cookies[trustName]
			all.Go(func() {
				if strings.Contains(copied.ask("POST", signInPath, adaSignsIn).text, `"redirect":false`) {
					in.Add(1)
				}
			})
		}
		all.Wait()
		if in.Load() != 1 {
			t.Errorf("%d of 4 were trusted", in.Load())
		}
	})
}
