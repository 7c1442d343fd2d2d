package logout_test

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/admin"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/grant"
	"sallyport/internal/identity"
	"sallyport/internal/logout"
	"sallyport/internal/oauth"
	"sallyport/internal/onetime"
	"sallyport/internal/resource"
	"sallyport/internal/self"
	"sallyport/internal/session"
	"sallyport/internal/signin"
	"sallyport/internal/surface/keymaster"
)

const (
	oldPassword = "correct horse battery staple"
	newPassword = "staple battery horse correct"
)

// signIn starts a session of Jane's, with a grant in it that lasts and one that
// does not.
func (s *stage) signIn() (in session.Session, cookie string, here, lasting grant.Grant) {
	s.Write(func(ctx context.Context, tx *db.Tx) (err error) {
		in, cookie, err = session.Start(ctx, tx, session.Session{
			UserID: s.jane.ID, AMR: []string{session.Password}, AuthenticatedAt: s.Now(), CreatedAt: s.Now(), ExpiresAt: s.Now().Add(time.Hour),
		})
		return err
	})
	return in, cookie, s.grant(s.app, in.ID, "openid"), s.grant(s.app, in.ID, "openid", "offline_access")
}

// caller is Jane in her browser.
func (s *stage) caller(cookie string) self.Caller {
	s.t.Helper()
	who, err := s.Self.Browser(s.t.Context(), cookie, "192.0.2.1", "")
	if err != nil {
		s.t.Fatal(err)
	}
	return who
}

// Whatever ends a session ends what hangs on it, and its clients hear of it.
func TestEveryWayOutIsTold(t *testing.T) {
	t.Parallel()
	file := func(status, place string) string {
		return `users:
  - email: jane@example.com
    email_verified: true
    display_name: Jane Doe
    status: ` + status + `
    enrolments: [{client: app, status: ` + place + `}]
`
	}
	for name, c := range map[string]struct {
		out     func(t *testing.T, s *stage, in session.Session, cookie string) error
		lasting bool // outlives it
	}{
		"signing out on a page": {func(t *testing.T, s *stage, _ session.Session, cookie string) error {
			return s.SignIn.SignOut(t.Context(), cookie, false, signin.Visitor{})
		}, true},
		"at a client's word": {func(t *testing.T, s *stage, _ session.Session, cookie string) error {
			return s.OAuth.Leave(t.Context(), s.app, []string{"", cookie, cookie}, oauth.Visitor{})
		}, true},
		"ended from another browser": {func(t *testing.T, s *stage, in session.Session, _ string) error {
			_, other, _, _ := s.signIn()
			return s.Self.EndSession(t.Context(), s.caller(other), in.ID)
		}, true},
		"another password": {func(t *testing.T, s *stage, _ session.Session, _ string) error {
			_, other, _, _ := s.signIn()
			return s.Self.ChangePassword(t.Context(), s.caller(other), self.Proof{Password: oldPassword, PasswordTries: keymaster.PasswordTries()}, newPassword)
		}, false},
		"a forgotten password": {func(t *testing.T, s *stage, _ session.Session, _ string) error {
			raw := ""
			s.Write(func(ctx context.Context, tx *db.Tx) (err error) {
				raw, err = onetime.Create(ctx, tx, onetime.Secret{
					Purpose: onetime.Reset, UserID: s.jane.ID, Email: s.jane.Email, ExpiresAt: s.Now().Add(time.Hour),
				}, s.Now())
				return err
			})
			return s.SignIn.ResetPassword(t.Context(), signin.ResetIn{Token: raw, Password: newPassword})
		}, false},
		"suspended in the client": {func(t *testing.T, s *stage, _ session.Session, _ string) error {
			return s.Admin.Suspend(t.Context(), s.chief(), s.jane.ID, s.app.ID)
		}, false},
		"removed from the client": {func(t *testing.T, s *stage, _ session.Session, _ string) error {
			return s.Admin.Unenrol(t.Context(), s.chief(), s.jane.ID, s.app.ID)
		}, false},
		"suspended everywhere by the file": {func(t *testing.T, s *stage, _ session.Session, _ string) error {
			return s.apply(file("suspended", "active"))
		}, false},
		"suspended in the client by the file": {func(t *testing.T, s *stage, _ session.Session, _ string) error {
			return s.apply(file("active", "suspended"))
		}, false},
		"access taken back": {func(t *testing.T, s *stage, _ session.Session, cookie string) error {
			return s.Self.Withdraw(t.Context(), s.caller(cookie), s.app.ID)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				s := newStage(t, d)
				s.secure()
				in, cookie, here, lasting := s.signIn()
				if err := c.out(t, s, in, cookie); err != nil {
					t.Fatal(err)
				}
				if got := s.lives(here, lasting); !slices.Equal(got, []bool{false, c.lasting}) {
					t.Errorf("lives: got %v, want the lasting one %v", got, c.lasting)
				}
				s.work()
				told := slices.DeleteFunc(s.sessions(), func(sid string) bool { return sid != string(in.ID) })
				if len(told) != 1 {
					t.Errorf("told %d times of the session, want once", len(told))
				}
			})
		})
	}
}

// secure gives Jane her password, and the application its name in the file.
func (s *stage) secure() {
	s.t.Helper()
	hash, err := s.Passwords.Hash(s.t.Context(), oldPassword)
	if err != nil {
		s.t.Fatal(err)
	}
	s.Write(func(ctx context.Context, tx *db.Tx) error {
		if err := identity.ReplacePassword(ctx, tx, s.jane.ID, hash, s.Now()); err != nil {
			return err
		}
		s.app.Key = "app"
		return client.Update(ctx, tx, s.app, s.Now())
	})
}

// chief is an administrator of the application.
func (s *stage) chief() admin.Caller {
	chief := s.User("chief@example.com", "Chief", "", s.app)
	s.Enrol(chief, s.app, client.Active, "admin")
	return admin.Caller{UserID: chief.ID, ClientID: s.app.ID}
}

// apply applies a resource file, to the application as it is.
func (s *stage) apply(people string) error {
	s.t.Helper()
	text := `clients:
  - key: app
    name: App
    registration: open
    methods: [password]
    backchannel_logout_uri: ` + s.app.Policy.BackchannelLogoutURI + `
` + people
	f, err := resource.Parse("test.yaml", []byte(text), resource.ParseOptions{Outbound: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if err != nil {
		return err
	}
	core := &resource.Core{DB: s.DB, Now: s.Now, Key: s.Key, Passwords: s.Passwords}
	_, err = core.Apply(s.t.Context(), f, resource.Options{BaseURL: "https://auth.example.com"})
	return err
}

// Of many who end one session one does, and its clients are told once.
func TestManySignOutOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		_, cookie, _, _ := s.signIn()
		var all sync.WaitGroup
		var failed atomic.Int32
		for range 100 {
			all.Go(func() {
				if err := s.OAuth.Leave(t.Context(), s.app, []string{cookie}, oauth.Visitor{}); err != nil {
					failed.Add(1)
				}
			})
		}
		all.Wait()
		if n := s.work(); n != 1 || failed.Load() != 0 {
			t.Errorf("%d notices, %d failures, want 1 and none", n, failed.Load())
		}
	})
}

// A code that nobody has come for when the person signs out is good no more,
// lasting or not: its client could never be told.
func TestCodeDoesNotOutliveTheSession(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		g := grant.Grant{
			ID: grant.NewID(), ClientID: s.app.ID, UserID: s.jane.ID, SessionID: "s1", Subject: "j", Scope: []string{"openid", "offline_access"},
			AuthenticatedAt: s.Now(), CodeExpiresAt: s.Now().Add(time.Minute), CreatedAt: s.Now(), ExpiresAt: s.Now().Add(time.Minute),
		}
		s.Write(func(ctx context.Context, tx *db.Tx) error {
			if err := grant.Create(ctx, tx, g, []byte("code")); err != nil {
				return err
			}
			return logout.Session(ctx, tx, "s1", s.Now())
		})
		if s.lives(g)[0] {
			t.Error("the grant lives")
		}
	})
}
