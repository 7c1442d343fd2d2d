package e2e

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// listener is a client's back channel: the logout tokens that came.
func listener(t *testing.T) (url string, told <-chan string) {
	t.Helper()
	tokens := make(chan string, 10)
	l := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { tokens <- r.PostFormValue("logout_token") }))
	t.Cleanup(l.Close)
	return l.URL + "/logout", tokens
}

// TestOpenIDClient signs people in by openid-client on Node.
func TestOpenIDClient(t *testing.T) {
	t.Parallel()
	eachProvider(t, func(t *testing.T, s *site) {
		s.serve()
		hears, told := listener(t)
		f := &relying{t: t, who: s.jane(t), at: s.visitor(t), told: told}
		cmd := script(t, "openid_client.mjs")
		cmd.Args = append(cmd.Args, s.base, hears, f.who.email)
		f.run("openid-client", cmd)
	})
}

// TestOAuth4WebAPI signs a person in by oauth4webapi on Node, for a resource
// that checks its tokens by it.
func TestOAuth4WebAPI(t *testing.T) {
	t.Parallel()
	eachProvider(t, func(t *testing.T, s *site) {
		s.serve()
		f := &relying{t: t, who: s.jane(t), at: s.visitor(t)}
		cmd := script(t, "oauth4webapi.mjs")
		cmd.Args = append(cmd.Args, s.base, api)
		f.run("oauth4webapi", cmd)
	})
}

// TestAuthlib signs people in by Authlib on Python.
func TestAuthlib(t *testing.T) {
	t.Parallel()
	eachProvider(t, func(t *testing.T, s *site) {
		s.serve()
		f := &relying{t: t, who: s.jane(t), at: s.visitor(t)}
		f.run("Authlib", exec.Command(python(t), "testdata/authlib_client.py", s.base, demo, demoSecret, robot, robotSecret, f.who.email))
	})
}

// python is one with the client libraries in it.
func python(t *testing.T) string {
	t.Helper()
	if path := os.Getenv(pythonVariable); path != "" {
		return path
	}
	dir := filepath.Join(cache(t), "clients-python")
	path := filepath.Join(dir, "bin", "python")
	fetch := `"$0" -m venv "$1" && "$1/bin/python" -m pip install --quiet --disable-pip-version-check "$2" "$3" && touch "$1/ready"`
	args := append([]string{"-c", fetch, look(t, "python3"), dir}, pythonClients...)
	install(t, filepath.Join(dir, "ready"), exec.CommandContext(t.Context(), "sh", args...))
	return path
}
