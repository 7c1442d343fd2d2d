package upstream_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

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
		step    upstream.Step
	}{
		// The code exchange.
		{upstreamtest.Down, atToken, all, upstream.ErrUnreachable, upstream.AtExchange},
		{upstreamtest.Throttled, atToken, all, upstream.ErrThrottled, upstream.AtExchange},
		{upstreamtest.Slow, atToken, few, upstream.ErrUnreachable, upstream.AtExchange},
		{upstreamtest.Drip, atToken, few, upstream.ErrUnreachable, upstream.AtExchange},
		{upstreamtest.Dropped, atToken, all, upstream.ErrUnreachable, upstream.AtExchange},
		{upstreamtest.Cut, atToken, all, upstream.ErrUnreachable, upstream.AtExchange},
		{upstreamtest.HTML, atToken, all, upstream.ErrLies, upstream.AtExchange},
		{upstreamtest.Large, atToken, few, upstream.ErrLies, upstream.AtExchange},
		{upstreamtest.Bomb, atToken, few, upstream.ErrLies, upstream.AtExchange},
		{upstreamtest.Redirect, atToken, all, upstream.ErrLies, upstream.AtExchange},
		{upstreamtest.ErrorPage, atToken, all, upstream.ErrClient, upstream.AtExchange},
		{upstreamtest.BadSecret, nil, all, upstream.ErrClient, upstream.AtExchange},
		{upstreamtest.Unfinished, nil, []upstream.Kind{upstream.WorkOS}, upstream.ErrUnfinished, upstream.AtExchange},
		// The ID token, and WorkOS' access token.
		{upstreamtest.NoIDToken, nil, openID, upstream.ErrLies, upstream.AtToken},
		{upstreamtest.WrongIssuer, nil, openID, upstream.ErrLies, upstream.AtToken},
		{upstreamtest.WrongAudience, nil, openID, upstream.ErrAudience, upstream.AtToken},
		{upstreamtest.WrongParty, nil, openID, upstream.ErrAudience, upstream.AtToken},
		{upstreamtest.WrongNonce, nil, openID, upstream.ErrLies, upstream.AtToken},
		{upstreamtest.NoNonce, nil, withNonce, upstream.ErrLies, upstream.AtToken},
		{upstreamtest.WrongSignature, nil, signed, upstream.ErrLies, upstream.AtToken},
		{upstreamtest.Unsigned, nil, signed, upstream.ErrLies, upstream.AtToken},
		{upstreamtest.Shared, nil, signed, upstream.ErrLies, upstream.AtToken},
		{upstreamtest.Confused, nil, signed, upstream.ErrLies, upstream.AtToken},
		{upstreamtest.OtherKey, nil, signed, upstream.ErrLies, upstream.AtToken},
		{upstreamtest.Expired, nil, signed, upstream.ErrLies, upstream.AtToken},
		{upstreamtest.Future, nil, openID, upstream.ErrLies, upstream.AtToken},
		{upstreamtest.WrongHash, nil, openID, upstream.ErrLies, upstream.AtToken},
		{upstreamtest.Down, atKeys, signed, upstream.ErrUnreachable, upstream.AtToken},
		{upstreamtest.Dropped, atKeys, signed, upstream.ErrUnreachable, upstream.AtToken},
		{upstreamtest.HTML, atKeys, signed, upstream.ErrLies, upstream.AtToken},
		{upstreamtest.Large, atKeys, []upstream.Kind{upstream.OIDC, upstream.Microsoft}, upstream.ErrLies, upstream.AtToken},
		{upstreamtest.Bomb, atKeys, []upstream.Kind{upstream.OIDC, upstream.Microsoft}, upstream.ErrLies, upstream.AtToken},
		{upstreamtest.Redirect, atKeys, signed, upstream.ErrLies, upstream.AtToken},
		// The person.
		{upstreamtest.Somebody, nil, []upstream.Kind{upstream.Okta}, upstream.ErrLies, upstream.AtPerson},
		{upstreamtest.NoSubject, nil, []upstream.Kind{upstream.GitHub, upstream.OAuth2, upstream.OIDC}, upstream.ErrLies, upstream.AtPerson},
		{upstreamtest.Down, atPerson, asks, upstream.ErrUnreachable, upstream.AtPerson},
		{upstreamtest.Throttled, atPerson, asks, upstream.ErrThrottled, upstream.AtPerson},
		{upstreamtest.Slow, atPerson, []upstream.Kind{upstream.GitHub}, upstream.ErrUnreachable, upstream.AtPerson},
		{upstreamtest.Drip, atPerson, []upstream.Kind{upstream.GitHub}, upstream.ErrUnreachable, upstream.AtPerson},
		{upstreamtest.Dropped, atPerson, asks, upstream.ErrUnreachable, upstream.AtPerson},
		{upstreamtest.HTML, atPerson, asks, upstream.ErrLies, upstream.AtPerson},
		{upstreamtest.ErrorPage, atPerson, asks, upstream.ErrLies, upstream.AtPerson},
		{upstreamtest.Large, atPerson, asks, upstream.ErrLies, upstream.AtPerson},
		{upstreamtest.Bomb, atPerson, asks, upstream.ErrLies, upstream.AtPerson},
		{upstreamtest.Redirect, atPerson, asks, upstream.ErrLies, upstream.AtPerson},
		// The answer that the browser brings.
		{upstreamtest.WrongIss, nil, []upstream.Kind{upstream.Google, upstream.Microsoft, upstream.Okta, upstream.OIDC}, upstream.ErrLies, upstream.AtRequest},
		{upstreamtest.NoIss, nil, []upstream.Kind{upstream.OIDC}, upstream.ErrLies, upstream.AtRequest},
	} {
		for _, kind := range c.kinds {
			t.Run(fmt.Sprintf("%s/%v/%s", c.trouble, c.places, kind), func(t *testing.T) {
				t.Parallel()
				p := serve(t, kind)
				if c.trouble == upstreamtest.Slow || c.trouble == upstreamtest.Drip {
					p.b = upstream.NewBroker(upstream.Options{Now: p.clock, Timeout: time.Second})
					t.Cleanup(p.b.Close)
				}
				location, a := p.begin(t, upstream.Start{})
				p.Behave(c.trouble, c.places...)
				before := len(p.Requests())
				_, err := p.b.Finish(t.Context(), p.u, a, p.back(t, location, false), upstream.Visitor{})
				f, ok := errors.AsType[*upstream.Failure](err)
				if !ok || !errors.Is(err, c.want) || f.Step != c.step || f.Redeemed() != (c.step >= upstream.AtToken) {
					t.Fatalf("got %v, step %d, want %v, %d", err, f.Step, c.want, c.step)
				}
				if strings.ContainsAny(err.Error(), "<{") || strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "code=") {
					t.Errorf("says too much: %v", err)
				}
				if want := map[bool]time.Duration{true: 42 * time.Second}[c.trouble == upstreamtest.Throttled]; f.RetryAfter != want {
					t.Errorf("RetryAfter %s", f.RetryAfter)
				}
				posts := slices.DeleteFunc(p.Requests()[before:], func(r string) bool { return !strings.HasPrefix(r, "POST ") })
				if want := map[bool]int{false: 1}[c.step == upstream.AtRequest]; len(posts) != want {
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
		{upstreamtest.Down, upstream.ErrUnreachable}, {upstreamtest.Dropped, upstream.ErrUnreachable}, {upstreamtest.Cut, upstream.ErrUnreachable},
		{upstreamtest.Throttled, upstream.ErrThrottled}, {upstreamtest.HTML, upstream.ErrLies}, {upstreamtest.ErrorPage, upstream.ErrLies},
		{upstreamtest.Large, upstream.ErrLies}, {upstreamtest.Bomb, upstream.ErrLies}, {upstreamtest.Redirect, upstream.ErrLies},
		{upstreamtest.OtherMetadata, upstream.ErrLies},
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
		upstream.OIDC: upstream.ErrLies, upstream.Google: upstream.ErrLies, upstream.Okta: upstream.ErrLies, upstream.Microsoft: upstream.ErrLies,
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
