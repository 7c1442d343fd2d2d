package admin_test

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"sallyport/internal/admin"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/rig"
	"sallyport/internal/signin"
)

// accept takes an operator's link as a browser would.
func accept(t *testing.T, r *rig.Rig, link string) signin.Outcome {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	out, err := r.SignIn.AcceptInvite(t.Context(), signin.InviteIn{
		ClientID: client.ID(u.Query().Get("app_id")), Code: u.Query().Get("code"),
		Email: "op@example.com", DisplayName: "Op", Password: "a long enough secret",
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAnOperatorBeginsWithALink(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		lost, err := r.Admin.OperatorInvite(t.Context(), " Op@Example.com ", rig.Base)
		if err != nil {
			t.Fatal(err)
		}
		made, err := r.Admin.OperatorInvite(t.Context(), "op@example.com", rig.Base)
		if err != nil {
			t.Fatal(err)
		}
		if made.Code == lost.Code || made.Invite.ClientID != lost.Invite.ClientID {
			t.Errorf("again: %+v, after %+v; want another link to the same console", made, lost)
		}
		if want := rig.Base + "/invite?app_id=" + string(made.Invite.ClientID) + "&code=" + made.Code; made.Link != want {
			t.Errorf("link %s, want %s", made.Link, want)
		}
		out := accept(t, r, made.Link)
		who := admin.Caller{UserID: out.SignedIn.User.ID, ClientID: out.SignedIn.Client.ID}
		if _, _, err := r.Admin.Tenants(t.Context(), who, admin.Page{Number: 1, Size: 1}); err != nil {
			t.Errorf("the operator cannot administer: %v", err)
		}
		_, err = r.Admin.OperatorInvite(t.Context(), "op@example.com", rig.Base)
		if got := code(t, err); got != fault.AlreadyEnrolled {
			t.Errorf("once more: %q, want %q", got, fault.AlreadyEnrolled)
		}
		_, err = r.Admin.OperatorInvite(t.Context(), "op", rig.Base)
		if got := code(t, err); got != fault.EmailInvalid {
			t.Errorf("no address: %q, want %q", got, fault.EmailInvalid)
		}
		r.Work()
		if n := len(r.Sink.Messages()); n != 0 {
			t.Errorf("%d mails, want none", n)
		}
	})
}

// The console that the settings name is used, and what else they say stays.
func TestAnOperatorComesToTheNamedConsole(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		made, err := o.Admin.OperatorInvite(t.Context(), "op@example.com", rig.Base)
		if err != nil {
			t.Fatal(err)
		}
		if made.Invite.ClientID != o.apps["console"].ID {
			t.Errorf("invited to %s, want %s", made.Invite.ClientID, o.apps["console"].ID)
		}
		o.Write(func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE settings SET value = '{"console_client":"","other":1}'`)
			return err
		})
		if made, err = o.Admin.OperatorInvite(t.Context(), "op@example.com", rig.Base); err != nil {
			t.Fatal(err)
		}
		var value string
		o.Write(func(ctx context.Context, tx *db.Tx) (err error) {
			value, err = db.One(ctx, tx, db.Text, `SELECT value FROM settings`)
			return err
		})
		if !strings.Contains(value, `"other":1`) || !strings.Contains(value, string(made.Invite.ClientID)) {
			t.Errorf("settings %s, want the new console beside what was there", value)
		}
	})
}
