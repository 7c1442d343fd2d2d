package snooplytics_test

import (
	"log/slog"
	"maps"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/rig"
	"sallyport/internal/surface/snooplytics"
	"sallyport/internal/wire"
	"sallyport/internal/wire/transcript"
)

// password is everybody's in these tests.
const password = "Correct-horse-7"

// origin is where the application's pages are.
const origin = "https://app.example.com"

// newAPI is the surface over a rig, bound as the settings say.
func newAPI(t testing.TB, r *rig.Rig, set snooplytics.Settings) *snooplytics.API {
	t.Helper()
	csrf, err := wire.NewCSRF(r.Key, rig.Base)
	if err != nil {
		t.Fatal(err)
	}
	return &snooplytics.API{
		CSRF:   csrf,
		SignIn: r.SignIn, Self: r.Self, Enterprise: r.Enterprise, Key: r.Key, Now: r.Now, Log: slog.New(slog.DiscardHandler),
		Issuers: []string{rig.Base}, Settings: func() snooplytics.Settings { return set }, Granted: granted(r),
	}
}

// policy is what the resource file gives the client of the surface.
func policy(p *client.Policy) {
	p.Accounts, p.VerifiedEmail = true, true
	p.Methods = append(p.Methods, client.MethodPasskey, "google", "github")
	p.RedirectURIs = append(p.RedirectURIs, "com.example.snoop:/done")
	p.AllowedOrigins = []string{origin}
	p.Password.MaxLength = 128
}

// stage is a Sallyport with the people of the transcripts.
func stage(t *testing.T, d *db.DB) transcript.Stage {
	r := rig.New(t, d)
	snoop := r.Client("Snooplytics", func(c *client.Client) { policy(&c.Policy) })
	api := newAPI(t, r, snooplytics.Settings{Client: snoop.ID, AppURL: origin})
	routes := api.Routes()
	for i := range routes { // as the server does
		routes[i].Handler = wire.Recover(api.Log, api.Crash, routes[i].Handler).ServeHTTP
	}
	r.Mount(routes, api.MethodNotAllowed)
	op := provider(r)
	op.Lend = api.Lend
	r.Mount(op.Routes(), nil)
	r.NotFound(api.NotFound)
	other := third(r)
	ada := r.User("ada@example.com", "Ada Lovelace", password, snoop)
	c := newCustomers(r, snoop)
	hooks := c.hooks()
	maps.Copy(hooks, visitors(r, snoop))
	maps.Copy(hooks, operators(r, api))
	return transcript.Stage{
		Host:  r,
		Vars:  map[string]string{"ada": string(ada.ID), "snoop": string(snoop.ID), "third": string(other.ID), "acme": string(c.acme.ID), "beta": string(c.beta.ID), "bob": string(c.bob.ID), "acme_issuer": c.Connection(c.acme).Issuer},
		Hooks: hooks,
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
	api := newAPI(t, rig.New(t, dbtest.SQLite(t)), snooplytics.Settings{})
	transcript.Coverage(t, api.Endpoints(), "testdata")
}

func TestEveryFaultHasWords(t *testing.T) {
	for _, c := range fault.Codes {
		if !snooplytics.Answers(c) {
			t.Errorf("fault %q has no status and words on this surface", c)
		}
	}
}
