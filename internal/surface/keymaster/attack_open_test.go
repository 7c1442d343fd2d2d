package keymaster_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db/dbtest"
)

// An application that its users type their passwords into must not get their
// second factor as well: a fresh token alone makes no backup codes.
func TestApplicationGetsNoBackupCodesWithItsToken(t *testing.T) {
	a := newHostile(t, dbtest.SQLite(t))
	evil := a.Client("Evil", nil)
	console := a.Client("Console", inviteOnly)
	root := a.User("root@example.com", "Rita", password, evil, console)
	a.Enrol(root, console, client.Active, "admin")
	access := a.login(evil, "root@example.com", password).get("access_token")
	secret := a.post("/account/totp/setup", m{"password": password}, bearer(access)...).get("secret")
	a.post("/account/totp/enable", m{"code": otpAt(t, secret, a.Now())}, bearer(access)...)
	a.Advance(time.Hour)

	challenge := a.login(evil, "root@example.com", password).get("totp_session")
	in := a.post("/auth/totp/verify", m{"totp_session": challenge, "code": otpAt(t, secret, a.Now())})
	got := a.post("/account/totp/backup-codes", m{}, bearer(in.get("access_token"))...)
	codes, _ := got.json["backup_codes"].([]any)
	if len(codes) == 0 {
		return
	}
	elsewhere := a.login(console, "root@example.com", password).get("totp_session")
	if got := a.post("/auth/totp/verify", m{"totp_session": elsewhere, "code": fmt.Sprint(codes[0])}); strings.Contains(got.text, "access_token") {
		t.Error("an application that saw a password and one token signs in as its user to the console")
	}
}
