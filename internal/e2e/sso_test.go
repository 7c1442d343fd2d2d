package e2e

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"sallyport/internal/db/dbtest"
	"sallyport/internal/dns/dnstest"
	"sallyport/internal/saml"
	"sallyport/internal/saml/samltest"
)

// office is an installation whose application is used by customers with providers of
// their own, and the browser of one of their people. It is reached as localhost, as
// their providers are: a browser keeps no cookie of another site's over plain http.
type office struct {
	guests
	t        *testing.T
	dns      *dnstest.Server
	issuer   string   // of the first customer
	operator []string // the header that carries their token
}

// customers are the organizations, each with another make of provider. The first is
// set up by a file, the others by their own IT administrators.
const customers = `clients:
  - key: social
    id: %s
    name: Social
    redirect_uris: ["%s/callback"]
    registration: open
    methods: [password]
    roles: {available: [user, manager], default: [user]}
orgs:
  - slug: oidc-corp
    name: OIDC Corporation
    domains: [{name: example.com, verified: true}]
    policy: {sign_in: %s}
    sso: {kind: oidc, provider: oidc, issuer: "%s", client_id: sallyport, client_secret: a-secret-of-sallyport,
          roles: [{claim: given_name, value: Jane, client: social, client_role: manager}, {claim: given_name, value: Jane, role: admin}]}
  - {slug: node-corp, name: Node Corporation, domains: [{name: acme.com, verified: true}]}
  - {slug: go-corp, name: Go Corporation}
users:
  - {email: mary@example.com, email_verified: true, display_name: Mary Member, password: mary-has-a-password,
     enrolments: [{client: social}], memberships: [{org: oidc-corp}]}
  - {email: otto@example.com, email_verified: true, display_name: Otto Owner, password: otto-has-a-password, totp_secret: %s,
     enrolments: [{client: social}], memberships: [{org: oidc-corp, role: owner}]}
`

const ottosSecret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"

// newOffice opens one.
func newOffice(t *testing.T) *office {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!doctype html><title>App</title><link rel="icon" href="data:,"><h1>Welcome to the application</h1>`))
	}))
	t.Cleanup(app.Close)
	o := &office{t: t, dns: dnstest.New(t)}
	s := newSite(t, dbtest.SQLiteURL(t), options{host: "localhost", config: "resolver: " + o.dns.Addr + "\noutbound_allow: [127.0.0.0/8, \"::1/128\"]\n"})
	o.guests = guests{site: s, app: app.URL, b: newBrowser(t)}
	o.issuer = emulators(t, s.base)["oidc"]
	o.demand("any")
	o.serve()
	o.operator = o.visitor(t).post("/auth/login", fields{"email": operatorEmail, "password": operatorPassword, "app_id": console}).tokens().bearer()
	return o
}

// demand has the first customer demand a way to sign in.
func (o *office) demand(way string) {
	o.t.Helper()
	o.command("apply", o.write("customers.yaml", fmt.Sprintf(customers, social, o.app, way, o.issuer, ottosSecret)))
}

// fresh is another person's browser.
func (o *office) fresh() { o.b = o.b.another() }

// types an address on the page of the application, which leads to a provider.
func (o *office) types(email string) {
	o.t.Helper()
	o.b.open(o.base + "/login?prompt=login&app_id=" + social)
	o.b.fill("#email", email)
	o.b.click(`form[action$="/login/email"] button`)
}

// TestSingleSignOn is the customers' people in a browser: an address leads to the
// provider of their organization, of three makes and by two protocols, and back to the
// application with the roles that the provider's words give; what an organization
// demands is demanded; and whoever its directory puts out is out.
func TestSingleSignOn(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.byOpenID()
	o.demands()
	o.bySAMLP()
	o.byCrewjam()
}

// byOpenID is npm's oidc-provider, which is certified.
func (o *office) byOpenID() {
	o.t.Helper()
	o.types("jane@example.com")
	o.b.until(func() error {
		if strings.HasPrefix(o.b.at(), o.base) {
			return fmt.Errorf("still on our page")
		}
		return nil
	})
	o.walk()
	o.comes("jane@example.com", "oidc-corp", "admin", "user", "manager")
	o.b.open(o.base + "/account")
	o.b.sees("jane@example.com", "Confirmed")
}

// comes fails unless the browser comes to the application as somebody with these
// roles there, and with that one in their organization: which a plan to change it
// tells.
func (o *office) comes(email, org, role string, roles ...string) (claims map[string]any) {
	o.t.Helper()
	claims = o.signedIn()
	if claims["email"] != email || !slices.Equal(texts(claims["roles"]), roles) {
		o.t.Errorf("got %v, want %s with the roles %q", claims, email, roles)
	}
	plan := o.command("plan", o.write("plan.yaml", fmt.Sprintf(`orgs: [{slug: %s, name: Corporation}]
users: [{email: %s, memberships: [{org: %s, role: owner}]}]
`, org, email, org)))
	if want := fmt.Sprintf("memberships.%s: %s → owner", org, role); !strings.Contains(plan, want) {
		o.t.Errorf("want %s, got\n%s", want, plan)
	}
	return claims
}

// rules has the operator make managers of the application, and administrators of
// their organization, of whoever is in the group; what the attribute of groups is
// called is said where it has no usual name.
func (o *office) rules(org, attribute, group string) {
	o.t.Helper()
	o.visitor(o.t).send("PUT", "/admin/v1/orgs/"+org+"/sso", "application/json", fmt.Sprintf(`{"kind":"saml","provider":"saml",`+
		`"attributes":{"groups":%q},"roles":[{"claim":"groups","value":%q,"role":"admin","client":%q,"client_role":"manager"}]}`,
		attribute, group, social), o.operator...).want(200)
}

// texts are the texts of a list of JSON.
func texts(v any) (all []string) {
	list, _ := v.([]any)
	for _, one := range list {
		if s, ok := one.(string); ok {
			all = append(all, s)
		}
	}
	return all
}

// demands is an organization that takes its own provider alone: a good password is
// refused, but for an owner who shows a second factor beside it.
func (o *office) demands() {
	o.t.Helper()
	o.fresh()
	o.password("mary@example.com", "mary-has-a-password")
	o.signedIn()
	o.demand("sso")
	o.fresh()
	o.password("mary@example.com", "mary-has-a-password")
	o.b.sees("Your organization lets you sign in by its own single sign-on only.", "Continue with single sign-on")
	o.b.click(`a[href*="/sso/oidc-corp"]`)
	o.b.until(func() error {
		if !strings.HasPrefix(o.b.at(), o.issuer) {
			return fmt.Errorf("want the provider")
		}
		return nil
	})
	o.fresh()
	o.password("otto@example.com", "otto-has-a-password")
	o.b.sees("Two-factor authentication")
	o.b.fill("#code", code(o.t, ottosSecret, time.Now()))
	o.b.click(`form[action$="/login/totp"] button`)
	if claims := o.signedIn(); claims["email"] != "otto@example.com" {
		o.t.Errorf("got %v, want otto", claims)
	}
}

// password signs in by one, on the page that a link on the first leads to.
func (o *office) password(email, plain string) {
	o.t.Helper()
	o.b.open(o.base + "/login?prompt=login&app_id=" + social)
	o.b.click(`nav a[href*="with=password"]`)
	o.b.fill("#password", plain)
	o.b.fill("#email", email)
	o.b.click(`form[action$="/login"] button`)
}

// setUp opens the page of a customer's IT administrator.
func (o *office) setUp(org string) {
	o.t.Helper()
	o.fresh()
	var link struct {
		URL string `json:"url"`
	}
	o.visitor(o.t).post("/admin/v1/orgs/"+org+"/setup-links", fields{}, o.operator...).json(200, &link)
	o.b.open(link.URL)
	o.b.sees("Which identity provider do you use?")
}

// value is what a field of the page holds.
func (o *office) value(css string) string {
	o.t.Helper()
	got, err := chromedp.Run(o.b.ctx, chromedp.Attributes(chromedp.CSS(css)))
	if err != nil {
		o.t.Fatalf("%s at %s: %v\n%s", css, o.b.at(), err, o.b.text())
	}
	return got["value"]
}

// connectsSAML goes through the set-up until the provider is tried out and on; serve
// starts it, once our values are known.
func (o *office) connectsSAML(org string, serve func(entityID, acs, slo string), metadata func() (field, text string)) {
	o.t.Helper()
	o.setUp(org)
	o.b.click(`a[href*="provider=saml"]`)
	o.b.sees("Add us to your provider")
	serve(o.value("#entity-id"), o.value("#acs"), o.value("#slo"))
	o.b.click("a.button.go")
	o.b.sees("Connect your provider")
	o.b.fill(metadata())
	o.b.click("form button")
	o.b.sees("Your provider is connected.")
}

// tests tries the provider out, and switches it on.
func (o *office) tests(email string) {
	o.t.Helper()
	o.b.open(o.base + "/setup/test")
	o.b.click("form button.go")
	o.b.sees("It works", "You came as "+email, "What the assertion says")
	o.b.click("a.button.go")
	o.b.sees("Switch it on")
	o.b.click("form button.go")
	o.b.sees("Saved. Single sign-on is on.")
}

// bySAMLP is npm's samlp, by the address of its metadata.
func (o *office) bySAMLP() {
	o.t.Helper()
	place := ""
	o.connectsSAML("node-corp", func(entityID, acs, slo string) { place = samlp(o.t, entityID, acs, slo) },
		func() (string, string) { return "#metadata-url", place + "/metadata/assertion" })
	o.tests("jane@acme.com")
	o.rules("node-corp", "http://schemas.passportjs.com/groups", "engineers")
	o.fresh()
	o.types("jane@acme.com")
	o.comes("jane@acme.com", "node-corp", "admin", "user", "manager")
}

// byCrewjam is the Go one, whose metadata are pasted; the domain is proved on the way,
// the directory switched on, and the person, who has left their group, put out by it.
func (o *office) byCrewjam() {
	o.t.Helper()
	carla := samltest.Person{NameID: "carla-at-go-corp", Email: "carla@go-corp.example", GivenName: "Carla", FamilyName: "Coder", Groups: []string{"staff", "engineers"}}
	var idp *samltest.IdP
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { idp.ServeHTTP(w, r) }))
	o.t.Cleanup(s.Close)
	idp = samltest.New(strings.Replace(s.URL, "127.0.0.1", "localhost", 1), time.Now, carla)
	o.connectsSAML("go-corp", func(string, string, string) {}, func() (string, string) {
		return "#metadata-xml", strings.Join(strings.Fields(string(idp.Metadata())), " ")
	})
	o.b.fill("#domain", "go-corp.example")
	o.b.click(`button[name="add"]`)
	o.b.sees("Now add the record below")
	o.dns.TXT("_sallyport-challenge.go-corp.example", o.value(`input[id$="-value"]`))
	o.b.click(`button[name="check"]`)
	o.b.sees("the domain is verified")
	o.tests(carla.Email)
	o.rules("go-corp", "", "engineers")
	o.b.click(`a[href$="/setup/directory"]`)
	o.b.click(`button[name="make"]`)
	o.b.sees("Shown only now")
	directory := []string{"Authorization", "Bearer " + o.value("#token")}
	o.fresh()
	o.types(carla.Email)
	if claims := o.comes(carla.Email, "go-corp", "admin", "user", "manager"); claims["name"] != "Carla Coder" {
		o.t.Errorf("got %v, want carla", claims)
	}
	o.b.open(o.base + "/account")
	o.b.sees(carla.Email)
	o.b.click(`button[value="sign-out"]`) // there, too, and back
	o.b.sees("You are signed out of this browser.")
	if got := idp.Goodbyes(); !slices.Equal(got, []string{carla.NameID}) {
		o.t.Errorf("the provider signed out %v, want carla", got)
	}
	carla.Groups = []string{"staff"}
	idp.SetPeople(carla)
	o.types(carla.Email)
	o.comes(carla.Email, "go-corp", "member", "user")
	o.deactivated(directory, carla)
}

// deactivated is somebody whom the directory puts out while they are signed in.
func (o *office) deactivated(directory []string, p samltest.Person) {
	o.t.Helper()
	v := o.visitor(o.t)
	var made struct{ ID string }
	v.post("/scim/v2/Users", fields{
		"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:User"}, "userName": p.Email, "active": true,
		"name": fields{"givenName": p.GivenName, "familyName": p.FamilyName}, "emails": []fields{{"value": p.Email, "primary": true}},
	}, directory...).json(201, &made)
	o.b.open(o.base + "/account")
	o.b.sees(p.Email)
	v.send("PATCH", "/scim/v2/Users/"+made.ID, "application/scim+json", `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],`+
		`"Operations":[{"op":"Replace","path":"active","value":"False"}]}`, directory...).want(200)
	o.b.open(o.base + "/account")
	o.b.sees("You are not signed in.")
	o.types(p.Email)
	o.b.sees("Your account has been suspended.")
}

// samlp starts npm's SAML provider for us.
func samlp(t *testing.T, entityID, acs, slo string) string {
	t.Helper()
	theirs, err := saml.NewKeyPair("samlp", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(theirs.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(cert.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	settings, err := json.Marshal(map[string]string{
		"key": text("PRIVATE KEY", []byte(theirs.Key.Reveal())), "cert": text("CERTIFICATE", theirs.Certificate),
		"spCert": text("CERTIFICATE", theirs.Certificate), "spPublicKey": text("PUBLIC KEY", public), "entityID": entityID, "acs": acs, "slo": slo,
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "samlp.json")
	if err := os.WriteFile(file, settings, 0o600); err != nil {
		t.Fatal(err)
	}
	var place struct{ URL string }
	module(t, &place, "../saml/testdata/samlp.mjs", file)
	return place.URL
}
