package snooplytics_test

import (
	"encoding/json"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/rig"
	"sallyport/internal/surface/snooplytics"
)

// What an operator may set that the transcripts leave alone.

// Where nobody has to prove their address, a sign-up signs in, and an address that
// somebody has is refused as such (contract §11).
func TestSignUpWithoutProofOfTheAddress(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		s := &site{Rig: r, t: t, client: r.Client("Snooplytics", func(c *client.Client) { policy(&c.Policy); c.Policy.VerifiedEmail = false })}
		api := newAPI(t, r, snooplytics.Settings{Client: s.client.ID, AppURL: origin})
		s.Mount(api.Routes(), api.MethodNotAllowed)
		s.h = s.Handler()
		const path, body = "/api/auth/sign-up/email", `{"email":"new@example.com","password":"Some-other-horse-9","name":"New"}`
		b := s.browser("192.0.2.1")
		var data struct {
			Token *string
			User  struct{ Email string }
		}
		if err := json.Unmarshal(b.post(200, path, body).Data, &data); err != nil || data.Token == nil || data.User.Email != "new@example.com" {
			t.Errorf("got %+v, %v", data, err)
		}
		if b.who() == "" {
			t.Error("a sign-up did not sign in")
		}
		const want = `{"success":false,"status":422,"code":"USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL","message":"User already exists. Use another email."}`
		if got := s.browser("192.0.2.2").post(422, path, body); got.text != want {
			t.Errorf("got  %s\nwant %s", got.text, want)
		}
	})
}

// The error guide calls a missing credential otherwise than the reference (contract §17.1).
func TestMissingCredentialByTheGuide(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		guide := false
		api := newAPI(t, r, snooplytics.Settings{})
		api.Settings = func() snooplytics.Settings { return snooplytics.Settings{Guide: guide} }
		r.Mount(api.Routes(), api.MethodNotAllowed)
		b := (&site{Rig: r, t: t, h: r.Handler()}).browser("192.0.2.1")
		for _, want := range []string{"UNAUTHORIZED", "AUTHENTICATION_REQUIRED"} {
			got := b.ask("GET", "/api/user/me", "", "Origin", "")
			if text := `{"success":false,"status":401,"code":"` + want + `","message":"Authentication required"}`; got.status != 401 || got.text != text {
				t.Errorf("got  %d %s\nwant 401 %s", got.status, got.text, text)
			}
			guide = true
		}
	})
}
