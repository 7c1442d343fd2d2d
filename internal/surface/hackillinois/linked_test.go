package hackillinois_test

import (
	"context"
	"testing"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
)

// TestConnectedProvidersAreOneUser has somebody connect Google to what GitHub
// began, as the account page lets them, and then take GitHub away.
func TestConnectedProvidersAreOneUser(t *testing.T) {
	s := newSite(t, dbtest.SQLite(t))
	s.login("github", "")
	theirs := s.fakes["google"].Upstream("google").Issuer()
	s.rig.Write(func(ctx context.Context, tx *db.Tx) error {
		u, err := identity.ByAlias(ctx, tx, string(s.client.ID), "github6892396")
		if err != nil {
			return err
		}
		return identity.AddLink(ctx, tx, identity.Link{Issuer: theirs, Subject: "901283019238091820933", UserID: u.ID, Upstream: "google", CreatedAt: s.rig.Now()})
	})
	if id := payload(t, s.login("google", ""))["id"]; id != "github6892396" {
		t.Errorf("by Google: id %v", id)
	}
	s.rig.Write(func(ctx context.Context, tx *db.Tx) error {
		u, err := identity.ByAlias(ctx, tx, string(s.client.ID), "github6892396")
		if err != nil {
			return err
		}
		_, err = identity.Unlink(ctx, tx, u.ID, "github")
		return err
	})
	before := s.count("users", "aliases", "sessions")
	want(t, "by GitHub, which was taken away", s.redeem("github", s.code("github", "", ""), ""), 403,
		`{"status":403,"type":"AUTHORIZATION_ERROR","message":"Could not fetch user's API roles."}`+"\n")
	if after := s.count("users", "aliases", "sessions"); after != before {
		t.Errorf("left behind: %s, before %s", after, before)
	}
	if id := payload(t, s.login("google", ""))["id"]; id != "github6892396" {
		t.Errorf("by Google, which is left: id %v", id)
	}
}
