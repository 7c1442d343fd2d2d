package oidc_test

import (
	"context"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
)

// logoutHooks give "web", and "native" that registered itself, their addresses
// after signing out.
func (w *world) logoutHooks() map[string]func(*testing.T, map[string]string) {
	return map[string]func(*testing.T, map[string]string){
		"logout addresses": func(*testing.T, map[string]string) {
			w.Write(func(ctx context.Context, tx *db.Tx) error {
				for _, name := range []string{"web", "native"} {
					c := w.clients[name]
					c.Policy.PostLogoutRedirectURIs = []string{"https://app.example.com/bye", "https://app.example.com/bye?from=us"}
					if err := client.Update(ctx, tx, c, w.Now()); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}
