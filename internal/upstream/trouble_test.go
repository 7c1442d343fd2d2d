package upstream_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/openid"
	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
)

// Whatever a provider does, the failure is one of the list, it tells how far the
// sign-in came, its text holds nothing of the provider's, the code goes out once
// at most, and the next sign-in can succeed.
//
// What the contracts make of it: tofu.md §7 has 400 for ErrInvalidGrant, 401 for
// what is wrong AtToken, 403 for ErrUnfinished, 502 for ErrUnreachable, ErrClient
// and other lies, 503 for ErrThrottled; hackillinois.md §4.2 has one sentence for
// what goes wrong before the code is redeemed, and one for after; keymaster.md
// §3.2 has oauth_failed for all of these.
func TestTroubles(t *testing.T) {
	openID := []upstream.Kind{upstream.Google, upstream.LinkedIn, upstream.Microsoft, upstream.Apple, upstream.Okta, upstream.OIDC}
	all := append(slices.Clone(openID), upstream.GitHub, upstream.OAuth2, upstream.WorkOS)
	withNonce := []upstream.Kind{upstream.Google, upstream.Microsoft, upstream.Apple, upstream.Okta, upstream.OIDC}
	signed := append(slices.Clone(openID), upstream.WorkOS)
	few := []upstream.Kind{upstream.OIDC, upstream.GitHub, upstream.WorkOS}  // of what takes its time
	asks := []upstream.Kind{upstream.GitHub, upstream.OAuth2, upstream.Okta} // for more than tokens
	atToken, atPerson, atKeys := []upstreamtest.Place{upstreamtest.AtToken}, []upstreamtest.Place{upstreamtest.AtPerson}, []upstreamtest.Place{upstreamtest.AtKeys}
	for _, c := range []struct {
		trouble upstreamtest.Trouble
		places  []upstreamtest.Place
		kinds   []upstream.Kind
		want    error
		step    openid.Step
	}{
		// The code exchange.
		{upstreamtest.Down, atToken, all, openid.ErrUnreachable, openid.AtExchange},
		{upstreamtest.Throttled, atToken, all, openid.ErrThrottled, openid.AtExchange},
		{upstreamtest.Slow, atToken, few, openid.ErrUnreachable, openid.AtExchange},
		{upstreamtest.Drip, atToken, few, openid.ErrUnreachable, openid.AtExchange},
		{upstreamtest.Dropped, atToken, all, openid.ErrUnreachable, openid.AtExchange},
		{upstreamtest.Cut, atToken, all, openid.ErrUnreachable, openid.AtExchange},
		{upstreamtest.HTML, atToken, all, openid.ErrLies, openid.AtExchange},
		{upstreamtest.Large, atToken, few, openid.ErrLies, openid.AtExchange},
		{upstreamtest.Bomb, atToken, few, openid.ErrLies, openid.AtExchange},
		{upstreamtest.Redirect, atToken, all, openid.ErrLies, openid.AtExchange},
		{upstreamtest.ErrorPage, atToken, all, openid.ErrClient, openid.AtExchange},
		{upstreamtest.BadSecret, nil, all, openid.ErrClient, openid.AtExchange},
		{upstreamtest.Unfinished, nil, []upstream.Kind{upstream.WorkOS}, openid.ErrUnfinished, openid.AtExchange},
		// The ID token, and WorkOS' access token.
		{upstreamtest.NoIDToken, nil, openID, openid.ErrLies, openid.AtToken},
		{upstreamtest.WrongIssuer, nil, openID, openid.ErrLies, openid.AtToken},
		{upstreamtest.WrongAudience, nil, openID, openid.ErrAudience, openid.AtToken},
		{upstreamtest.WrongParty, nil, openID, openid.ErrAudience, openid.AtToken},
		{upstreamtest.WrongNonce, nil, openID, openid.ErrLies, openid.AtToken},
		{upstreamtest.NoNonce, nil, withNonce, openid.ErrLies, openid.AtToken},
		{upstreamtest.WrongSignature, nil, signed, openid.ErrLies, openid.AtToken},
		{upstreamtest.Unsigned, nil, signed, openid.ErrLies, openid.AtToken},
		{upstreamtest.Shared, nil, signed, openid.ErrLies, openid.AtToken},
		{upstreamtest.Confused, nil, signed, openid.ErrLies, openid.AtToken},
		{upstreamtest.OtherKey, nil, signed, openid.ErrLies, openid.AtToken},
		{upstreamtest.Expired, nil, signed, openid.ErrLies, openid.AtToken},
		{upstreamtest.Future, nil, openID, openid.ErrLies, openid.AtToken},
		{upstreamtest.WrongHash, nil, openID, openid.ErrLies, openid.AtToken},
		{upstreamtest.Down, atKeys, signed, openid.ErrUnreachable, openid.AtToken},
		{upstreamtest.Dropped, atKeys, signed, openid.ErrUnreachable, openid.AtToken},
		{upstreamtest.HTML, atKeys, signed, openid.ErrLies, openid.AtToken},
		{upstreamtest.Large, atKeys, []upstream.Kind{upstream.OIDC, upstream.Microsoft}, openid.ErrLies, openid.AtToken},
		{upstreamtest.Bomb, atKeys, []upstream.Kind{upstream.OIDC, upstream.Microsoft}, openid.ErrLies, openid.AtToken},
		{upstreamtest.Redirect, atKeys, signed, openid.ErrLies, openid.AtToken},
		// The person.
		{upstreamtest.Somebody, nil, []upstream.Kind{upstream.Okta}, openid.ErrLies, openid.AtPerson},
		{upstreamtest.NoSubject, nil, []upstream.Kind{upstream.GitHub, upstream.OAuth2, upstream.OIDC}, openid.ErrLies, openid.AtPerson},
		{upstreamtest.Down, atPerson, asks, openid.ErrUnreachable, openid.AtPerson},
		{upstreamtest.Throttled, atPerson, asks, openid.ErrThrottled, openid.AtPerson},
		{upstreamtest.Slow, atPerson, []upstream.Kind{upstream.GitHub}, openid.ErrUnreachable, openid.AtPerson},
		{upstreamtest.Drip, atPerson, []upstream.Kind{upstream.GitHub}, openid.ErrUnreachable, openid.AtPerson},
		{upstreamtest.Dropped, atPerson, asks, openid.ErrUnreachable, openid.AtPerson},
		{upstreamtest.HTML, atPerson, asks, openid.ErrLies, openid.AtPerson},
		{upstreamtest.ErrorPage, atPerson, asks, openid.ErrLies, openid.AtPerson},
		{upstreamtest.Large, atPerson, asks, openid.ErrLies, openid.AtPerson},
		{upstreamtest.Bomb, atPerson, asks, openid.ErrLies, openid.AtPerson},
		{upstreamtest.Redirect, atPerson, asks, openid.ErrLies, openid.AtPerson},
		// The answer that the browser brings.
		{upstreamtest.WrongIss, nil, []upstream.Kind{upstream.Google, upstream.Microsoft, upstream.Okta, upstream.OIDC}, openid.ErrLies, openid.AtRequest},
		{upstreamtest.NoIss, nil, []upstream.Kind{upstream.OIDC}, openid.ErrLies, openid.AtRequest},
	} {
		for _, kind := range c.kinds {
			t.Run(fmt.Sprintf("%s/%v/%s", c.trouble, c.places, kind), func(t *testing.T) {
				t.Parallel()
				p := serve(t, kind)
				location, a := p.begin(t, upstream.Start{})
				p.Behave(c.trouble, c.places...)
				before := len(p.Requests())
				asked := p.b
				if c.trouble == upstreamtest.Slow || c.trouble == upstreamtest.Drip {
					asked = upstream.NewBroker(upstream.Options{Now: p.clock, Timeout: time.Second})
					t.Cleanup(asked.Close)
				}
				_, err := asked.Finish(t.Context(), p.u, a, p.back(t, location, false), upstream.Visitor{})
				f, ok := errors.AsType[*openid.Failure](err)
				if !ok || !errors.Is(err, c.want) || f.Step != c.step || f.Redeemed() != (c.step >= openid.AtToken) {
					t.Fatalf("got %v, step %d, want %v, %d", err, f.Step, c.want, c.step)
				}
				if strings.ContainsAny(err.Error(), "<{") || strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "code=") {
					t.Errorf("says too much: %v", err)
				}
				if want := map[bool]time.Duration{true: 42 * time.Second}[c.trouble == upstreamtest.Throttled]; f.RetryAfter != want {
					t.Errorf("RetryAfter %s", f.RetryAfter)
				}
				posts := slices.DeleteFunc(p.Requests()[before:], func(r string) bool { return !strings.HasPrefix(r, "POST ") })
				if want := map[bool]int{false: 1}[c.step == openid.AtRequest]; len(posts) != want {
					t.Errorf("the code went out %d times", len(posts))
				}
				p.Behave(upstreamtest.None)
				p.pass(time.Minute) // failures to read keys are remembered for a moment
				if _, err := p.signIn(t, upstream.Start{}); err != nil {
					t.Errorf("tried again: %v", err)
				}
			})
		}
	}
}

// Metadata that cannot be had, or are not the issuer's, begin nothing.
func TestTroublesOfMetadata(t *testing.T) {
	for _, c := range []struct {
		trouble upstreamtest.Trouble
		want    error
	}{
		{upstreamtest.Down, openid.ErrUnreachable}, {upstreamtest.Dropped, openid.ErrUnreachable}, {upstreamtest.Cut, openid.ErrUnreachable},
		{upstreamtest.Throttled, openid.ErrThrottled}, {upstreamtest.HTML, openid.ErrLies}, {upstreamtest.ErrorPage, openid.ErrLies},
		{upstreamtest.Large, openid.ErrLies}, {upstreamtest.Bomb, openid.ErrLies}, {upstreamtest.Redirect, openid.ErrLies},
		{upstreamtest.OtherMetadata, openid.ErrLies},
	} {
		t.Run(string(c.trouble), func(t *testing.T) {
			t.Parallel()
			p := serve(t, upstream.OIDC)
			p.Behave(c.trouble, upstreamtest.AtMetadata)
			if location, _, err := p.b.Begin(t.Context(), p.u, upstream.Start{RedirectURI: callback, State: "the-state"}); !errors.Is(err, c.want) || location != "" {
				t.Errorf("got %q, %v", location, err)
			}
			p.Behave(upstreamtest.None)
			p.pass(time.Minute)
			if _, err := p.signIn(t, upstream.Start{}); err != nil {
				t.Errorf("tried again: %v", err)
			}
		})
	}
}

// A provider without PKCE ignores what it does not know (RFC 6749 §3.1). Then
// the nonce tells whose code it is, where there is one; what GitHub and the like
// have left is the state.
func TestProviderWithoutPKCE(t *testing.T) {
	for kind, want := range map[upstream.Kind]error{
		upstream.OIDC: openid.ErrLies, upstream.Google: openid.ErrLies, upstream.Okta: openid.ErrLies, upstream.Microsoft: openid.ErrLies,
		upstream.GitHub: nil, upstream.OAuth2: nil, upstream.WorkOS: nil,
	} {
		p := serve(t, kind)
		p.Behave(upstreamtest.NoPKCE)
		if _, err := p.signIn(t, upstream.Start{}); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		attackers, _ := p.begin(t, upstream.Start{})
		_, victims := p.begin(t, upstream.Start{})
		if _, err := p.b.Finish(t.Context(), p.u, victims, p.back(t, attackers, false), upstream.Visitor{}); !errors.Is(err, want) {
			t.Errorf("%s: an injected code: %v, want %v", kind, err, want)
		}
	}
}

// hackillinois.md §5.1: the last one wins if several are primary.
func TestTwoPrimaryAddresses(t *testing.T) {
	p := serve(t, upstream.GitHub)
	p.Behave(upstreamtest.TwoPrimary)
	if got, err := p.signIn(t, upstream.Start{}); err != nil || got.Email != "second@example.com" || got.EmailTrusted {
		t.Errorf("got %q, trusted %v, %v", got.Email, got.EmailTrusted, err)
	}
}
