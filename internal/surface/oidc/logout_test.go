package oidc_test

import (
	"context"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
)

// logoutHooks give "web" its addresses after signing out.
func (w *world) logoutHooks() map[string]func(*testing.T, map[string]string) {
	return map[string]func(*testing.T, map[string]string){
		"logout addresses": func(*testing.T, map[string]string) {
			w.Write(func(ctx context.Context, tx *db.Tx) error {
				c := w.clients["web"]
				c.Policy.PostLogoutRedirectURIs = []string{"https://app.example.com/bye", "https://app.example.com/bye?from=us"}
				return client.Update(ctx, tx, c, w.Now())
			})
		},
	}
}
