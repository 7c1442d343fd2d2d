package tofu_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
)

// djangoHashes are of the password of these tests. They were made by Django 5.2.19
// with argon2-cffi 25.1.0 and bcrypt 5.0.0, at its own costs:
//
//	make_password(password, hasher=name); make_password(None)
var djangoHashes = map[string]string{
	"pbkdf2_sha256": "pbkdf2_sha256$1000000$4b1FbloeyUjrYxY5n0TYgQ$eEeiqrclXrv9D5PG60tIb37oPFSzQwuLbS0WAD62l6M=",
	"pbkdf2_sha1":   "pbkdf2_sha1$1000000$FsbIgtkwOU6YMuNk7OrAmU$edaF694emmkcXoHTIFib52fpo+Q=",
	"argon2":        "argon2$argon2id$v=19$m=102400,t=2,p=8$U2JTYnpuR2pKM3lGZEhJS0YzemNTdA$y1k99riIHH4zE4wtUVcjnV86+pRz8GhVOnDOsqDpd0c",
	"bcrypt_sha256": "bcrypt_sha256$$2b$12$VCOUmIPBZE/WUy1DUw4WquaDv7FIRUX3B6LhIcCd0dHErZrO/Aj4.",
	"scrypt":        "scrypt$16384$2PIGmJGriV2dniXwMNFGoP$8$5$swxFG1Mtl8xxUL6uNSQXH/W0LGa3WQgmgsWZHqQWl8qrgoRXmkGbfZZY9UgUgUc06QtHZrSnQocBAzN4SGiHMw==",
	"unusable":      "!JUc8avsyIhbyO1sPczjusdVq9GO3cYzVmqdwdScp",
}

// TestDjangoPasswordsWorkAndAreUpgraded imports users with every hash of a Django
// table (contract §13): the password works, and is stored as ours then.
func TestDjangoPasswordsWorkAndAreUpgraded(t *testing.T) {
	t.Parallel()
	s := newSite(t, dbtest.SQLite(t), nil)
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	for name, hash := range djangoHashes {
		email := strings.ReplaceAll(name, "_", "-") + "@example.com"
		u := identity.User{ID: identity.NewUserID(), Email: email, EmailVerified: true, DisplayName: name, Status: identity.Active, PasswordHash: hash, CreatedAt: s.Now()}
		s.Write(func(ctx context.Context, tx *db.Tx) error {
			if err := identity.Create(ctx, tx, u); err != nil {
				return err
			}
			return client.PutEnrolment(ctx, tx, client.Enrolment{UserID: u.ID, ClientID: s.client.ID, Status: client.Active}, s.Now())
		})
		ask := func(plain string) reply {
			return send(t, srv.Listener.Addr().String(), post("/api/token/", fmt.Sprintf(`{"email":"%s","password":"%s"}`, email, plain), "X-Forwarded-For: 198.51.100."+fmt.Sprint(len(name))))
		}
		want := 200
		if name == "unusable" {
			want = 401
		}
		if res := ask("not it"); res.status != 401 {
			t.Errorf("%s: a wrong password: %d %s", name, res.status, res.body)
		}
		if res := ask(password); res.status != want {
			t.Errorf("%s: the password: got %d %s, want %d", name, res.status, res.body, want)
		}
		var now identity.User
		s.Write(func(ctx context.Context, tx *db.Tx) (err error) {
			now, err = identity.ByID(ctx, tx, u.ID)
			return err
		})
		if upgraded := strings.HasPrefix(now.PasswordHash, "$argon2id$"); upgraded != (want == 200) {
			t.Errorf("%s: stored as %s", name, now.PasswordHash)
		}
		if res := ask(password); res.status != want {
			t.Errorf("%s: the password again: got %d %s, want %d", name, res.status, res.body, want)
		}
		s.Advance(minute)
	}
}
