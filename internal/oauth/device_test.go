package oauth_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/grant"
	"sallyport/internal/identity"
	"sallyport/internal/oauth"
	"sallyport/internal/session"
)

// den is a town with a television, and Jane's browser.
type den struct {
	town
	tv     client.Client
	cookie string
}

func newDen(t *testing.T, d *db.DB) den {
	w := den{town: newTown(t, d)}
	w.tv = w.Client("Tv", func(c *client.Client) {
		c.Policy.RedirectURIs = nil
		c.Policy.Grants = []string{client.GrantDevice, client.GrantRefresh}
		c.Policy.OAuth.Scopes = []string{"films:watch"}
	})
	w.Enrol(w.jane, w.tv, client.Active, "user")
	w.cookie = w.signedIn(w.jane, session.Password)
	return w
}

// signedIn is the cookie of somebody's browser.
func (w den) signedIn(u identity.User, amr ...string) (cookie string) {
	w.Write(func(ctx context.Context, tx *db.Tx) (err error) {
		_, cookie, err = session.Start(ctx, tx, session.Session{
			UserID: u.ID, AMR: amr, AuthenticatedAt: w.Now(), CreatedAt: w.Now(), ExpiresAt: w.Now().Add(8 * time.Hour),
		})
		return err
	})
	return cookie
}

func starting(cl client.Client, pairs ...string) oauth.DeviceIn {
	in := ask(cl, pairs...)
	return oauth.DeviceIn{Auth: in.Auth, Params: in.Params, Visitor: visitor}
}

func (w den) start(pairs ...string) oauth.DeviceStarted {
	w.t.Helper()
	d, err := w.OAuth.StartDevice(w.t.Context(), starting(w.tv, pairs...))
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func (w den) poll(d oauth.DeviceStarted) oauth.TokenIn {
	return ask(w.tv, "grant_type", client.GrantDevice, "device_code", d.DeviceCode)
}

// find types the code in.
func (w den) find(d oauth.DeviceStarted) string {
	w.t.Helper()
	handle, err := w.OAuth.FindDevice(w.t.Context(), d.UserCode, visitor)
	if err != nil {
		w.t.Fatal(err)
	}
	return handle
}

func (w den) answer(handle, cookie string, allow bool) error {
	_, err := w.OAuth.AnswerDevice(w.t.Context(), oauth.DeviceAnswer{Handle: handle, Cookie: cookie, Allow: allow, Visitor: visitor})
	return err
}

func (w den) allow(d oauth.DeviceStarted) {
	w.t.Helper()
	if err := w.answer(w.find(d), w.cookie, true); err != nil {
		w.t.Fatal(err)
	}
}

func wantFault(t *testing.T, what string, err error, code fault.Code) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Errorf("%s: got %v, want %s", what, err, code)
	}
}

func TestDeviceFlow(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newDen(t, d)
		w.Settings.Resources = []string{"https://api.example.com"}
		dev := w.start("scope", "openid offline_access films:watch", "resource", "https://api.example.com")
		if len(dev.DeviceCode) != 64 || len(dev.UserCode) != 9 || dev.Interval != 5*time.Second || dev.ExpiresIn != 15*time.Minute {
			t.Errorf("got %+v", dev)
		}
		w.refused("before anybody answered", w.poll(dev), oauth.AuthorizationPending)
		handle := w.find(dev)
		p, err := w.OAuth.DevicePrompt(t.Context(), handle, w.cookie, visitor)
		if err != nil || p.User.ID != w.jane.ID || p.Client.ID != w.tv.ID || p.UserCode != dev.UserCode || p.Elsewhere || strings.Join(p.Request.Scope, " ") != "openid offline_access films:watch" {
			t.Errorf("the question: got %+v, %v", p, err)
		}
		w.Advance(5 * time.Second)
		w.refused("a question is no answer", w.poll(dev), oauth.AuthorizationPending)
		if err := w.answer(handle, w.cookie, true); err != nil {
			t.Fatal(err)
		}
		elsewhere := w.poll(dev)
		elsewhere.Params["resource"] = []string{"https://evil.example"}
		w.refused("for another resource", elsewhere, oauth.InvalidTarget)
		out := w.token(w.poll(dev)) // at once: the answer is there
		g := out.Grant
		if out.Refresh == "" || !out.OpenID() || !w.alive(out) || g.UserID != w.jane.ID || g.SessionID != "" || g.ACR != oauth.ACRSingle || out.Resources[0] != "https://api.example.com" {
			t.Errorf("got %+v", out)
		}
		w.refused("once more", w.poll(dev), oauth.InvalidGrant)
		if !w.alive(out) {
			t.Error("a late poll ended the tokens")
		}
		// It does not hang on the browser that let it in.
		w.Write(func(ctx context.Context, tx *db.Tx) error {
			_, err := session.EndAll(ctx, tx, w.jane.ID, "")
			return err
		})
		w.token(refreshing(w.tv, out.Refresh))
	})
}

func TestDeviceIsToldHowOftenItMayAsk(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newDen(t, d)
		dev := w.start()
		w.refused("first", w.poll(dev), oauth.AuthorizationPending)
		w.Advance(4 * time.Second) // the network took a second off
		w.refused("in time", w.poll(dev), oauth.AuthorizationPending)
		w.Advance(time.Second)
		w.refused("too soon", w.poll(dev), oauth.SlowDown)
		w.Advance(5 * time.Second)
		w.refused("the interval grew (RFC 8628 §3.5)", w.poll(dev), oauth.SlowDown)
		w.Advance(15 * time.Second)
		w.refused("slow enough", w.poll(dev), oauth.AuthorizationPending)
		w.allow(dev)
		w.token(w.poll(dev))
	})
}

func TestDeviceIsTurnedAway(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newDen(t, d)
		dev := w.start()
		handle := w.find(dev)
		if err := w.answer(handle, w.cookie, false); err != nil {
			t.Fatal(err)
		}
		w.refused("after a no", w.poll(dev), oauth.AccessDenied)
		w.refused("and always", w.poll(dev), oauth.AccessDenied)
		wantFault(t, "a yes after a no", w.answer(handle, w.cookie, true), fault.ChallengeInvalid)
		_, err := w.OAuth.FindDevice(t.Context(), dev.UserCode, visitor)
		wantFault(t, "its code", err, fault.CodeInvalid)
	})
}

func TestDeviceCodeExpires(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newDen(t, d)
		dev, late := w.start(), w.start()
		handle := w.find(dev)
		w.allow(late)
		w.Advance(15 * time.Minute)
		w.refused("past its time", w.poll(dev), oauth.ExpiredToken)
		w.refused("approved, and not fetched", w.poll(late), oauth.ExpiredToken)
		w.cookie = w.signedIn(w.jane, session.Password)
		wantFault(t, "a late yes", w.answer(handle, w.cookie, true), fault.ChallengeInvalid)
		w.Write(func(ctx context.Context, tx *db.Tx) error { _, err := grant.Sweep(ctx, tx, w.Now(), 100); return err })
		w.refused("swept", w.poll(dev), oauth.InvalidGrant)
	})
}

// Of a hundred polls after the yes one gets tokens.
func TestOfManyPollsOneWins(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newDen(t, d)
		dev := w.start("scope", "openid offline_access")
		w.allow(dev)
		won := race(t, oauth.InvalidGrant, func(int) (oauth.Issued, error) { return w.OAuth.Token(t.Context(), w.poll(dev)) })
		if len(won) != 1 || !w.alive(won[0]) {
			t.Fatalf("%d of %d polls got tokens, want 1", len(won), callers)
		}
		w.token(refreshing(w.tv, won[0].Refresh))
	})
}

// Of a hundred answers one counts, and one grant comes of it.
func TestOfManyAnswersOneCounts(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newDen(t, d)
		dev := w.start()
		handles := [2]string{w.find(dev), w.find(dev)} // two tabs
		var mu sync.Mutex
		var wg sync.WaitGroup
		got := map[string]int{}
		for i := range callers {
			wg.Go(func() {
				err := w.answer(handles[i%2], w.cookie, i%4 < 2)
				mu.Lock()
				defer mu.Unlock()
				got[fmt.Sprint(err == nil, fault.Is(err, fault.ChallengeInvalid))]++
			})
		}
		wg.Wait()
		if got["true false"] != 1 || got["false true"] != callers-1 {
			t.Errorf("got %v, want one answer that counts", got)
		}
		w.Write(func(ctx context.Context, tx *db.Tx) error {
			if all, err := grant.ByUser(ctx, tx, w.jane.ID, w.tv.ID); err != nil || len(all) > 1 {
				t.Errorf("got %d grants, %v, want one at most", len(all), err)
			}
			return nil
		})
	})
}

func TestDeviceRequestsAreRefused(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newDen(t, d)
		refused := func(what string, in oauth.DeviceIn, code string) {
			t.Helper()
			_, err := w.OAuth.StartDevice(t.Context(), in)
			wantError(t, what, err, code)
		}
		refused("a client without the grant", starting(w.spa), oauth.UnauthorizedClient)
		refused("a confidential client without its secret", oauth.DeviceIn{Auth: oauth.ClientAuth{ID: string(w.web.ID), Visitor: visitor}, Visitor: visitor}, oauth.InvalidClient)
		refused("nobody", oauth.DeviceIn{Auth: oauth.ClientAuth{Visitor: visitor}, Visitor: visitor}, oauth.InvalidClient)
		refused("another's scope", starting(w.tv, "scope", "orders:read"), oauth.InvalidScope)
		refused("another resource", starting(w.tv, "resource", "https://evil.example"), oauth.InvalidTarget)

		dev := w.start()
		w.allow(dev)
		radio := w.Client("Radio", func(c *client.Client) { c.Policy.Grants = []string{client.GrantDevice} })
		w.refused("another's device code", ask(radio, "grant_type", client.GrantDevice, "device_code", dev.DeviceCode), oauth.InvalidGrant)
		w.refused("no device code", ask(w.tv, "grant_type", client.GrantDevice), oauth.InvalidRequest)
		w.refused("a made-up device code", ask(w.tv, "grant_type", client.GrantDevice, "device_code", strings.Repeat("0", 64)), oauth.InvalidGrant)
		w.refused("the user code", ask(w.tv, "grant_type", client.GrantDevice, "device_code", dev.UserCode), oauth.InvalidGrant)
		w.refused("a client without the grant", ask(w.spa, "grant_type", client.GrantDevice, "device_code", dev.DeviceCode), oauth.UnauthorizedClient)
		w.token(w.poll(dev))
	})
}

// The device's tokens are bound to the key that it shows when it fetches them
// (RFC 9449 §5), and each proof is good once.
func TestDeviceTokensAreBoundToItsKey(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newDen(t, d)
		key := newKey(t)
		dev := w.start("scope", "openid offline_access")
		in := w.poll(dev)
		in.Proof = w.proof(key, nil)
		w.refused("pending", in, oauth.AuthorizationPending)
		w.allow(dev)
		w.refused("a proof that was used", in, oauth.InvalidDPoPProof)
		in.Proof = w.proof(key, nil)
		out := w.token(in)
		if out.Binding.JKT != thumbprint(t, key) {
			t.Errorf("bound to %q", out.Binding.JKT)
		}
		w.refused("refresh without the key", refreshing(w.tv, out.Refresh), oauth.InvalidGrant)
		again := refreshing(w.tv, out.Refresh)
		again.Proof = w.proof(key, nil)
		w.token(again)
	})
}

func TestDevicesThatBeginAreLimited(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newDen(t, d)
		for range 60 {
			w.start()
		}
		_, err := w.OAuth.StartDevice(t.Context(), starting(w.tv))
		wantFault(t, "the 61st", err, fault.RateLimited)
	})
}
