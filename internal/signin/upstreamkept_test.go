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
		for _, wants := range []bool{false, true} {
			tr := travel(t, d, func(c *client.Client) { c.Policy.KeepUpstreamTokens = wants })
			user := tr.in(jane.ID).User
			if n := count(t, tr.r, "kept_tokens WHERE client_id = $1", tr.app.ID); n != map[bool]int{true: 1}[wants] {
				t.Fatalf("wanted %v: %d sets of tokens", wants, n)
			}
			if !wants {
				continue
			}
			var kept upstream.Kept
			tr.r.Write(func(ctx context.Context, tx *db.Tx) (err error) {
				kept, err = upstream.KeptOf(ctx, tx, tr.r.Key, tr.app.ID, user.ID, "corp")
				return err
			})
			if kept.Tokens.Access == "" || kept.Tokens.Refresh == "" || kept.Subject != jane.ID {
				t.Errorf("kept %+v", kept)
			}
		}
		// Who is not let in has nothing kept.
		tr := travel(t, d, func(c *client.Client) {
			c.Policy.KeepUpstreamTokens = true
			c.Policy.Registration = client.Invite
		})
		if back, err := tr.as(tom.ID); err != nil || back.Invite == "" {
			t.Fatalf("%+v, %v", back, err)
		}
		if n := count(t, tr.r, "kept_tokens WHERE client_id = $1", tr.app.ID); n != 0 {
			t.Errorf("%d sets of tokens of somebody who waits", n)
		}
	})
}
