// Package internal holds the test that keeps the layout: which packages there
// are, and which may import which.
package internal

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "sallyport/"

// The storeys, lowest first. A package imports only lower ones; within the floor
// and the records, those listed before it. A package that is in no list fails
// the test: add it where it belongs.
var (
	floor = []string{"secret", "fault", "reference", "yaml", "dns", "outbound", "db", "mail", "wire"}

	// Oldest first.
	records = []string{
		"identity", "client", "org", "directory", "password", "totp", "passkey", "session", "jwks", "token", "openid", "saml", "upstream", "sso",
		"apikey", "onetime", "factor", "invite", "grant", "waitlist", "limit", "audit", "job", "logout", "eviction", "webhook",
	}

	// core packages, surfaces never import one another.
	core     = []string{"admin", "enterprise", "oauth", "provision", "resource", "self", "signin"}
	surfaces = []string{
		"surface/accountmaker", "surface/admin", "surface/console", "surface/dev", "surface/hackillinois", "surface/keymaster",
		"surface/oidc", "surface/pages", "surface/scim", "surface/snooplytics", "surface/tofu",
	}

	top = []string{"config", "server", "cmd/sallyport"}

	// testOnly packages are imported by tests and by each other alone, but for the
	// fake providers, which a playground also has.
	testOnly = []string{"db/dbtest", "dns/dnstest", "e2e", "emulator", "mail/mailtest", "passkey/passkeytest", "rig", "saml/samltest", "upstream/upstreamtest", "wire/transcript"}

	// tools are programs for building and testing.
	tools = []string{"scripts/testsum"}
)

// doors names the one package that may import each third-party module, so that
// replacing the module touches one package.
var doors = map[string]string{
	"github.com/alecthomas/kong":          "cmd/sallyport",
	"github.com/beevik/etree":             "saml",
	"github.com/crewjam/saml":             "saml/samltest",
	"github.com/danielgtaylor/huma/v2":    "surface/admin",
	"github.com/emersion/go-sasl":         "mail/mailtest",
	"github.com/emersion/go-smtp":         "mail/mailtest",
	"github.com/go-jose/go-jose/v4":       "token",
	"github.com/go-webauthn/webauthn":     "passkey",
	"github.com/google/uuid":              "identity",
	"github.com/jackc/pgx/v5":             "db",
	"github.com/pquerna/otp":              "totp",
	"github.com/prometheus/client_golang": "server",
	"github.com/russellhaering/goxmldsig": "saml",
	"github.com/wneessen/go-mail":         "mail",
	"golang.org/x/crypto":                 "password",
	"golang.org/x/image":                  "admin",
	"golang.org/x/net/dns":                "dns/dnstest",
	"golang.org/x/net/idna":               "dns",
	"golang.org/x/net/publicsuffix":       "dns",
	"golang.org/x/text/unicode/norm":      "password",
	"gopkg.in/yaml.v3":                    "yaml",
	"modernc.org/sqlite":                  "db",
	"zombiezen.com/go/sqlite":             "db",
}

// testDoors may be imported by any test: those without a door above by nothing
// else, those with one because a test plays the other side with them, an
// authenticator or a relying party.
var testDoors = []string{
	"github.com/chromedp/cdproto", "github.com/chromedp/chromedp", "github.com/google/go-cmp",
	"github.com/throttled/throttled/v2", "pgregory.net/rapid",
	"github.com/go-jose/go-jose/v4", "github.com/pquerna/otp",
	"github.com/coreos/go-oidc/v3", "golang.org/x/oauth2",
	"github.com/crewjam/saml",
}

// pkg is a package as go list shows it.
type pkg struct {
	ImportPath, Dir                    string
	GoFiles                            []string
	Imports, TestImports, XTestImports []string
}

// name is the package's place below internal, or in the module.
func (p pkg) name() string { return local(p.ImportPath) }

func local(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module), "internal/")
}

func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Dir,GoFiles,Imports,TestImports,XTestImports", module+"...")
	var problem bytes.Buffer
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, problem.String())
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if p.ImportPath != module+"internal" {
			all = append(all, p)
		}
	}
}

// storey is a package's height and its place among those of one height.
func storey(name string) (height, place int) {
	for height, names := range [][]string{floor, records, core, surfaces, top, testOnly} {
		if place := slices.Index(names, name); place >= 0 {
			return height, place
		}
	}
	return -1, -1
}

const (
	onFloor = iota
	onRecords
	onCore
	onSurfaces
	onTop
	onTests
)

func TestEveryPackageHasAPlace(t *testing.T) {
	vague := []string{"util", "utils", "common", "helper", "helpers", "type", "types", "model", "models", "base", "misc", "shared", "lib"}
	for _, p := range list(t) {
		if h, _ := storey(p.name()); h < 0 && !slices.Contains(tools, p.name()) {
			t.Errorf("%s is in no list of this test", p.name())
		}
		if slices.Contains(vague, path.Base(p.name())) {
			t.Errorf("%s has a name that says nothing", p.name())
		}
	}
}

func TestImportsPointDown(t *testing.T) {
	for _, p := range list(t) {
		for _, imp := range p.Imports {
			if strings.HasPrefix(imp, module) {
				if why := forbidden(p.name(), local(imp)); why != "" {
					t.Errorf("%s must not import %s: %s", p.name(), local(imp), why)
				}
			}
		}
	}
}

// forbidden says why from must not import to, "" when it may.
func forbidden(from, to string) string {
	fh, fp := storey(from)
	th, tp := storey(to)
	switch {
	case fh < 0 || th < 0:
		return "" // another test tells
	case fh == onTests:
		return ""
	case from == "surface/dev" && to == "upstream/upstreamtest":
		return "" // a playground's providers are those that tests have, or they would be written twice
	case th == onTests:
		return "it is for tests"
	case to == "config" && fh != onTop:
		return "configuration is passed in"
	case to == "cmd/sallyport", to == "server" && from != "cmd/sallyport":
		return "it stands above everything"
	case th > fh:
		return "imports point down"
	case fh == onSurfaces && to == "db":
		return "a surface cannot open a transaction"
	case fh == onSurfaces && th == onSurfaces, fh == onCore && th == onCore:
		return "they stand side by side"
	case (fh == onRecords || fh == onFloor) && th == fh && tp >= fp:
		return "it is the younger one"
	}
	return ""
}

func TestForbiddenImports(t *testing.T) {
	for pair, allowed := range map[[2]string]bool{
		{"surface/keymaster", "signin"}: true, {"surface/keymaster", "token"}: true, {"surface/keymaster", "wire"}: true,
		{"surface/keymaster", "db"}: false, {"surface/keymaster", "surface/pages"}: false, {"surface/keymaster", "config"}: false,
		{"surface/keymaster", "server"}: false, {"surface/keymaster", "db/dbtest"}: false,
		{"signin", "session"}: true, {"signin", "self"}: false, {"signin", "surface/pages"}: false, {"signin", "db"}: true,
		{"session", "identity"}: true, {"identity", "session"}: false, {"identity", "signin"}: false, {"token", "jwks"}: true, {"jwks", "token"}: false,
		{"wire", "secret"}: true, {"fault", "wire"}: false, {"db", "identity"}: false,
		{"server", "surface/pages"}: true, {"server", "config"}: true, {"cmd/sallyport", "server"}: true, {"config", "server"}: false,
		{"rig", "server"}: true, {"server", "rig"}: false,
		{"surface/dev", "upstream/upstreamtest"}: true, {"server", "upstream/upstreamtest"}: false, {"surface/pages", "upstream/upstreamtest"}: false,
	} {
		if why := forbidden(pair[0], pair[1]); (why == "") != allowed {
			t.Errorf("%s → %s: got %q, want allowed %v", pair[0], pair[1], why, allowed)
		}
	}
}

func TestHTTPStaysAtTheEdge(t *testing.T) {
	may := []string{"server", "wire", "openid", "upstream", "logout", "webhook", "outbound"} // the last five as clients
	for _, p := range list(t) {
		h, _ := storey(p.name())
		if h == onSurfaces || h == onTests || slices.Contains(may, p.name()) {
			continue
		}
		for _, imp := range p.Imports {
			if imp == "net/http" || strings.HasPrefix(imp, "net/http/") {
				t.Errorf("%s must not import %s", p.name(), imp)
			}
		}
	}
}

func TestRandomnessComesFromSecret(t *testing.T) {
	for _, p := range list(t) {
		if h, _ := storey(p.name()); h == onTests || p.name() == "secret" {
			continue
		}
		for _, imp := range p.Imports {
			switch {
			case imp == "crypto/rand", imp == "math/rand", imp == "math/rand/v2" && p.name() != "db": // db spreads its retries
				t.Errorf("%s must not import %s", p.name(), imp)
			}
		}
	}
}

func TestEachModuleHasOneDoor(t *testing.T) {
	for _, p := range list(t) {
		for _, imp := range p.Imports {
			if door, ok := doorOf(imp); ok && door != p.name() && !otherSide(p.name(), door) {
				t.Errorf("%s must not import %s: its door is %q", p.name(), imp, door)
			}
		}
		for _, imp := range slices.Concat(p.TestImports, p.XTestImports) {
			if door, ok := doorOf(imp); ok && door != p.name() && !slices.ContainsFunc(testDoors, func(m string) bool { return within(imp, m) }) {
				t.Errorf("tests of %s must not import %s: its door is %q", p.name(), imp, door)
			}
		}
	}
}

// otherSide reports whether a test-only package below a door plays the other side
// with what the door is for.
func otherSide(name, door string) bool {
	height, _ := storey(name)
	return height == onTests && strings.HasPrefix(name, door+"/")
}

// doorOf returns the package that may import a third-party package; ok is false
// for our own and the standard library's.
func doorOf(imp string) (door string, ok bool) {
	first, _, _ := strings.Cut(imp, "/")
	if !strings.Contains(first, ".") {
		return "", false
	}
	for m, door := range doors {
		if within(imp, m) {
			return door, true
		}
	}
	return "none", true
}

func within(imp, mod string) bool { return imp == mod || strings.HasPrefix(imp, mod+"/") }

// Time enters at the top: server reads the clock and hands it down.
func TestTheClockIsReadAtTheTop(t *testing.T) {
	fset := token.NewFileSet()
	for _, p := range list(t) {
		if h, _ := storey(p.name()); h == onTests || slices.Contains([]string{"server", "cmd/sallyport"}, p.name()) {
			continue
		}
		for _, f := range p.GoFiles {
			file, err := parser.ParseFile(fset, filepath.Join(p.Dir, f), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, at := range clockReads(file) {
				t.Errorf("%s reads the clock; take now as an argument", fset.Position(at))
			}
		}
	}
}

// clockReads finds what reads the clock in a file, however time is named there.
func clockReads(file *ast.File) []token.Pos {
	name := ""
	for _, imp := range file.Imports {
		if p, err := strconv.Unquote(imp.Path.Value); err == nil && p == "time" {
			name = "time"
			if imp.Name != nil {
				name = imp.Name.Name
			}
		}
	}
	var found []token.Pos
	ast.Inspect(file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && name != "" && x.Name == name && slices.Contains([]string{"Now", "Since", "Until"}, sel.Sel.Name) {
			found = append(found, sel.Pos())
		}
		return true
	})
	return found
}

func TestClockReadsAreSeen(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "x.go", `package x
import clock "time"
var a, b = clock.Now(), clock.Since(clock.Time{})
var c = clock.Now
var time struct{ Now int }
var d = time.Now`, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(clockReads(file)); got != 3 {
		t.Errorf("got %d, want 3", got)
	}
}
