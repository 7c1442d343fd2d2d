package signin_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/limit"
	"sallyport/internal/org"
	"sallyport/internal/passkey"
	"sallyport/internal/rig"
	"sallyport/internal/signin"
	"sallyport/internal/sso"
)

func TestIdentifyDependsOnTheDomainAlone(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		to := acme(t, d, nil)
		known := to.r.User("known@example.com", "Known", plain, to.app)
		to.r.User(ann.Email, "Ann", plain, to.app)
		to.r.Write(func(ctx context.Context, tx *db.Tx) error {
			return passkey.Add(ctx, tx, passkey.Passkey{ID: []byte("key"), UserID: known.ID, Name: "Key", CreatedAt: to.r.Now()})
		})
		linkless := to.r.Client("By password", func(c *client.Client) { c.Policy.Methods = []string{client.MethodPassword} })
		mailed := to.r.Client("By mail", func(c *client.Client) { c.Policy.Methods = []string{client.MethodMagicLink} })
		routed := sso.Routed{OrgID: to.org.ID, Slug: "acme", Name: to.org.Name, SignIn: org.SignInAny, Kind: sso.OIDC, Provider: sso.Okta}
		password := signin.Identified{Method: client.MethodPassword, MagicLink: true}
		ask := func(about string, in signin.IdentifyIn, want signin.Identified) {
			t.Helper()
			if in.ClientID == "" {
				in.ClientID = to.app.ID
			}
			if got, err := to.r.SignIn.Identify(t.Context(), in); err != nil || got != want {
				t.Errorf("%s: %+v, %v; want %+v", about, got, err, want)
			}
		}
		ask("a verified domain", signin.IdentifyIn{Email: " Ann@ACME.com"}, signin.Identified{Method: signin.MethodSSO, Routed: routed, MagicLink: true})
		ask("nobody of a verified domain", signin.IdentifyIn{Email: "nobody@acme.com"}, signin.Identified{Method: signin.MethodSSO, Routed: routed, MagicLink: true})
		ask("a known address", signin.IdentifyIn{Email: known.Email}, password)
		ask("an unknown one", signin.IdentifyIn{Email: "who@nowhere.example"}, password)
		ask("below a verified domain", signin.IdentifyIn{Email: "ann@mail.acme.com"}, password)
		ask("without links", signin.IdentifyIn{Email: known.Email, ClientID: linkless.ID}, signin.Identified{Method: client.MethodPassword})
		ask("without passwords", signin.IdentifyIn{Email: known.Email, ClientID: mailed.ID}, signin.Identified{Method: client.MethodMagicLink, MagicLink: true})
		ask("passkeys told", signin.IdentifyIn{Email: known.Email, Passkeys: true}, signin.Identified{Method: client.MethodPassword, MagicLink: true, Passkey: true})
		ask("passkeys told of nobody", signin.IdentifyIn{Email: "who@nowhere.example", Passkeys: true}, password)
		to.policy(org.SignInSSO, true)
		routed.SignIn = org.SignInSSO
		ask("where nothing else is allowed", signin.IdentifyIn{Email: ann.Email, Passkeys: true}, signin.Identified{Method: signin.MethodSSO, Routed: routed})

		if _, err := to.r.SignIn.Identify(t.Context(), signin.IdentifyIn{ClientID: to.app.ID, Email: "no address"}); !fault.Is(err, fault.EmailInvalid) {
			t.Errorf("no address: %v", err)
		}
		if _, err := to.r.SignIn.Identify(t.Context(), signin.IdentifyIn{ClientID: client.NewID(), Email: ann.Email}); !fault.Is(err, fault.ClientUnknown) {
			t.Errorf("no client: %v", err)
		}
		if got, err := to.r.SignIn.Discover(t.Context(), "acme.com"); err != nil || got != routed {
			t.Errorf("discovered %+v, %v", got, err)
		}
		if n := count(t, to.r, "audit WHERE action LIKE 'user.%'"); n != 0 {
			t.Errorf("%d entries of questions", n)
		}
		once := []limit.Rule{{Name: "identify", Key: "x", N: 1, Per: signin.HandleLifetime}}
		for i, want := range []fault.Code{"", fault.RateLimited} {
			_, err := to.r.SignIn.Identify(t.Context(), signin.IdentifyIn{ClientID: to.app.ID, Email: ann.Email, Limits: once})
			if want == "" && err != nil || want != "" && !fault.Is(err, want) {
				t.Errorf("question %d: %v", i, err)
			}
		}
	})
}

// crowd makes users with addresses in ten thousand domains, and organizations of which
// each has proved one and has a provider of its own.
func crowd(b *testing.B, r *rig.Rig, users, orgs int) {
	b.Helper()
	r.Write(func(ctx context.Context, tx *db.Tx) error {
		const numbers = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) `
		for _, statement := range []string{
			`INSERT INTO users (id, display_name, given_name, family_name, status, password_hash, created_at, updated_at)
				` + numbers + `SELECT 'user-' || i, 'Somebody', 'Some', 'Body', 'active', '', $2, $2 FROM n`,
			`INSERT INTO emails (address, user_id, is_primary, verified_at, created_at)
				` + numbers + `SELECT 'user' || i || '@company' || (i % 10000) || '.example', 'user-' || i, TRUE, $2, $2 FROM n`,
		} {
			if _, err := tx.Exec(ctx, statement, users, db.At(r.Now())); err != nil {
				return err
			}
		}
		for i := range orgs {
			o, err := org.Create(ctx, tx, org.Org{Slug: "company-" + strconv.Itoa(i), Name: "Company " + strconv.Itoa(i)}, r.Now())
			if err != nil {
				return err
			}
			domain := "company" + strconv.Itoa(i) + ".example"
			if _, err := org.Claim(ctx, tx, o.ID, domain, r.Now()); err != nil {
				return err
			}
			if err := org.Verify(ctx, tx, o.ID, domain, r.Now()); err != nil {
				return err
			}
			c := sso.Connection{OrgID: o.ID, Kind: sso.OIDC, Provider: sso.Okta, Enabled: true, JIT: true, Issuer: "https://" + domain, ClientID: "x", Secret: "s"}
			if _, err := sso.Set(ctx, tx, r.Key, c, r.Now()); err != nil {
				return err
			}
		}
		return nil
	})
}

// Half of the addresses are of an organization's domain; half of the others are
// nobody's.
func BenchmarkIdentify(b *testing.B) {
	for _, users := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprintf("users=%d", users), func(b *testing.B) {
			r := rig.New(b, dbtest.SQLite(b))
			app := r.Client("Demo", nil)
			crowd(b, r, users, 5_000)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					i := rand.IntN(2 * users)
					email := "user" + strconv.Itoa(i) + "@company" + strconv.Itoa(i%10_000) + ".example"
					got, err := r.SignIn.Identify(context.Background(), signin.IdentifyIn{ClientID: app.ID, Email: email})
					if err != nil || (got.Method == signin.MethodSSO) != (i%10_000 < 5_000) {
						b.Errorf("%s: %+v, %v", email, got, err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
		})
	}
}
