package signin_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/onetime"
	"sallyport/internal/rig"
	"sallyport/internal/signin"
)

// asStranger makes an application that registered itself, under a name that it
// would like to see in mails.
func asStranger(c *client.Client) {
	c.Source, c.Policy.OAuth.Consent = client.Dynamic, client.ConsentRequired
}

const lure = "You won! Go to evil.example"

// Where the operator takes in nobody unasked, an application that added itself
// does not either: a token of whoever came by it is good at the operator's
// resources.
func TestSelfRegisteredClientsOpenNoClosedDoor(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		for name, c := range map[string]struct {
			own  func(*client.Client)
			open bool
		}{
			"by invitation": {func(c *client.Client) { c.Policy.Registration = client.Invite }, false},
			"by approval":   {func(c *client.Client) { c.Policy.Registration = client.Approval }, false},
			"switched off":  {func(c *client.Client) { c.Active = false }, false},
			"in name only": {func(c *client.Client) {
				c.Policy.Registration, c.Policy.Audience = client.Invite, `"registration":"open"`
			}, false},
			"open": {nil, true},
		} {
			r.Write(func(ctx context.Context, tx *db.Tx) error {
				_, err := tx.Exec(ctx, `DELETE FROM clients`)
				return err
			})
			r.Client("Own", c.own)
			app := r.Client(lure, asStranger)
			email := strings.ReplaceAll(name, " ", "-") + "@example.com"
			_, err := r.SignIn.SignUp(t.Context(), signin.SignUpIn{
				ClientID: app.ID, Email: "up-" + email, DisplayName: "Eve", Password: plain, Request: handle, Visitor: visitor,
			})
			if c.open != (err == nil) || err != nil && !fault.Is(err, fault.NotEnrolled) {
				t.Errorf("%s: sign-up: %v", name, err)
			}
			raw := ""
			r.Write(func(ctx context.Context, tx *db.Tx) (err error) {
				raw, err = onetime.Create(ctx, tx, onetime.Secret{
					Purpose: onetime.MagicLink, ClientID: app.ID, Email: email, Data: []byte(`{"request":"` + handle + `"}`), ExpiresAt: r.Now().Add(time.Minute),
				}, r.Now())
				return err
			})
			_, err = r.SignIn.MagicLink(t.Context(), signin.SpendLinkIn{Token: raw, Request: handle, Visitor: visitor})
			if c.open != (err == nil) || err != nil && !fault.Is(err, fault.NotEnrolled) {
				t.Errorf("%s: link: %v", name, err)
			}
		}
	})
}

// Nobody gets mail from us in a stranger's words.
func TestMailsDoNotSayWhatSelfRegisteredClientsAreCalled(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client(lure, asStranger)
		r.Client("Own", nil)
		r.User("jane@example.com", "Jane", plain)
		for _, email := range []string{"jane@example.com", "nobody@example.com"} {
			linked(t, r, app, email, handle)
			if text, _ := r.Mail(email); strings.Contains(text, "evil") {
				t.Errorf("%s is sent\n%s", email, text)
			}
		}
		if _, err := r.SignIn.SignUp(t.Context(), signin.SignUpIn{
			ClientID: app.ID, Email: "nia@example.com", DisplayName: "Nia", Password: plain, Request: handle, Visitor: visitor,
		}); err != nil {
			t.Fatal(err)
		}
		if text, _ := r.Mail("nia@example.com"); text == "" || strings.Contains(text, "evil") {
			t.Errorf("got %q", text)
		}
	})
}
