package pages_test

import (
	"context"
	"fmt"
	"html"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
	"sallyport/internal/rig"
	"sallyport/internal/surface/keymaster"
	"sallyport/internal/surface/oidc"
	"sallyport/internal/surface/pages"
	"sallyport/internal/totp"
	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
	"sallyport/internal/wire"
	"sallyport/internal/wire/transcript"
)

// password is everybody's in these tests.
const password = "correct horse battery staple"

// appSecret is the secret of the application that asks for consent.
const appSecret = "the secret of an application"

// totpSecret is Tom's.
const totpSecret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"

// logo is Rex's.
const logo = `<svg xmlns="http://www.w3.org/2000/svg" width="150" height="50"><rect width="150" height="50" rx="8" fill="#1d3557"/>` +
	`<circle cx="25" cy="25" r="13" fill="#ffd54a"/><path d="M52 34V16h18M52 25h12M84 16l18 18M102 16 84 34" stroke="#fff" stroke-width="5" fill="none"/></svg>`

// surfaces are the API over a rig and the pages of its applications, reached at
// the given URLs.
func surfaces(t testing.TB, r *rig.Rig, bases ...string) (*keymaster.API, *pages.Pages) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	api := &keymaster.API{
		SignIn: r.SignIn, OAuth: r.OAuth, Self: r.Self, Admin: r.Admin, Keys: r.Keys, Tokens: r.Tokens, Now: r.Now, Log: log, Issuers: bases,
	}
	csrf, err := wire.NewCSRF(r.Key, bases...)
	if err != nil {
		t.Fatal(err)
	}
	p := &pages.Pages{SignIn: r.SignIn, Self: r.Self, OAuth: r.OAuth, Enterprise: r.Enterprise, Flow: flow(api), CSRF: csrf, Now: r.Now, Log: log}
	p.Reply = provider(r, p, bases...).Reply
	return api, p
}

// provider is what sends a browser to the pages with an authorization request,
// and takes it back.
func provider(r *rig.Rig, p *pages.Pages, bases ...string) *oidc.API {
	return &oidc.API{
		OAuth: r.OAuth, Keys: r.Keys, Tokens: r.Tokens, Now: r.Now, Log: p.Log, Issuers: bases, Cookie: p.Flow.Cookie, Message: p.Message,
	}
}

// flow is how Keymaster's sign-ins end.
func flow(api *keymaster.API) pages.Flow {
	return pages.Flow{
		Cookie: "km_sso", Destination: api.Destination, TOTPSession: api.TOTPSession, Challenge: api.Challenge,
		UpstreamCookie: keymaster.UpstreamCookie, Connect: api.Connect,
		Limits: pages.Limits{
			Login: keymaster.LoginLimits, LoginEmail: keymaster.LoginByEmail, TOTP: keymaster.TOTPTries,
			SignUp: keymaster.SignUpLimits, Invite: keymaster.InviteFailures, ForgotIP: keymaster.ForgotByIP,
			ForgotEmail: keymaster.ForgotByEmail, Reset: keymaster.ResetLimits, Magic: keymaster.MagicLinkLimits,
			MagicVerify: keymaster.MagicVerifyLimits, Password: keymaster.PasswordTries,
			PasskeyAsk: keymaster.PasskeyAskLimits, Passkey: keymaster.PasskeyLimits,
		},
	}
}

// town is a rig with the applications and people of these tests. Redirect URIs
// begin with app.
type town struct {
	*rig.Rig
	vars   map[string]string
	abroad map[string]*upstreamtest.Fake // the upstreams, by their keys
}

func newTown(t testing.TB, d *db.DB, app string) town {
	t.Helper()
	r := rig.New(t, d)
	at := func(c *client.Client) { c.Policy.RedirectURIs = []string{app + "/callback"} }
	with := func(change func(*client.Client)) func(*client.Client) {
		return func(c *client.Client) { at(c); change(c) }
	}
	apps := map[string]client.Client{
		"demo": r.Client("Demo", with(func(c *client.Client) {
			c.Policy.RedirectURIs = append(c.Policy.RedirectURIs, app+"/other?tab=1")
		})),
		"second":   r.Client("Second", at),
		"approval": r.Client("Approval", with(func(c *client.Client) { c.Policy.Registration = client.Approval })),
		"members":  r.Client("Members", with(func(c *client.Client) { c.Policy.Registration = client.Invite })),
		"magic":    r.Client("Magic", with(func(c *client.Client) { c.Policy.Methods = []string{client.MethodMagicLink} })),
		"plain":    r.Client("Plain", with(func(c *client.Client) { c.Policy.Methods = []string{client.MethodPassword} })),
		"button":   r.Client("Button", with(func(c *client.Client) { c.Policy.MagicLinkButton = true })),
		"closed":   r.Client("Closed", with(func(c *client.Client) { c.Policy.Methods = []string{"okta"} })), // which is not configured
		"social": r.Client("Social", with(func(c *client.Client) {
			c.Policy.Methods = append(c.Policy.Methods, "google", "github", "corp")
		})),
		"only": r.Client("Only", with(func(c *client.Client) { c.Policy.Methods = []string{"google", "github"} })),
		"keys": r.Client("Keys", with(func(c *client.Client) {
			c.Policy.Methods = append(c.Policy.Methods, client.MethodPasskey, "google", "github")
		})),
		"vault": r.Client("Vault", with(func(c *client.Client) {
			c.Policy.Methods, c.Policy.SecondFactor = []string{client.MethodPasskey}, client.FactorRequired
		})),
		"club": r.Client("Club", with(func(c *client.Client) {
			c.Policy.Registration = client.Invite
			c.Policy.Methods = append(c.Policy.Methods, "google")
		})),
		"strict":   r.Client("Strict", with(func(c *client.Client) { c.Policy.SecondFactor = client.FactorRequired })),
		"off":      r.Client("Off", with(func(c *client.Client) { c.Active = false })),
		"homeless": r.Client("Homeless", func(c *client.Client) { c.Policy.RedirectURIs = nil }),
		"asking": r.Client("Calendar & Co", with(func(c *client.Client) {
			c.SecretHash = client.HashSecret(r.Key, appSecret)
			c.Policy.OAuth = client.OAuth{
				Consent: client.ConsentRequired, Scopes: []string{"calendar:read"},
				PolicyURI: "https://calendar.example.com/privacy", TermsURI: "http://calendar.example.com/terms",
			}
		})),
		"stranger": r.Client("Google <b>", with(func(c *client.Client) {
			c.Source = client.Dynamic
			c.Policy.Branding = client.Branding{Color: "#ff0000", LogoURL: "https://evil.example/google.png"}
		})),
		"native": r.Client("Notes", func(c *client.Client) {
			c.Policy.RedirectURIs = []string{"http://127.0.0.1/cb"}
			c.Policy.OAuth.Consent = client.ConsentRequired
		}),
		"tv": r.Client("Telly", func(c *client.Client) {
			c.Policy.RedirectURIs = nil
			c.Policy.Grants = []string{client.GrantDevice, client.GrantRefresh}
			c.Policy.OAuth.Scopes = []string{"films:watch"}
		}),
		"branded": r.Client(`<b>"Rex" & Söhne</b>`, with(func(c *client.Client) {
			c.Policy.Branding = client.Branding{Color: "#ffd54a", LogoURL: "/apps/" + string(c.ID) + "/logo", LogoHeight: 48}
		})),
		"sly": r.Client("Sly", with(func(c *client.Client) {
			c.Policy.Branding = client.Branding{Color: "red;}body{display:none", LogoURL: "javascript:alert(1)", LogoHeight: 9000}
		})),
	}
	vars := map[string]string{"totp_secret": totpSecret}
	for name, c := range apps {
		vars[name] = string(c.ID)
	}
	r.Write(func(ctx context.Context, tx *db.Tx) error {
		return client.SetLogo(ctx, tx, apps["branded"].ID, client.Logo{ContentType: "image/svg+xml", Data: []byte(logo), UpdatedAt: r.Now()})
	})
	demo := apps["demo"]
	r.User("jane@example.com", "Jane Doe", password, demo, apps["strict"])
	r.User("nora@example.com", "Nora Nopass", "", demo)
	r.User("outside@example.com", "Otto Outside", password)
	sue := r.User("sue@example.com", "Sue Suspended", password, demo)
	r.Enrol(sue, demo, client.Suspended, "user")
	tom := r.User("tom@example.com", "Tom Totp", password, demo, apps["second"], apps["strict"])
	r.Write(func(ctx context.Context, tx *db.Tx) error {
		return totp.Import(ctx, tx, r.Key, tom.ID, totpSecret, r.Now())
	})
	return town{r, vars, upstreams(r)}
}

// People who have accounts at the upstreams. Of these, jane, tom and claimant have
// an address that is somebody's here.
var people = map[string]upstreamtest.Person{
	"jane":     {ID: "1001", Email: "jane@example.com", EmailVerified: true, GivenName: "Jane", FamilyName: "Doe", Username: "jane", HostedDomain: "example.com"},
	"tom":      {ID: "1002", Email: "tom@example.com", EmailVerified: true, GivenName: "Tom", FamilyName: "Totp", Username: "tom", HostedDomain: "example.com"},
	"nia":      {ID: "1003", Email: "nia@example.com", EmailVerified: true, GivenName: "Nia", FamilyName: "New", Username: "nia", HostedDomain: "example.com"},
	"claimant": {ID: "1004", Email: "jane@example.com", EmailVerified: false, GivenName: "Jane", FamilyName: "Claims", Username: "claims"},
	"una":      {ID: "1005", Email: "una@example.com", EmailVerified: false, GivenName: "Una", FamilyName: "Unproved", Username: "una"},
	"tomclaim": {ID: "1006", Email: "tom@example.com", EmailVerified: false, GivenName: "Tom", FamilyName: "Claims", Username: "tomc"},
}

// upstreams are the providers of a town.
func upstreams(r *rig.Rig) map[string]*upstreamtest.Fake {
	var all []upstreamtest.Person
	for _, name := range slices.Sorted(maps.Keys(people)) {
		all = append(all, people[name])
	}
	fakes := map[string]*upstreamtest.Fake{
		"google": r.Upstream("google", upstream.Google, nil, all...),
		"github": r.Upstream("github", upstream.GitHub, nil, all...),
		"corp":   r.Upstream("corp", upstream.OIDC, func(u *upstream.Upstream) { u.Settings.Name = "Example Corp" }, all...),
	}
	for _, fake := range fakes {
		fake.Ask = ask
	}
	return fakes
}

// ask is a provider's page: who signs in, or nobody.
func ask(w http.ResponseWriter, r *http.Request, people []upstreamtest.Person) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `<!doctype html><html lang="en"><title>Provider</title><link rel="icon" href="data:,"><h1>Who are you?</h1>`)
	here := "?" + html.EscapeString(r.URL.RawQuery)
	for _, p := range people {
		fmt.Fprintf(w, `<p><a id="p%s" href="%s&amp;person=%s">%s %s</a></p>`, p.ID, here, p.ID, p.GivenName, p.FamilyName)
	}
	fmt.Fprintf(w, `<p><a id="deny" href="%s&amp;deny=1">Cancel</a></p>`, here)
}

// choices are what people do at an upstream, as hooks such as "google-jane" and
// "github-deny": they begin at <away> and come to <back>.
func (w town) choices() map[string]func(*testing.T, map[string]string) {
	out := map[string]func(*testing.T, map[string]string){}
	for key, fake := range w.abroad {
		choose := func(id string, deny bool) func(*testing.T, map[string]string) {
			return func(t *testing.T, v map[string]string) {
				back, _, err := fake.Choose(v["away"], id, deny)
				if err != nil {
					t.Fatal(err)
				}
				v["back"] = back
				delete(v, "away")
			}
		}
		for name, p := range people {
			out[key+"-"+name] = choose(p.ID, false)
		}
		out[key+"-deny"] = choose("", true)
		out[key+"-down"] = func(*testing.T, map[string]string) { fake.Behave(upstreamtest.Down) }
		out[key+"-well"] = func(*testing.T, map[string]string) { fake.Behave(upstreamtest.None) }
	}
	return out
}

// invited makes an invitation and returns its code.
func (w town) invited(email, app string) string {
	code := ""
	w.Write(func(ctx context.Context, tx *db.Tx) (err error) {
		_, code, err = invite.Create(ctx, tx, w.Key, invite.Invite{
			ClientID: client.ID(w.vars[app]), Email: email, Roles: []string{"user"}, InvitedBy: "test", ExpiresAt: w.Now().Add(7 * 24 * time.Hour),
		}, w.Now())
		return err
	})
	return code
}

// user finds a person.
func (w town) user(email string) (u identity.User) {
	w.Write(func(ctx context.Context, tx *db.Tx) (err error) {
		u, err = identity.ByEmail(ctx, tx, email)
		return err
	})
	return u
}

// hooks are the steps of transcripts that no page takes.
func (w town) hooks() map[string]func(*testing.T, map[string]string) {
	return map[string]func(*testing.T, map[string]string){
		"invite-new": func(_ *testing.T, v map[string]string) { v["new_code"] = w.invited("new@example.com", "members") },
		"invite-nia": func(_ *testing.T, v map[string]string) { v["nia_code"] = w.invited("nia@example.com", "club") },
		"invite-tom": func(_ *testing.T, v map[string]string) { v["tom_code"] = w.invited("tom@example.com", "club") },
		"invite-outside": func(_ *testing.T, v map[string]string) {
			v["outside_code"] = w.invited("outside@example.com", "members")
		},
		"suspend-jane-everywhere": func(_ *testing.T, _ map[string]string) {
			jane := w.user("jane@example.com")
			w.Write(func(ctx context.Context, tx *db.Tx) error {
				return identity.SetStatus(ctx, tx, jane.ID, identity.Suspended, w.Now())
			})
		},
		"link-jane": func(_ *testing.T, _ map[string]string) {
			jane := w.user("jane@example.com")
			w.Write(func(ctx context.Context, tx *db.Tx) error {
				return identity.AddLink(ctx, tx, identity.Link{UserID: jane.ID, Upstream: "google", Issuer: "https://accounts.google.com", Subject: "1", CreatedAt: w.Now()})
			})
		},
	}
}

// stage is what a transcript is played on.
func stage(t *testing.T, d *db.DB) transcript.Stage {
	w := newTown(t, d, "https://app.example.com")
	api, p := surfaces(t, w.Rig, rig.Base)
	w.Mount(api.Routes(), api.MethodNotAllowed)
	w.Mount(p.Routes(), p.MethodNotAllowed)
	w.Mount(provider(w.Rig, p, rig.Base).Routes(), p.MethodNotAllowed)
	hooks := w.hooks()
	maps.Copy(hooks, w.choices())
	maps.Copy(hooks, w.authenticators())
	maps.Copy(hooks, w.employers())
	maps.Copy(hooks, w.customers())
	return transcript.Stage{Host: w, Vars: w.vars, Hooks: hooks, Authority: "auth.example.com"}
}

func TestTranscripts(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		transcript.Run(t, "testdata", func(t *testing.T) transcript.Stage { return stage(t, dbtest.SQLite(t)) })
	})
	t.Run("postgres", func(t *testing.T) {
		transcript.Run(t, "testdata", func(t *testing.T) transcript.Stage { return stage(t, dbtest.Postgres(t)) })
	})
}

func TestEveryRouteHasATranscript(t *testing.T) {
	_, p := surfaces(t, rig.New(t, dbtest.SQLite(t)), rig.Base)
	transcript.Coverage(t, p.Routes(), "testdata")
}
