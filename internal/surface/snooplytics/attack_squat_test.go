package snooplytics_test

import (
	"regexp"
	"strings"
	"testing"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

// Mallory signs up with Vic's address, which she cannot prove, and waits. Whatever way
// Vic comes in by, nothing of Mallory's opens the account then (pre-hijacking: Sudhodanan
// and Paverd, USENIX Security 2022).
func TestNobodyWaitsInAnAccountForItsOwner(t *testing.T) {
	const (
		squats = `{"email":"vic@example.com","password":"Mallory-horse-1","name":"Not Vic"}`
		opens  = `{"email":"vic@example.com","password":"Mallory-horse-1"}`
	)
	for _, c := range []struct {
		name string
		vic  func(s *site, b *browser)
		own  string // Vic's password afterwards, "" for none
	}{
		{"a mailed sign-in", func(s *site, b *browser) {
			b.post(200, "/api/auth/sign-in/magic-link", `{"email":"vic@example.com"}`)
			if got := b.ask("GET", s.linkIn("vic@example.com"), ""); got.status != 302 || b.who() == "" {
				s.t.Fatalf("got %d %s", got.status, got.header)
			}
		}, ""},
		{"a new password", func(s *site, b *browser) {
			b.post(200, "/api/auth/request-password-reset", `{"email":"vic@example.com"}`)
			token := regexp.MustCompile(`[0-9a-f]{64}`).FindString(s.linkIn("vic@example.com"))
			b.post(200, "/api/auth/reset-password", `{"newPassword":"Victor-horse-2","token":"`+token+`"}`)
		}, "Victor-horse-2"},
		{"a sign-up of his own", func(s *site, b *browser) {
			b.post(200, "/api/auth/sign-up/email", `{"email":"vic@example.com","password":"Victor-horse-2","name":"Vic"}`)
			if got := b.ask("GET", s.linkIn("vic@example.com"), ""); got.status != 302 {
				s.t.Fatalf("got %d %s", got.status, got.text)
			}
		}, "Victor-horse-2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				s := newSite(t, d)
				mallory, vic := s.browser("192.0.2.66"), s.browser("192.0.2.1")
				mallory.post(200, "/api/auth/sign-up/email", squats)
				s.Work()
				if _, ok := s.Mail("vic@example.com"); !ok {
					t.Fatal("Vic was not told")
				}
				mallory.post(403, signInPath, opens)
				c.vic(s, vic)
				if got := mallory.post(401, signInPath, opens); got.Code != "INVALID_EMAIL_OR_PASSWORD" {
					t.Errorf("Mallory's password: got %s", got.text)
				}
				if c.own != "" {
					vic.post(200, signInPath, strings.ReplaceAll(opens, "Mallory-horse-1", c.own))
				}
			})
		})
	}
}

// Of two who signed up with an address, the link that was followed decides, and the other
// one is worth nothing afterwards, in whatever order they came.
func TestLinkThatWasFollowedDecides(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSite(t, d)
		vic, mallory := s.browser("192.0.2.1"), s.browser("192.0.2.66")
		vic.post(200, "/api/auth/sign-up/email", `{"email":"vic@example.com","password":"Victor-horse-2","name":"Vic"}`)
		first := s.linkIn("vic@example.com")
		mallory.post(200, "/api/auth/sign-up/email", `{"email":"vic@example.com","password":"Mallory-horse-1","name":"Not Vic"}`)
		second := s.linkIn("vic@example.com")
		if got := vic.ask("GET", first, ""); got.status != 302 {
			t.Fatalf("got %d", got.status)
		}
		if got := mallory.ask("GET", second, ""); strings.Contains(got.header.Get("Location"), "error") {
			t.Errorf("an address that is proved already: got %s", got.header)
		}
		mallory.post(401, signInPath, `{"email":"vic@example.com","password":"Mallory-horse-1"}`)
		vic.post(200, signInPath, `{"email":"vic@example.com","password":"Victor-horse-2"}`)
	})
}

// A sign-up for an address that is proved changes nothing of its owner's.
func TestSignUpTakesNothingFromAnOwner(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSite(t, d)
		ada, mallory := s.browser("192.0.2.1"), s.browser("192.0.2.66")
		ada.post(200, signInPath, adaSignsIn)
		mallory.post(200, "/api/auth/sign-up/email", `{"email":"ada@example.com","password":"Mallory-horse-1","name":"Not Ada"}`)
		text, _ := s.Mail("ada@example.com")
		if strings.Contains(text, "token=") || !strings.Contains(text, "already") {
			t.Errorf("Ada was sent: %s", text)
		}
		mallory.post(401, signInPath, strings.ReplaceAll(adaSignsIn, password, "Mallory-horse-1"))
		if ada.who() != string(s.ada.ID) {
			t.Error("Ada's session ended")
		}
	})
}
