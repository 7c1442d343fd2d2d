package keymaster_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/org"
	"sallyport/internal/rig"
	"sallyport/internal/surface/keymaster"
	"sallyport/internal/totp"
	"sallyport/internal/wire/transcript"
)

// password is everybody's in these tests.
const password = "correct horse battery staple"

// totpSecret is Tom's.
const totpSecret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"

// newAPI is the surface over a rig.
func newAPI(r *rig.Rig) *keymaster.API {
	return &keymaster.API{
		SignIn: r.SignIn, OAuth: r.OAuth, Self: r.Self, Admin: r.Admin, Keys: r.Keys, Tokens: r.Tokens, Now: r.Now,
		Log: slog.New(slog.DiscardHandler), Issuers: []string{rig.Base},
	}
}

// stage is a Sallyport with the applications and people of the transcripts.
func stage(t *testing.T, d *db.DB) transcript.Stage {
	r := rig.New(t, d)
	api := newAPI(r)
	r.Mount(api.Routes(), api.MethodNotAllowed)

	demo := r.Client("Demo", nil)
	approval := r.Client("Approval", func(c *client.Client) { c.Policy.Registration = client.Approval })
	members := r.Client("Members", func(c *client.Client) { c.Policy.Registration = client.Invite })
	magic := r.Client("Magic", func(c *client.Client) { c.Policy.Methods = []string{client.MethodMagicLink} })
	strict := r.Client("Strict", func(c *client.Client) { c.Policy.SecondFactor = client.FactorRequired })
	off := r.Client("Off", func(c *client.Client) { c.Active = false })
	plain := r.Client("Plain", func(c *client.Client) { c.Policy.Methods = []string{client.MethodPassword} })
	long := r.Client("Long", func(c *client.Client) { c.Policy.Password.MinLength = 12 })
	confidential := r.Client("Machine", func(c *client.Client) { c.SecretHash = client.HashSecret(r.Key, "machine-secret") })
	retired := r.Client("Retired", func(c *client.Client) {
		c.Active, c.SecretHash = false, client.HashSecret(r.Key, "machine-secret")
	})

	jane := r.User("jane@example.com", "Jane Doe", password, demo, strict, members)
	r.User("nopass@example.com", "Nora Nopass", "", demo)
	r.User("outside@example.com", "Otto Outside", password)
	sue := r.User("suspended@example.com", "Sue Suspended", password, demo)
	r.Enrol(sue, demo, client.Suspended, "user")
	pat := r.User("pending@example.com", "Pat Pending", password)
	r.Enrol(pat, approval, client.Pending, "user")
	tom := r.User("tom@example.com", "Tom Totp", password, demo, strict)
	r.Write(func(ctx context.Context, tx *db.Tx) error {
		return totp.Import(ctx, tx, r.Key, tom.ID, totpSecret, r.Now())
	})
	ann := r.User("ann@acme.com", "Ann Acme", password, demo)
	acme := r.Org("acme", "acme.com")
	r.Write(func(ctx context.Context, tx *db.Tx) error {
		_, _, err := org.Join(ctx, tx, acme.ID, ann.ID, org.Member, r.Now())
		return errors.Join(err, org.SetPolicy(ctx, tx, acme.ID, org.SignInSSO, true, r.Now()))
	})

	s := transcript.Stage{
		Host: r,
		Vars: map[string]string{
			"demo": string(demo.ID), "approval": string(approval.ID), "members": string(members.ID), "magic": string(magic.ID),
			"strict": string(strict.ID), "off": string(off.ID), "plain": string(plain.ID), "long": string(long.ID),
			"machine": string(confidential.ID), "retired": string(retired.ID),
			"jane": string(jane.ID), "tom": string(tom.ID), "totp_secret": totpSecret,
		},
		Hooks: hooks(r, api),
	}
	maps.Copy(s.Hooks, adminHooks(r, newOffice(r, s.Vars)))
	maps.Copy(s.Hooks, goAbroad(r, s.Vars, sue).hooks())
	return s
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
	transcript.Coverage(t, newAPI(rig.New(t, d)).Routes(), "testdata")
}

func TestEveryFaultHasWords(t *testing.T) {
	for _, c := range fault.Codes {
		if !keymaster.Answers(c) {
			t.Errorf("fault %q has no status and words on this surface", c)
		}
	}
}
