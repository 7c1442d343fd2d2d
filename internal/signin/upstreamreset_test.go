package signin_test

import (
	"context"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/signin"
)

// addKey stores a passkey of a user that nobody can use, as of now.
func addKey(tr *trip, u identity.UserID, id string) {
	tr.r.Write(func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO passkeys (id, user_id, name, data, sign_count, created_at) VALUES ($1, $2, 'Key', '{}', 0, $3)`, []byte(id), u, db.At(tr.r.Now()))
		return err
	})
}

// Somebody came by an upstream under an address that is not theirs, and its owner
// pressed the button of the mail, perhaps because they were about to sign up. The
// password that the owner sets is then to be the only way in (the trojan
// identifier): what was connected before the address was proved may be anybody's.
func TestPasswordResetEndsWaysInThatAreOlderThanTheProofOfTheAddress(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		thief := tr.in(eve.ID).User.ID
		addKey(tr, thief, "the thief's")
		tr.r.Work()
		tr.r.Advance(time.Minute)
		if err := tr.r.SignIn.VerifyEmail(t.Context(), token(t, tr.r, eve.Email), visitor); err != nil {
			t.Fatal(err)
		}
		tr.r.Advance(time.Minute)
		// What the owner connects once the address is theirs stays.
		addKey(tr, thief, "the owner's")
		tr.r.Write(func(ctx context.Context, tx *db.Tx) error {
			return identity.AddLink(ctx, tx, identity.Link{Issuer: "https://elsewhere.example", Subject: "x", UserID: thief, Upstream: "elsewhere", CreatedAt: tr.r.Now()})
		})
		if err := tr.r.SignIn.ForgotPassword(t.Context(), signin.ForgotIn{ClientID: tr.app.ID, Email: eve.Email, Visitor: visitor}); err != nil {
			t.Fatal(err)
		}
		if err := tr.r.SignIn.ResetPassword(t.Context(), signin.ResetIn{Token: token(t, tr.r, eve.Email), Password: plain, Visitor: visitor}); err != nil {
			t.Fatal(err)
		}
		if l := links(t, tr.r, thief); l != "elsewhere/x" {
			t.Errorf("connected: %s", l)
		}
		if n := count(t, tr.r, "passkeys WHERE user_id = $1", thief); n != 1 {
			t.Errorf("%d passkeys are left, want the owner's", n)
		}
		if n := count(t, tr.r, "audit WHERE action = 'user.unlinked' AND user_id = $1 AND detail LIKE '%password_reset%'", thief); n != 1 {
			t.Errorf("%d audit entries of the removal", n)
		}
		if out, err := tr.as(eve.ID); err != nil || out.Prove == "" || out.Outcome.SignedIn != nil {
			t.Errorf("the thief comes again: %+v, %v", out.Outcome, err)
		}
	})
}

// An account of an upstream that vouched for the address is as old as its proof.
func TestPasswordResetLeavesTheAccountThatProvedTheAddress(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		u := tr.in(jane.ID).User.ID
		tr.r.Advance(time.Minute)
		if err := tr.r.SignIn.ForgotPassword(t.Context(), signin.ForgotIn{ClientID: tr.app.ID, Email: jane.Email, Visitor: visitor}); err != nil {
			t.Fatal(err)
		}
		if err := tr.r.SignIn.ResetPassword(t.Context(), signin.ResetIn{Token: token(t, tr.r, jane.Email), Password: plain, Visitor: visitor}); err != nil {
			t.Fatal(err)
		}
		if l := links(t, tr.r, u); l != "corp/"+jane.ID {
			t.Errorf("connected: %s", l)
		}
	})
}
