package tofu_test

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
	"time"

	"sallyport/internal/db/dbtest"
	"sallyport/internal/rig"
)

// TestPythonClient runs a client as others wrote it: requests and PyJWT.
func TestPythonClient(t *testing.T) {
	t.Parallel()
	py := python(t)
	s := newSite(t, dbtest.SQLite(t), nil)
	s.Advance(time.Since(rig.Start))
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	go func() { // the client's time passes here, too
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
				s.Advance(time.Since(s.Now()))
			}
		}
	}()
	cmd := exec.CommandContext(t.Context(), py, "testdata/client.py", srv.URL, "jane@example.com", password, secretKey)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"lifetimes": [300, 86400], "without slash": [301, 405, "Method \"GET\" not allowed."], "wrong": [401], ` +
		`"logout": {"message": "Successfully logged out", "workos_logout_url": null, "redirect_to": "/login"}, ` +
		`"after": {"detail": "Token is blacklisted", "code": "token_not_valid"}}` + "\n"
	if string(out) != want {
		t.Errorf("got  %swant %s", out, want)
	}
}
