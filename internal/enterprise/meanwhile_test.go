package enterprise_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/enterprise"
	"sallyport/internal/fault"
	"sallyport/internal/org"
	"sallyport/internal/sso"
)

// While a provider is asked no transaction is open, so that much can happen: who has
// lost their right by then stores nothing.
func TestRightsAreJudgedAgainAfterTheProviderWasAsked(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		var meanwhile func()
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			base := "http://" + r.Host
			if r.URL.Path == "/keys" {
				fmt.Fprint(w, `{"keys":[]}`)
				return
			}
			meanwhile()
			fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":%q,"token_endpoint":%q,"jwks_uri":%q}`, base, base+"/a", base+"/t", base+"/keys")
		}))
		t.Cleanup(s.Close)
		in := enterprise.ConnectionIn{Kind: sso.OIDC, Provider: sso.Okta, Issuer: s.URL, ClientID: "x", Secret: "y"}
		links, err := f.Enterprise.SetupLinks(t.Context(), f.runner, f.org.ID)
		is(t, "links", err, "")
		write := func(fn func(context.Context, *db.Tx) error) func() { return func() { f.Write(fn) } }
		theirs := sso.Connection{OrgID: f.org.ID, Kind: sso.OIDC, Provider: sso.Okta, Issuer: "https://theirs.example"}
		for name, c := range map[string]struct {
			who       enterprise.Actor
			meanwhile func()
			want      fault.Code
		}{
			"somebody else changes it": {f.runner, write(func(ctx context.Context, tx *db.Tx) error {
				_, err := sso.Set(ctx, tx, f.Key, theirs, f.Now().Add(time.Second))
				return err
			}), fault.ConnectionChanged},
			"the link ends": {f.link, write(func(ctx context.Context, tx *db.Tx) error {
				_, err := sso.EndSetupLinks(ctx, tx, links[0].OrgID)
				return err
			}), fault.SetupLinkInvalid},
			"the owner is one no more": {f.owner, write(func(ctx context.Context, tx *db.Tx) error {
				if _, _, err := org.Join(ctx, tx, f.org.ID, f.admin.UserID, org.Owner, f.Now()); err != nil {
					return err
				}
				return org.SetRole(ctx, tx, f.org.ID, f.owner.UserID, org.Admin, f.Now())
			}), fault.Forbidden},
			"somebody else sets one": {f.runner, write(func(ctx context.Context, tx *db.Tx) error {
				_, err := sso.Set(ctx, tx, f.Key, theirs, f.Now())
				return err
			}), fault.ConnectionChanged},
		} {
			meanwhile = func() {
				meanwhile = func() {}
				c.meanwhile()
			}
			f.Advance(2 * time.Minute)
			if name == "somebody else changes it" {
				f.SetConnection(theirs)
			}
			_, err := f.Enterprise.SetConnection(t.Context(), c.who, f.org.ID, in)
			is(t, name, err, c.want)
			v, err := f.Enterprise.View(t.Context(), f.runner, f.org.ID)
			if err != nil || v.Connection != nil && v.Connection.Issuer == s.URL {
				t.Errorf("%s: stored %+v, %v", name, v.Connection, err)
			}
			f.Write(func(ctx context.Context, tx *db.Tx) error {
				if v.Connection == nil {
					return nil
				}
				return sso.Remove(ctx, tx, f.org.ID)
			})
		}
	})
}
