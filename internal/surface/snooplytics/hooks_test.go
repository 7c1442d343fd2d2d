package snooplytics_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/oauth"
	"sallyport/internal/outbound"
	"sallyport/internal/passkey/passkeytest"
	"sallyport/internal/rig"
	"sallyport/internal/surface/snooplytics"
	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
)

// googlers have accounts at Google: Ada, who is here too, somebody new, one of whose
// address Google says that nobody verified it, and one without an address.
var googlers = []upstreamtest.Person{
	{ID: "1", Email: "ada@example.com", EmailVerified: true, GivenName: "Ada", FamilyName: "Lovelace", HostedDomain: "example.com"},
	{ID: "2", Email: "new@gmail.com", EmailVerified: true, GivenName: "Nia", FamilyName: "New"},
	{ID: "3", Email: "ada@example.com", EmailVerified: false, GivenName: "Not", FamilyName: "Ada"},
	{ID: "4", GivenName: "No", FamilyName: "Address"},
}

// visitors are the hooks of people who sign in: at Google, or with an authenticator.
func visitors(r *rig.Rig, snoop client.Client) map[string]func(*testing.T, map[string]string) {
	google := r.Upstream("google", upstream.Google, nil, googlers...)
	choose := func(person string, deny bool) func(*testing.T, map[string]string) {
		return func(t *testing.T, vars map[string]string) {
			t.Helper()
			back, _, err := google.Choose(vars["location"], person, deny)
			if err != nil {
				t.Fatal(err)
			}
			vars["back"] = back
			delete(vars, "location")
		}
	}
	device, stranger := passkeytest.New(origin), passkeytest.New(origin)
	answer := func(do func(json.RawMessage) json.RawMessage) func(*testing.T, map[string]string) {
		return func(_ *testing.T, vars map[string]string) {
			vars["response"] = string(do(json.RawMessage(vars["options"])))
			delete(vars, "options")
		}
	}
	standing := func(s identity.Status) func(*testing.T, map[string]string) {
		return func(_ *testing.T, vars map[string]string) {
			r.Write(func(ctx context.Context, tx *db.Tx) error {
				return identity.SetStatus(ctx, tx, identity.UserID(vars["ada"]), s, r.Now())
			})
		}
	}
	update := func(change func(*client.Policy)) func(*testing.T, map[string]string) {
		return func(*testing.T, map[string]string) {
			change(&snoop.Policy)
			r.Write(func(ctx context.Context, tx *db.Tx) error { return client.Update(ctx, tx, snoop, r.Now()) })
		}
	}
	r.Upstream("github", upstream.GitHub, nil, googlers...)
	present := func(person string, trouble upstreamtest.Trouble) func(*testing.T, map[string]string) {
		return func(_ *testing.T, vars map[string]string) {
			google.Behave(trouble)
			vars["token"], vars["access"] = google.Present(person, "n-1")
			google.Behave(upstreamtest.None)
		}
	}
	return map[string]func(*testing.T, map[string]string){
		"token-ada": present("1", upstreamtest.None), "token-new": present("2", upstreamtest.None), "token-unverified": present("3", upstreamtest.None),
		"token-addressless": present("4", upstreamtest.None),
		"token-audience":    present("1", upstreamtest.WrongAudience), "token-expired": present("1", upstreamtest.Expired),
		"token-unsigned": present("1", upstreamtest.Unsigned), "token-shared": present("1", upstreamtest.Shared), "token-other-key": present("1", upstreamtest.OtherKey),
		"google-ada": choose("1", false), "google-new": choose("2", false), "google-unverified": choose("3", false), "google-deny": choose("1", true),
		"google-post": func(t *testing.T, vars map[string]string) {
			choose("1", false)(t, vars)
			_, vars["form"], _ = strings.Cut(vars["back"], "?")
		},
		"make-passkey": answer(device.Create), "use-passkey": answer(device.Get),
		"make-other": answer(stranger.Create), "use-stranger": answer(stranger.Get),
		"button":      update(func(p *client.Policy) { p.MagicLinkButton = true }),
		"no-proof":    update(func(p *client.Policy) { p.VerifiedEmail = false }),
		"no-linking":  update(func(p *client.Policy) { p.Linking = client.LinkingNever }),
		"suspend-ada": standing(identity.Suspended), "restore-ada": standing(identity.Active),
	}
}

// operators are the hooks of what is the operator's to set, and of what goes wrong there.
func operators(r *rig.Rig, api *snooplytics.API) map[string]func(*testing.T, map[string]string) {
	judge := func(do func() error) func(*testing.T, map[string]string) {
		return func(*testing.T, map[string]string) {
			api.Granted = func(*http.Request, string) (oauth.Live, oauth.AccessToken, error) {
				return oauth.Live{}, oauth.AccessToken{}, do()
			}
		}
	}
	return map[string]func(*testing.T, map[string]string){
		"guide": func(*testing.T, map[string]string) {
			set := api.Settings()
			set.Guide = true
			api.Settings = func() snooplytics.Settings { return set }
		},
		// A provider whose answer never ends, and little patience with it.
		"endless": func(t *testing.T, vars map[string]string) {
			fake, issuer := r.Provider()
			fake.Behave(upstreamtest.Slow, upstreamtest.AtMetadata)
			vars["endless"] = issuer
			impatient := outbound.NewDocuments(outbound.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Timeout: 200 * time.Millisecond}, r.Now)
			t.Cleanup(impatient.Close)
			r.Enterprise.Documents = impatient
		},
		// The judge of access tokens fails as nobody expected, or worse.
		"judge-fails":  judge(func() error { return errors.New("the judge's own secret trouble") }),
		"judge-panics": judge(func() error { panic("the judge's own secret trouble") }),
		"no-database": func(t *testing.T, _ map[string]string) {
			if err := r.DB.Close(); err != nil {
				t.Fatal(err)
			}
		},
	}
}
