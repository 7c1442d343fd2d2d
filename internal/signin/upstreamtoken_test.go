package signin_test

import (
	"encoding/base64"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/openid"
	"sallyport/internal/signin"
	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
)

// token is what an application on a phone brings.
func (tr *trip) token(id string) signin.ExchangeIn {
	raw, access := tr.fake.Present(id, "")
	return signin.ExchangeIn{
		ClientID: tr.app.ID, Upstream: tr.key, Terms: tr.terms, Visitor: visitor,
		Exchange: upstream.Exchange{IDToken: raw, AccessToken: access},
	}
}

// twin is an ES256 token with the other signature that is as good (n-s for s).
func twin(t *testing.T, jwt string) string {
	t.Helper()
	order, _ := new(big.Int).SetString("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 16)
	at := strings.LastIndexByte(jwt, '.') + 1
	sig, err := base64.RawURLEncoding.DecodeString(jwt[at:])
	if err != nil || len(sig) != 64 {
		t.Fatalf("signature of %d bytes, %v", len(sig), err)
	}
	new(big.Int).Sub(order, new(big.Int).SetBytes(sig[32:])).FillBytes(sig[32:])
	return jwt[:at] + base64.RawURLEncoding.EncodeToString(sig)
}

func TestSignInByAnIDToken(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		tr.terms = signin.Terms{NeedsEmail: true, VerifiedOnly: true}
		x := tr.token(jane.ID)
		tr.fake.Behave(upstreamtest.Down)
		_, err := tr.r.SignIn.ExchangeUpstream(t.Context(), x)
		wantFault(t, "down", err, fault.UpstreamUnreachable)
		tr.fake.Behave(upstreamtest.None)
		tr.r.Advance(time.Minute) // that it is down is known for a while
		out, err := tr.r.SignIn.ExchangeUpstream(t.Context(), x)
		if err != nil || out.Outcome.SignedIn == nil || out.Outcome.SignedIn.User.Email != jane.Email {
			t.Fatalf("%+v, %v", out.Outcome, err)
		}
		again := x
		again.IDToken = twin(t, x.IDToken)
		for name, in := range map[string]signin.ExchangeIn{"once more": x, "with another signature": again} {
			_, err := tr.r.SignIn.ExchangeUpstream(t.Context(), in)
			wantFault(t, name, err, fault.UpstreamFailed)
			if !errors.Is(err, openid.ErrInvalidGrant) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := count(t, tr.r, "audit WHERE action = 'user.login_failed'"); n != 2 {
			t.Errorf("%d refusals in the log, want 2", n)
		}
		_, err = tr.r.SignIn.ExchangeUpstream(t.Context(), tr.token(eve.ID))
		wantFault(t, "an address that nobody vouches for", err, fault.EmailUnverified)
		if n := count(t, tr.r, "users"); n != 1 {
			t.Errorf("%d users", n)
		}
		// One token for two applications is two sign-ins: it is good for one.
		x = tr.token(jane.ID)
		if _, err := tr.r.SignIn.ExchangeUpstream(t.Context(), x); err != nil {
			t.Fatal(err)
		}
		x.ClientID = tr.r.Client("Other", func(c *client.Client) { c.Policy.Methods = append(c.Policy.Methods, "corp") }).ID
		_, err = tr.r.SignIn.ExchangeUpstream(t.Context(), x)
		wantFault(t, "at another application", err, fault.UpstreamFailed)
		x = tr.token(jane.ID)
		x.ClientID = tr.r.Client("Third", nil).ID
		_, err = tr.r.SignIn.ExchangeUpstream(t.Context(), x)
		wantFault(t, "at one that does not offer it", err, fault.MethodDisabled)
	})
}

func TestIDTokenOfAnUpstreamWithoutThem(t *testing.T) {
	tr := travel(t, dbtest.SQLite(t), func(c *client.Client) { c.Policy.Methods = append(c.Policy.Methods, "hub") })
	x := tr.token(jane.ID)
	tr.r.Upstream("hub", upstream.GitHub, nil, jane)
	x.Upstream = "hub"
	_, err := tr.r.SignIn.ExchangeUpstream(t.Context(), x)
	wantFault(t, "GitHub", err, fault.GrantUnsupported)
}

// Of two requests with one token, one comes in.
func TestIDTokenComesTwiceAtOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		x := tr.token(jane.ID)
		won := make(chan bool)
		for range 4 {
			go func() {
				out, err := tr.r.SignIn.ExchangeUpstream(t.Context(), x)
				if err != nil && !errors.Is(err, openid.ErrInvalidGrant) {
					t.Error(err)
				}
				won <- err == nil && out.Outcome.SignedIn != nil
			}()
		}
		n := 0
		for range 4 {
			if <-won {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d came in", n)
		}
	})
}
