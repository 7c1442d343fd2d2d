package oauth_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/grant"
	"sallyport/internal/oauth"
	"sallyport/internal/onetime"
	"sallyport/internal/session"
)

// A guesser gets ten tries, and one more each minute and a half; who is right in
// between is not one (RFC 8628 §5.1).
func TestUserCodeGuessesAreLimited(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newDen(t, d)
		dev := w.start()
		try := func(typed string) error {
			_, err := w.OAuth.FindDevice(t.Context(), typed, visitor)
			return err
		}
		for i := range 20 {
			if err := try(dev.UserCode); err != nil {
				t.Fatalf("right code, look %d: %v", i, err)
			}
		}
		var mu sync.Mutex
		var wg sync.WaitGroup
		got := map[fault.Code]int{}
		for range callers {
			wg.Go(func() {
				f, _ := fault.From(try("BCDF-GHJK"))
				mu.Lock()
				defer mu.Unlock()
				if f != nil {
					got[f.Code]++
				}
			})
		}
		wg.Wait()
		if got[fault.CodeInvalid] != 10 || got[fault.RateLimited] != callers-10 {
			t.Errorf("got %v, want 10 guesses judged", got)
		}
		wantFault(t, "even the right one waits", try(dev.UserCode), fault.RateLimited)
		_, err := w.OAuth.FindDevice(t.Context(), dev.UserCode, oauth.Visitor{IP: "192.0.2.2"})
		if err != nil {
			t.Errorf("from elsewhere: %v", err)
		}
		w.Advance(90 * time.Second)
		if err := try(dev.UserCode); err != nil {
			t.Errorf("after a while: %v", err)
		}
		wantFault(t, "no code at all", try("not a code"), fault.CodeInvalid)
	})
}

// Only who could sign in to the application lets a device in.
func TestWhoMayLetADeviceIn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newDen(t, d)
		dev := w.start()
		handle := w.find(dev)
		wantFault(t, "nobody", w.answer(handle, "", true), fault.Unauthenticated)
		wantFault(t, "a made-up cookie", w.answer(handle, strings.Repeat("0", 64), true), fault.Unauthenticated)
		p, err := w.OAuth.DevicePrompt(t.Context(), handle, "", visitor)
		if err != nil || p.User.ID != "" || p.Client.ID != w.tv.ID {
			t.Errorf("asked before the sign-in: got %+v, %v", p, err)
		}
		w.Enrol(w.jane, w.tv, client.Suspended)
		wantFault(t, "suspended there", w.answer(handle, w.cookie, true), fault.EnrolmentSuspended)
		w.Enrol(w.jane, w.tv, client.Active)

		otto := w.User("otto@example.com", "Otto", "")
		if err := w.answer(handle, w.signedIn(otto, session.Password), true); err != nil {
			t.Fatalf("new to an open application: %v", err)
		}
		if out := w.token(w.poll(dev)); out.User.ID != otto.ID || len(out.Roles) != 1 {
			t.Errorf("got %+v, want tokens of Otto with the default role", out)
		}

		strict := w.tv
		strict.Policy.SecondFactor = client.FactorRequired
		dev = w.start()
		handle = w.find(dev)
		w.Write(func(ctx context.Context, tx *db.Tx) error { return client.Update(ctx, tx, strict, w.Now()) })
		wantFault(t, "with one factor of two", w.answer(handle, w.cookie, true), fault.Unauthenticated)
		if err := w.answer(handle, w.signedIn(w.jane, session.Password, session.OTP), true); err != nil {
			t.Fatalf("with both: %v", err)
		}
		if out := w.token(w.poll(dev)); out.Grant.ACR != oauth.ACRMulti {
			t.Errorf("acr %q", out.Grant.ACR)
		}
	})
}

// What was said yes to is not had by who was barred before the device came for it.
func TestPersonBarredBeforeTheDeviceComes(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newDen(t, d)
		dev := w.start()
		w.allow(dev)
		w.Enrol(w.jane, w.tv, client.Suspended)
		w.refused("suspended", w.poll(dev), oauth.InvalidGrant)
		w.Enrol(w.jane, w.tv, client.Active)
		w.refused("and it is over", w.poll(dev), oauth.InvalidGrant)

		dev = w.start()
		w.allow(dev)
		w.Write(func(ctx context.Context, tx *db.Tx) error {
			_, err := grant.EndByUserClient(ctx, tx, w.jane.ID, w.tv.ID)
			return err
		})
		w.refused("taken back", w.poll(dev), oauth.InvalidGrant)
	})
}

// The handle of a device answers on its own page and nowhere else, and that of
// an authorization request does not there.
func TestHandlesAreNotMistaken(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newDen(t, d)
		dev := w.start()
		handle := w.find(dev)
		next, err := w.OAuth.Continue(t.Context(), handle, w.cookie, visitor)
		if err != nil || next.Device != handle || next.Reply != nil {
			t.Errorf("continue: got %+v, %v", next, err)
		}
		_, err = w.OAuth.Consent(t.Context(), oauth.ConsentIn{Handle: handle, Cookie: w.cookie, Allow: true, Visitor: visitor})
		wantError(t, "consent", err, oauth.InvalidRequest)
		if p, err := w.OAuth.Pending(t.Context(), handle, w.cookie); err != nil || p.Client.ID != w.tv.ID {
			t.Errorf("the sign-in page: got %+v, %v", p, err)
		}
		other := ""
		w.Write(func(ctx context.Context, tx *db.Tx) (err error) {
			data, _ := json.Marshal(oauth.Request{Issuer: visitor.Base, ClientID: w.spa.ID, RedirectURI: callback, CreatedAt: w.Now()})
			other, err = onetime.Create(ctx, tx, onetime.Secret{Purpose: onetime.Authorization, ClientID: w.spa.ID, Data: data, ExpiresAt: w.Now().Add(time.Hour)}, w.Now())
			return err
		})
		wantFault(t, "another request", w.answer(other, w.cookie, true), fault.ChallengeInvalid)
		w.allow(dev)
	})
}

// The person is told when the device is in another network: whoever sent them
// the code may sit there (RFC 8628 §5.4).
func TestPersonIsToldThatADeviceIsElsewhere(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newDen(t, d)
		in := starting(w.tv)
		for ip, elsewhere := range map[string]bool{"192.0.2.1": false, "198.51.100.9": true, "2001:db8::1": true} {
			in.Visitor.IP = ip
			dev, err := w.OAuth.StartDevice(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			p, err := w.OAuth.DevicePrompt(t.Context(), w.find(dev), w.cookie, visitor)
			if err != nil || p.Elsewhere != elsewhere {
				t.Errorf("from %s: got %v, %v, want %v", ip, p.Elsewhere, err, elsewhere)
			}
		}
	})
}
