package accountmaker_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/rig"
	"sallyport/internal/surface/accountmaker"
	"sallyport/internal/surface/oidc"
	"sallyport/internal/wire"
)

// provider mounts the provider's token endpoints beside the API, which takes its
// access tokens.
func provider(r *rig.Rig, api *accountmaker.API) {
	op := &oidc.API{
		OAuth: r.OAuth, Keys: r.Keys, Tokens: r.Tokens, Now: r.Now, Log: slog.New(slog.DiscardHandler), Issuers: []string{rig.Base}, Cookie: api.Session,
	}
	api.Granted = op.Granted
	r.Mount(slices.DeleteFunc(op.Routes(), func(route wire.Route) bool {
		return !strings.HasSuffix(route.Pattern, "/oauth2/token") && !strings.HasSuffix(route.Pattern, "/oauth2/revoke")
	}), nil)
}

// withClient adds what happens to a client while people are signed in to it.
func withClient(r *rig.Rig, all map[string]func(*testing.T, map[string]string), id client.ID) map[string]func(*testing.T, map[string]string) {
	consent := func(how string) func(*testing.T, map[string]string) {
		return func(*testing.T, map[string]string) {
			r.Write(func(ctx context.Context, tx *db.Tx) error {
				cl, err := client.ByID(ctx, tx, id)
				if err != nil {
					return err
				}
				cl.Policy.OAuth.Consent = how
				return client.Update(ctx, tx, cl, r.Now())
			})
		}
	}
	all["social-asks"], all["social-trusts"] = consent(client.ConsentRequired), consent(client.ConsentImplicit)
	return all
}
