package server

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/config"
	"sallyport/internal/db"
	"sallyport/internal/enterprise"
	"sallyport/internal/fault"
	"sallyport/internal/org"
	"sallyport/internal/resource"
	"sallyport/internal/secret"
	"sallyport/internal/surface/dev"
)

//go:embed dev.yaml
var devResources []byte

// The names in dev.yaml.
const (
	devBase         = "http://localhost:8080"
	devClient       = "7f3c2e0a-6b1f-4e0e-9c55-0a4f5d1b8e11"
	devClientSecret = "demo-client-secret-for-this-machine-only" //nolint:gosec // the three are for everybody to see
	devConsole      = "3d2b7a54-91c8-4b7d-8a3e-5b8f0c6d2e77"
	devTerminal     = "b1a7c9de-2f40-4b55-8a6e-c01d5e2f7a93"
	devAccounts     = "2f8a61c7-0d3e-4b94-a5c8-7e1d9b402f35"
	devVerifier     = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // these two are RFC 7636's own (appendix B)
	devChallenge    = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	devAtProvider   = "sallyport-at-fake" // what the fake providers know Sallyport as
	devUser         = "jane@example.com"
	devPassword     = "correct-demo-staple-1" //nolint:gosec // as above
	devOperator     = "operator@example.com"
	devOperatorPass = "correct-demo-staple-2" //nolint:gosec // as above
)

// DevOptions are the few things that can be chosen about a playground.
type DevOptions struct {
	Listen string    // a loopback address
	Dir    string    // where its files are
	Fresh  bool      // remove what an earlier run left there
	Log    io.Writer // for people

	TuneMemory bool // as in Options
}

// Playground is what `sallyport dev` tells about itself.
type Playground struct {
	URL      string       `json:"url"`
	SignIn   string       `json:"sign_in"`
	Inbox    string       `json:"inbox"`
	SetUp    string       `json:"set_up"`
	Client   string       `json:"client_id"`
	Console  string       `json:"console_client_id"`
	Users    []PlayUser   `json:"users"`
	Commands []PlayScript `json:"commands"`
}

// PlayUser is somebody who can sign in.
type PlayUser struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	About    string `json:"about"`
}

// PlayScript is a command line to copy.
type PlayScript struct {
	About string `json:"about"`
	Shell string `json:"shell"`
}

// Dev builds a playground: a server over an SQLite file and a key of its own,
// with the clients and users of dev.yaml. It refuses to listen where another
// machine could reach it.
func Dev(ctx context.Context, o DevOptions) (_ *Server, _ Playground, err error) {
	if err := checkLoopback(o.Listen); err != nil {
		return nil, Playground{}, err
	}
	// Listening comes first: it fails where another playground runs.
	ln, err := listen(ctx, "--listen", o.Listen)
	if err != nil {
		return nil, Playground{}, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ln.Close())
		}
	}()
	if o.Fresh {
		if err := removeDev(o.Dir); err != nil {
			return nil, Playground{}, err
		}
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, Playground{}, fmt.Errorf("cannot make the directory of the playground: %w", err)
	}
	key, err := devKey(filepath.Join(o.Dir, "secret.key"))
	if err != nil {
		return nil, Playground{}, err
	}
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		return nil, Playground{}, err
	}
	c := config.Config{
		Listen:        ln.Addr().String(),
		PublicURL:     "http://localhost:" + port,
		Database:      secret.Value("sqlite:" + filepath.Join(o.Dir, "sallyport.db")),
		SecretKey:     key,
		Mail:          "log",
		OutboundAllow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		Root:          config.Surfaces,
		Log:           config.Log{Format: "text", Level: slog.LevelInfo},
		Source:        "sallyport dev",
	}
	d, err := OpenDB(ctx, c)
	if err != nil {
		return nil, Playground{}, err
	}
	// A playground of an earlier release is brought up to date without asking.
	if _, err := d.Migrate(ctx); err != nil {
		return nil, Playground{}, errors.Join(err, d.Close())
	}
	s, err := New(ctx, Options{Config: c, Log: NewLog(o.Log, c.Log), DB: d, Listener: ln, Inbox: &dev.Inbox{Now: time.Now}, TuneMemory: o.TuneMemory})
	if err != nil {
		return nil, Playground{}, errors.Join(err, d.Close())
	}
	s.ownsDB = true
	if err := s.furnish(ctx); err != nil {
		return nil, Playground{}, errors.Join(fmt.Errorf("cannot make the demo clients and users: %w", err), s.Close())
	}
	p := newPlayground(c.PublicURL)
	if p.SetUp, err = s.setUpLink(ctx); err != nil {
		return nil, Playground{}, errors.Join(fmt.Errorf("cannot make the set-up link: %w", err), s.Close())
	}
	return s, p, nil
}

// setUpLink makes the link by which the IT administrator of the customer that has no
// provider yet sets one up. The one of the last run ends. Who begins too often in an
// hour gets none.
func (s *Server) setUpLink(ctx context.Context) (string, error) {
	var o org.Org
	err := s.db.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		o, err = org.BySlug(ctx, tx, "globex")
		return err
	})
	if err != nil {
		return "", err
	}
	l, err := s.newCores().enterprise.MakeSetupLink(ctx, enterprise.Actor{Operator: "dev", Base: s.cfg.PublicURL}, o.ID, enterprise.SetupIn{})
	if fault.Is(err, fault.RateLimited) {
		err = nil
	}
	return l.URL, err
}

// furnish applies dev.yaml. What people changed since the first run, passwords
// included, is set back to what is printed.
func (s *Server) furnish(ctx context.Context) error {
	// The file is written for the usual port.
	text := bytes.ReplaceAll(devResources, []byte(devBase), []byte(s.cfg.PublicURL))
	f, err := resource.Parse("dev.yaml", text, resource.ParseOptions{Dev: true, Outbound: s.cfg.OutboundAllow})
	if err != nil {
		return err
	}
	core := &resource.Core{DB: s.db, Now: s.now, Key: s.cfg.SecretKey, Passwords: s.passwords}
	if _, err = core.Apply(ctx, f, resource.Options{BaseURL: s.cfg.PublicURL, NoMail: true}); err != nil {
		return err
	}
	return s.settings.load(ctx)
}

// checkLoopback refuses an address that other machines can reach: whoever
// reaches a playground may read its mail.
func checkLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("--listen: %q is not an address like 127.0.0.1:8080", address)
	}
	if !client.Loopback(host) {
		return fmt.Errorf("--listen: %s can be reached by other machines; dev listens on loopback addresses alone, serve is for everything else", address)
	}
	return nil
}

// removeDev removes a playground's files, and nothing else that lies there.
func removeDev(dir string) error {
	for _, name := range []string{"sallyport.db", "sallyport.db-wal", "sallyport.db-shm", "secret.key"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot begin again: %w", err)
		}
	}
	return nil
}

// devKey reads the process key at path, or makes one that only its owner may
// read.
func devKey(path string) (*secret.Key, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		_, err = f.WriteString(secret.Hex(secret.KeySize) + "\n")
		err = errors.Join(err, f.Close())
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("cannot make the key of the playground: %w", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the key of the playground: %w", err)
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("%s is not a key; begin again with --fresh", path)
	}
	key, err := secret.NewKey(b)
	if err != nil {
		return nil, fmt.Errorf("%s is not a key; begin again with --fresh", path)
	}
	return key, nil
}

func newPlayground(base string) Playground {
	post := func(path, body string) string {
		return "curl -s " + base + path + " -H 'Content-Type: application/json' -d '" + body + "'"
	}
	// An empty cookie file has curl keep cookies while it follows.
	follow := func(path string) string { return "curl -sL -b '' '" + base + path + "'" }
	login := func(email, password, app string) string {
		return post("/auth/login", `{"email":"`+email+`","password":"`+password+`","app_id":"`+app+`"}`)
	}
	return Playground{
		URL: base, SignIn: base + "/login?app_id=" + devClient + "&redirect_uri=" + base + dev.AppPath, Inbox: base + dev.Path, Client: devClient, Console: devConsole,
		Users: []PlayUser{
			{devUser, devPassword, "a user of the client Demo"},
			{devOperator, devOperatorPass, "an operator: an administrator of the client Console"},
		},
		Commands: []PlayScript{
			{"Sign in (Keymaster API)", login(devUser, devPassword, devClient)},
			{"Sign in as the operator", login(devOperator, devOperatorPass, devConsole)},
			{"See who waits to come in, as the operator (admin API)", "token=$(" + login(devOperator, devOperatorPass, devConsole) + ` | sed 's/.*"access_token":"\([^"]*\)".*/\1/'); ` +
				"curl -s " + base + `/admin/v1/queue -H "Authorization: Bearer $token"`},
			{"Sign up", post("/auth/signup", `{"email":"new@example.com","password":"a-password-of-yours","display_name":"New Person","app_id":"`+devClient+`"}`)},
			{"Have a magic link mailed", post("/auth/magic-link/request", `{"email":"`+devUser+`","app_id":"`+devClient+`"}`)},
			{"Read that mail as soon as it is there; it holds the link", "curl -s '" + base + dev.Path + "/wait?to=" + devUser + "'"},
			{"Sign in with a provider (Keymaster API; in a browser you pick who you are)",
				follow("/oauth/google/start?app_id=" + devClient + "&redirect_uri=" + base + dev.AppPath)},
			{"Get a token for the client itself (Keymaster API)", "curl -s " + base + "/auth/token -d grant_type=client_credentials -d client_id=" + devClient + " -d client_secret=" + devClientSecret + " -d scope=users:read"},
			{"Sign in with GitHub (HackIllinois API)", "code=$(" + follow("/hackillinois/auth/github/?redirect_uri="+base+dev.AppPath+"/code") + "); " +
				"curl -s " + base + `/hackillinois/auth/code/github/ -d "{\"code\":\"$code\"}"`},
			{"Sign in (AccountMaker API)", post("/accountmaker/auth/sign-in", `{"email":"`+devUser+`","password":"`+devPassword+`"}`)},
			{"Sign in with Google (AccountMaker API)", "code=$(" + follow("/accountmaker/auth/google/authorize?redirect_uri="+base+dev.AppPath+"/code&code_challenge="+devChallenge+"&code_challenge_method=S256") + "); " +
				"curl -s " + base + "/accountmaker/oauth2/token -d grant_type=authorization_code -d client_id=" + devAccounts + " -d code=$code -d redirect_uri=" + base + dev.AppPath + "/code -d code_verifier=" + devVerifier},
			{"Sign in, with a cookie for the session (Snooplytics API)",
				"curl -s -c cookies.txt " + base + `/snooplytics/api/auth/sign-in/email -H 'Content-Type: application/json' -d '{"email":"` + devUser + `","password":"` + devPassword + `"}'`},
			{"See who that is (Snooplytics API)", "curl -s -b cookies.txt " + base + "/snooplytics/api/auth/get-session"},
			{"Sign in at a customer's own provider (Snooplytics API)", "handle=$(curl -sL -c cookies.txt -b cookies.txt '" + base + "/snooplytics/auth/sso/acme/login?login_hint=ann@acme.example' | " +
				`sed 's/.*"handle":"\([^"]*\)".*/\1/'); curl -s -c cookies.txt -b cookies.txt ` + base + `/snooplytics/api/auth/sso/complete -H 'Content-Type: application/json' -H 'Origin: ` + base + `' -d "{\"handle\":\"$handle\"}"`},
			{"Sign in (Tofu API)", post("/tofu/api/token/", `{"email":"`+devUser+`","password":"`+devPassword+`"}`)},
			{"Sign in with a code that a page got from Google (Tofu API)", "code=$(" + follow(dev.ProviderPath+"/google/o/oauth2/v2/auth?client_id="+devAtProvider+"&redirect_uri="+base+dev.AppPath+"/code") + "); " +
				"curl -s " + base + `/tofu/api/core/auth/google/login/ -H 'Content-Type: application/json' -d "{\"code\":\"$code\",\"redirect_uri\":\"` + base + dev.AppPath + `/code\"}"`},
			{"Read what the OpenID provider can do", "curl -s " + base + "/.well-known/openid-configuration"},
			{"Sign in to a terminal: open verification_uri_complete in a browser", "curl -s " + base + "/oauth2/device_authorization -d client_id=" + devTerminal + " -d 'scope=openid profile email'"},
			{"Get a token for the client itself (OAuth)", "curl -s " + base + "/oauth2/token -u " + devClient + ":" + devClientSecret + " -d grant_type=client_credentials -d scope=reports"},
			{"Fetch the keys that tokens are signed with", "curl -s " + base + "/.well-known/jwks.json"},
		},
	}
}

// Text is the playground for people.
func (p Playground) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nSallyport is at %s, with nothing to set up. Client Demo: %s\n\n", p.URL, p.Client)
	for _, u := range p.Users {
		fmt.Fprintf(&b, "  %-22s  password %s  (%s)\n", u.Email, u.Password, u.About)
	}
	fmt.Fprintf(&b, "\n  Sign-in page  %s\n", p.SignIn)
	fmt.Fprintf(&b, "  Mail inbox    %s\n", p.Inbox)
	if p.SetUp != "" {
		fmt.Fprintf(&b, "  Set-up page   %s\n                for a customer's IT administrator; their provider is %s%s/%s, with the client %s and its secret sk_fake_secret_of_sallyport\n",
			p.SetUp, p.URL, dev.ProviderPath, dev.Corporate.Key, devAtProvider)
	}
	b.WriteString("  Customers     type ann@acme.example on the sign-in page: Acme signs its own people in\n")
	b.WriteString("  Providers     fakes of Google, GitHub and others stand on the sign-in page: pick who you are there\n")
	for _, c := range p.Commands {
		fmt.Fprintf(&b, "\n# %s\n%s\n", c.About, c.Shell)
	}
	b.WriteString("\nStop with Ctrl-C; the same data is there next time. --fresh begins again.\n\n")
	return b.String()
}
