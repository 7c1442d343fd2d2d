package server

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/resource"
	"sallyport/internal/secret"
	"sallyport/internal/surface/dev"
	"sallyport/internal/upstream"
)

func play(t *testing.T, dir string, fresh bool) (*Server, Playground) {
	t.Helper()
	s, p, err := Dev(t.Context(), DevOptions{Listen: "127.0.0.1:0", Dir: dir, Fresh: fresh, Log: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	return s, p
}

// post sends JSON and returns the status code and the answer's members.
func post(t *testing.T, url string, body any) (int, map[string]any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := browser.Post(url, "application/json", bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, answer
}

func TestDevSignsItsPeopleIn(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "play")
	s, p := play(t, dir, false)
	start(t, s)
	for i, u := range p.Users {
		app := []string{p.Client, p.Console}[i]
		code, answer := post(t, p.URL+"/keymaster/auth/login", map[string]string{"email": u.Email, "password": u.Password, "app_id": app})
		if code != 200 || answer["access_token"] == nil {
			t.Errorf("%s: got %d %v", u.Email, code, answer)
		}
	}
	for _, c := range p.Commands {
		if !strings.Contains(c.Shell, p.URL+"/") || !strings.Contains(p.Text(), c.Shell) {
			t.Errorf("command %q is not for %s, or not in the text", c.Shell, p.URL)
		}
	}
	for name, want := range map[string]os.FileMode{"": 0o700, "secret.key": 0o600, "sallyport.db": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: got %v, %v; want mode %v", name, info.Mode().Perm(), err, want)
		}
	}
}

// Single sign-on of the Snooplytics API ends at the page that stands for its
// application, which trades the handle for a session.
func TestDevSignsACustomersPeopleIn(t *testing.T) {
	t.Parallel()
	s, p := play(t, t.TempDir(), false)
	start(t, s)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	ann := &http.Client{Jar: jar}
	came, err := ann.Get(p.URL + "/snooplytics/auth/sso/acme/login?login_hint=ann@acme.example")
	if err != nil {
		t.Fatal(err)
	}
	defer came.Body.Close()
	var given map[string]string
	if err := json.NewDecoder(came.Body).Decode(&given); err != nil || given["handle"] == "" {
		t.Fatalf("%s: got %v, %v; want a handle", came.Request.URL, given, err)
	}
	done, err := ann.Post(p.URL+"/snooplytics/api/auth/sso/complete", "application/json", strings.NewReader(`{"handle":"`+given["handle"]+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer done.Body.Close()
	if answer, err := io.ReadAll(done.Body); err != nil || !strings.Contains(string(answer), `"email":"ann@acme.example"`) {
		t.Errorf("got %d %s, %v", done.StatusCode, answer, err)
	}
}

func TestDevKeepsItsDataUnlessFresh(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	signUp := func(fresh bool) int {
		s, p := play(t, dir, fresh)
		r := start(t, s)
		code, _ := post(t, p.URL+"/auth/signup", map[string]string{"email": "new@example.com", "password": "a-password-of-yours", "display_name": "New", "app_id": p.Client})
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		return code
	}
	if got := signUp(false); got != 200 {
		t.Errorf("first run: got %d, want 200", got)
	}
	if got := signUp(false); got != 400 {
		t.Errorf("second run: got %d, want 400 because the account exists", got)
	}
	if got := signUp(true); got != 200 {
		t.Errorf("fresh run: got %d, want 200", got)
	}
}

func TestDevListensOnLoopbackAlone(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "example.com:0", "127.0.0.1", ""} {
		dir := filepath.Join(t.TempDir(), "play")
		s, _, err := Dev(t.Context(), DevOptions{Listen: address, Dir: dir, Log: io.Discard})
		if err == nil || !strings.HasPrefix(err.Error(), "--listen: ") {
			t.Errorf("%q: got %v, want a refusal", address, err)
		}
		if err == nil {
			s.Close()
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%q: it made its directory before it refused", address)
		}
	}
}

func TestDevSaysWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret.key"), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := Dev(t.Context(), DevOptions{Listen: "127.0.0.1:0", Dir: dir, Log: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "--fresh") {
		t.Errorf("broken key: got %v", err)
	}
	s, p := play(t, t.TempDir(), false)
	defer s.Close()
	u, err := url.Parse(p.URL)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = Dev(t.Context(), DevOptions{Listen: "127.0.0.1:" + u.Port(), Dir: t.TempDir(), Log: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "cannot listen on 127.0.0.1:"+u.Port()+" (--listen)") {
		t.Errorf("busy address: got %v", err)
	}
}

func TestDevResourcesPlanNoChangesAgain(t *testing.T) {
	t.Parallel()
	c := testConfig(dbtest.SQLiteURL(t))
	c.OutboundAllow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	s, _ := newServer(t, Options{Config: c})
	defer s.Close()
	if err := s.furnish(t.Context()); err != nil {
		t.Fatal(err)
	}
	f, err := resource.Parse("dev.yaml", devResources, resource.ParseOptions{Dev: true, Outbound: s.cfg.OutboundAllow})
	if err != nil {
		t.Fatal(err)
	}
	core := &resource.Core{DB: s.db, Now: s.now, Key: testKey, Passwords: s.passwords}
	changes, err := core.Plan(context.Background(), f, true)
	if err != nil || resource.Any(changes) {
		t.Errorf("got %+v, %v; want no changes", changes, err)
	}
}

// The upstreams of dev.yaml are the fakes that the playground serves.
func TestDevUpstreamsAreItsFakes(t *testing.T) {
	t.Parallel()
	s, p := play(t, t.TempDir(), false)
	defer s.Close()
	fakes := dev.NewProviders(p.URL, s.now)
	err := s.db.Read(t.Context(), func(ctx context.Context, tx *db.Tx) error {
		all, err := upstream.List(ctx, tx, s.cfg.SecretKey)
		if len(all) != len(upstream.Kinds()) || len(all) != len(dev.Playable) {
			t.Errorf("got %d upstreams, want one of each of %d kinds", len(all), len(upstream.Kinds()))
		}
		for _, u := range all {
			want := fakes.Upstream(u.Key)
			got := u
			got.Settings.Name, got.CreatedAt, got.UpdatedAt = "", want.CreatedAt, want.UpdatedAt
			got.Secret = secret.Value(strings.TrimSpace(got.Secret.Reveal()))
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s:\ngot  %+v\nwant %+v", u.Key, got, want)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
