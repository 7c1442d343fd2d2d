package accountmaker_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/rig"
	"sallyport/internal/surface/accountmaker"
	"sallyport/internal/upstream"
	"sallyport/internal/wire"
	"sallyport/internal/wire/transcript"
)

// password is everybody's in these tests.
const password = "Correct-horse-7"

// newAPI is the surface over a rig; its default client is the one given.
func newAPI(t testing.TB, r *rig.Rig, byDefault func() client.ID) *accountmaker.API {
	t.Helper()
	csrf, err := wire.NewCSRF(r.Key, rig.Base)
	if err != nil {
		t.Fatal(err)
	}
	return &accountmaker.API{
		SignIn: r.SignIn, Self: r.Self, OAuth: r.OAuth, Keys: r.Keys, Tokens: r.Tokens, Key: r.Key, CSRF: csrf, Now: r.Now,
		Log: slog.New(slog.DiscardHandler), Issuers: []string{rig.Base}, DefaultClient: byDefault, Session: "km_sso",
	}
}

// policy is what the resource file gives a client of AccountMaker's.
func policy(p *client.Policy) {
	p.Accounts, p.MagicLinkExisting, p.MagicLinkNewest = true, true, true
	p.Password = client.PasswordPolicy{
		MinLength: 8, MaxLength: 128, RequireUppercase: true, RequireLowercase: true, RequireDigit: true, RequireSymbol: true, RefuseEmail: true,
	}
	p.AccessToken.Lifetime = client.Duration(time.Hour)
	p.RefreshToken = client.RefreshToken{Lifetime: client.Duration(14 * 24 * time.Hour), ReuseGrace: client.Duration(10 * time.Second)}
	p.AllowedOrigins = []string{"https://app.example.com"}
}

// stage is a Sallyport with the applications and people of the transcripts.
func stage(t *testing.T, d *db.DB) transcript.Stage {
	r := rig.New(t, d)
	am := func(name string, change func(*client.Client)) client.Client {
		return r.Client(name, func(c *client.Client) {
			policy(&c.Policy)
			if change != nil {
				change(c)
			}
		})
	}
	demo := am("Demo", nil)
	fake := r.Upstream("google", upstream.Google, nil, people...)
	social := am("Social", func(c *client.Client) {
		c.Policy.Methods = append(c.Policy.Methods, "google")
		c.Policy.PKCE = client.PKCEPlain
	})
	api := newAPI(t, r, func() client.ID { return demo.ID })
	r.Mount(api.Routes(), api.MethodNotAllowed)
	provider(r, api)
	cookies := am("Cookies", func(c *client.Client) {
		c.Policy.AccessToken.Cookie, c.Policy.RefreshToken.Cookie = &client.Cookie{}, &client.Cookie{}
	})
	named := am("Named cookies", func(c *client.Client) {
		c.Policy.AccessToken.Cookie = &client.Cookie{Name: "at", SameSite: "none", Open: true, Plain: true}
		c.Policy.RefreshToken.Cookie = &client.Cookie{Name: "rt", SameSite: "strict"}
	})
	strict := am("Strict", func(c *client.Client) { c.Policy.StrictCSRF = true })
	closed := am("Closed", func(c *client.Client) { c.Policy.Registration = client.Invite })
	magic := am("Magic", func(c *client.Client) { c.Policy.Methods = []string{client.MethodMagicLink} })
	plain := am("Password", func(c *client.Client) { c.Policy.Methods = []string{client.MethodPassword} })
	verified := am("Verified", func(c *client.Client) { c.Policy.VerifiedEmail, c.Policy.VerifyLater = true, true })
	other := am("Other", func(c *client.Client) { c.Policy.AllowedOrigins = []string{"https://other.example.com"} })
	welcome := am("Welcome", func(c *client.Client) { c.Policy.MagicLinkExisting = false })
	factor := am("Factor", func(c *client.Client) { c.Policy.SecondFactor = client.FactorRequired })
	approval := am("Approval", func(c *client.Client) { c.Policy.Registration = client.Approval })
	off := am("Off", func(c *client.Client) { c.Active = false })

	ada := r.User("ada@example.com", "Ada Lovelace", password, demo, cookies, named, strict)
	bob := r.User("bob@example.com", "Bob", password, demo)
	r.User("nopass@example.com", "Nora Nopass", "", demo)
	suspended := r.User("suspended@example.com", "Sue", password, demo)
	disabled := r.User("disabled@example.com", "Dan", password, demo)
	r.Write(func(ctx context.Context, tx *db.Tx) error {
		if err := identity.SetStatus(ctx, tx, suspended.ID, identity.Suspended, r.Now()); err != nil {
			return err
		}
		return identity.SetStatus(ctx, tx, disabled.ID, identity.Disabled, r.Now())
	})
	cid := func(c client.Client) string { return identity.KSUID("cid", string(c.ID)) }
	return transcript.Stage{
		Host: r,
		Vars: map[string]string{
			"demo": cid(demo), "cookies": cid(cookies), "named": cid(named), "strict": cid(strict), "closed": cid(closed), "magic": cid(magic),
			"plain": cid(plain), "verified": cid(verified), "other": cid(other), "welcome": cid(welcome), "factor": cid(factor),
			"approval": cid(approval), "off": cid(off), "demo_uuid": string(demo.ID), "social": cid(social),
			"ada": identity.KSUID("uid", string(ada.ID)), "bob": identity.KSUID("uid", string(bob.ID)),
		},
		Hooks: withClient(r, hooks(r, fake), social.ID),
	}
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
	d := dbtest.SQLite(t)
	transcript.Coverage(t, newAPI(t, rig.New(t, d), func() client.ID { return "" }).Routes(), "testdata")
}

func TestEveryFaultHasWords(t *testing.T) {
	for _, c := range fault.Codes {
		if !accountmaker.Answers(c) {
			t.Errorf("fault %q has no status and words on this surface", c)
		}
	}
}
