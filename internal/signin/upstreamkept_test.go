package signin_test

import (
	"context"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/upstream"
)

// The upstream's tokens are kept for a client that asks for it, once the person
// is in, and for no other.
func TestUpstreamTokensAreKeptForWhoAsks(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		tr.in(jane.ID)
		if n := count(t, tr.r, "kept_tokens"); n != 0 {
			t.Errorf("%d sets of tokens that nobody asked for", n)
		}
		// Who is not let in has nothing kept.
		tr.app = tr.r.Client("Members", func(c *client.Client) {
			c.Policy.Methods, c.Policy.KeepUpstreamTokens, c.Policy.Registration = []string{"corp"}, true, client.Invite
		})
		if back, err := tr.as(tom.ID); err != nil || back.Invite == "" {
			t.Fatalf("%+v, %v", back.Outcome, err)
		}
		if n := count(t, tr.r, "kept_tokens"); n != 0 {
			t.Errorf("%d sets of tokens of somebody who waits", n)
		}
		tr.app = tr.r.Client("Keeper", func(c *client.Client) {
			c.Policy.Methods, c.Policy.KeepUpstreamTokens = []string{"corp"}, true
		})
		user := tr.in(jane.ID).User
		var kept upstream.Kept
		tr.r.Write(func(ctx context.Context, tx *db.Tx) (err error) {
			kept, err = upstream.KeptOf(ctx, tx, tr.r.Key, tr.app.ID, user.ID, "corp")
			return err
		})
		if kept.Tokens.Access == "" || kept.Tokens.Refresh == "" || kept.Subject != jane.ID {
			t.Errorf("kept %+v", kept)
		}
	})
}
