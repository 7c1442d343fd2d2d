package self_test

import (
	"context"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/jwks"
	"sallyport/internal/org"
	"sallyport/internal/self"
	"sallyport/internal/signin"
)

func TestClientOfAnAccountIsAStrangers(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		name, uris, wild, short := "Their app", []string{"https://app.example/cb"}, []string{"https://*.example/#x"}, time.Minute
		for what, c := range map[string]struct {
			who  self.Caller
			ch   self.AccountClientChange
			want fault.Code
		}{
			"a member": {f.member, self.AccountClientChange{Name: &name}, fault.Forbidden}, "a stranger": {f.stranger, self.AccountClientChange{Name: &name}, fault.OrgUnknown},
			"no name": {f.admin, self.AccountClientChange{}, fault.FieldInvalid}, "a fragment": {f.admin, self.AccountClientChange{Name: &name, RedirectURIs: &wild}, fault.FieldInvalid},
			"an origin with a path": {f.admin, self.AccountClientChange{Name: &name, AllowedOrigins: &uris}, fault.FieldInvalid},
			"too short a life":      {f.admin, self.AccountClientChange{Name: &name, AccessLifetime: &short}, fault.FieldInvalid},
		} {
			_, err := f.Self.CreateAccountClient(t.Context(), c.who, f.id, c.ch)
			is(t, what, err, c.want)
		}
		made, err := f.Self.CreateAccountClient(t.Context(), f.admin, f.id, self.AccountClientChange{Name: &name, RedirectURIs: &uris})
		if err != nil {
			t.Fatal(err)
		}
		if made.Source == client.Operator || made.Policy.OAuth.Consent != client.ConsentRequired {
			t.Errorf("made as %q with consent %q", made.Source, made.Policy.OAuth.Consent)
		}
		_, err = f.SignIn.Password(t.Context(), signin.PasswordIn{ClientID: made.ID, Email: "owner@example.com", Password: "x"})
		is(t, "sign in by our own API", err, fault.ClientUnknown)

		all, err := f.Self.AccountClients(t.Context(), f.viewer, f.id)
		if err != nil || len(all) != 1 || all[0].ID != made.ID {
			t.Errorf("list: %v %v", all, err)
		}
		other := "Other name"
		_, err = f.Self.UpdateAccountClient(t.Context(), f.viewer, made.ID, self.AccountClientChange{Name: &other})
		is(t, "a viewer changes it", err, fault.Forbidden)
		_, err = f.Self.UpdateAccountClient(t.Context(), f.stranger, made.ID, self.AccountClientChange{Name: &other})
		is(t, "a stranger changes it", err, fault.OrgUnknown)
		if _, err := f.Self.UpdateAccountClient(t.Context(), f.admin, made.ID, self.AccountClientChange{Name: &other}); err != nil {
			t.Error(err)
		}
		if cl, holder, err := f.Self.AccountClient(t.Context(), f.member, made.ID); err != nil || holder != f.id || cl.Name != other || len(cl.Policy.RedirectURIs) != 1 {
			t.Errorf("got %+v of %s, %v", cl, holder, err)
		}
		_, _, err = f.Self.AccountClient(t.Context(), f.owner, f.app.ID)
		is(t, "the operator's client", err, fault.OrgUnknown)
		is(t, "an account with a client", f.Self.DeleteAccount(t.Context(), f.owner, f.id), fault.OrgHolds)
		is(t, "end it", f.Self.DeleteAccountClient(t.Context(), f.admin, made.ID), "")
		is(t, "once more", f.Self.DeleteAccountClient(t.Context(), f.admin, made.ID), fault.OrgUnknown)
	})
}

// A token with another API's audience would be taken there.
func TestClientOfAnAccountHasAnAudienceOfItsOwn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		billing := f.Client("Billing", func(c *client.Client) { c.Policy.Audience = "https://billing.example/100%_\"api\"" })
		name, free := "Their app", "https://api.their.example/100%_\"api\""
		made, err := f.Self.CreateAccountClient(t.Context(), f.admin, f.id, self.AccountClientChange{Name: &name, Audience: &free})
		if err != nil {
			t.Fatal(err)
		}
		id := string(billing.ID)
		for what, aud := range map[string]*string{"the operator's": &billing.Policy.Audience, "a client's id": &id} {
			_, err = f.Self.CreateAccountClient(t.Context(), f.admin, f.id, self.AccountClientChange{Name: &name, Audience: aud})
			is(t, "made with "+what, err, fault.FieldInvalid)
			_, err = f.Self.UpdateAccountClient(t.Context(), f.admin, made.ID, self.AccountClientChange{Audience: aud})
			is(t, "changed to "+what, err, fault.FieldInvalid)
		}
		_, err = f.Self.UpdateAccountClient(t.Context(), f.admin, made.ID, self.AccountClientChange{Name: &name, Audience: &free})
		is(t, "its own again", err, "")
	})
}

func TestKeysOfAClientThatTheOperatorGaveAnAccount(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		f.Write(func(ctx context.Context, tx *db.Tx) error { return org.HoldClient(ctx, tx, f.id, f.app.ID) })
		is(t, "end it", f.Self.DeleteAccountClient(t.Context(), f.owner, f.app.ID), fault.Forbidden)
		add := func() jwks.Key {
			t.Helper()
			f.Advance(time.Second)
			k, err := f.Self.CreateClientKey(t.Context(), f.admin, f.app.ID)
			if err != nil {
				t.Fatal(err)
			}
			return k
		}
		first := add()
		second := add()
		if first.State != jwks.Active || second.State != jwks.Next {
			t.Errorf("got %s and %s", first.State, second.State)
		}
		is(t, "before it is known", f.Self.RotateClientKeys(t.Context(), f.admin, f.app.ID), fault.RateLimited)
		is(t, "the one that signs", f.Self.DeleteClientKey(t.Context(), f.admin, first.ID), fault.OrgHolds)
		f.Advance(self.KeyPublished)
		is(t, "a member rotates", f.Self.RotateClientKeys(t.Context(), f.member, f.app.ID), fault.Forbidden)
		is(t, "rotate", f.Self.RotateClientKeys(t.Context(), f.admin, f.app.ID), "")
		is(t, "nothing to rotate to", f.Self.RotateClientKeys(t.Context(), f.admin, f.app.ID), fault.EnrolmentState)
		add()
		add()
		_, err := f.Self.CreateClientKey(t.Context(), f.admin, f.app.ID)
		is(t, "a fifth", err, fault.OrgHolds)
		is(t, "a stranger deletes one", f.Self.DeleteClientKey(t.Context(), f.stranger, first.ID), fault.OrgUnknown)
		is(t, "the old one", f.Self.DeleteClientKey(t.Context(), f.admin, first.ID), "")
		is(t, "none", f.Self.DeleteClientKey(t.Context(), f.admin, first.ID), fault.OrgUnknown)
		own, err := f.Self.ClientKeys(t.Context(), f.viewer, f.app.ID)
		if err != nil || len(own) != 3 {
			t.Errorf("got %d keys, %v", len(own), err)
		}
		for _, k := range own {
			if (k.State == jwks.Active) != (k.ID == second.ID) {
				t.Errorf("%s is %s", k.ID, k.State)
			}
		}
	})
}
