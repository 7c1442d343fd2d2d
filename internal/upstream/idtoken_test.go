package upstream_test

import (
	"errors"
	"testing"
	"time"

	"sallyport/internal/openid"
	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
)

// present brings the token that an application of Jane's got, made a while ago.
func (p *place) present(t testing.TB, ago time.Duration, change func(*upstream.Exchange)) (upstream.Profile, error) {
	t.Helper()
	id, access := p.Present(upstreamtest.Jane.ID, "n-1")
	x := upstream.Exchange{IDToken: id, AccessToken: access, Nonce: "n-1"}
	if change != nil {
		change(&x)
	}
	p.pass(ago)
	return p.b.Exchange(t.Context(), p.u, x)
}

func bare(x *upstream.Exchange) { x.AccessToken, x.Nonce = "", "" }

func TestEveryKindOfOpenIDTakesAnIDToken(t *testing.T) {
	for _, kind := range []upstream.Kind{upstream.Google, upstream.LinkedIn, upstream.Microsoft, upstream.Apple, upstream.Okta, upstream.OIDC} {
		t.Run(string(kind), func(t *testing.T) {
			p := serve(t, kind)
			want, err := p.signIn(t, upstream.Start{})
			if err != nil {
				t.Fatal(err)
			}
			for name, change := range map[string]func(*upstream.Exchange){"whole": nil, "bare": bare} {
				if kind == upstream.LinkedIn && change == nil {
					change = func(x *upstream.Exchange) { x.Nonce = "" } // which does not return it
				}
				got, err := p.present(t, 0, change)
				if err != nil || got.Subject != want.Subject || got.Issuer != want.Issuer || got.Upstream != "fake" {
					t.Fatalf("%s: %+v, %v", name, got, err)
				}
				// Okta says only with the user information that an address is verified.
				if got.EmailTrusted != want.EmailTrusted && (name == "whole" || kind != upstream.Okta) {
					t.Errorf("%s: trusted %v, want %v", name, got.EmailTrusted, want.EmailTrusted)
				}
				if got.Once.ID == "" || !got.Once.Until.After(p.clock().Add(11*time.Minute)) {
					t.Errorf("%s: may be taken again: %+v", name, got.Once)
				}
				if got.Tokens.Access != "" {
					t.Errorf("%s: keeps what somebody brought", name)
				}
			}
		})
	}
}

func TestIDTokenThatIsNotTaken(t *testing.T) {
	for _, kind := range []upstream.Kind{upstream.Google, upstream.OIDC} {
		for trouble, want := range map[upstreamtest.Trouble]error{
			upstreamtest.WrongIssuer: openid.ErrLies, upstreamtest.WrongAudience: openid.ErrAudience, upstreamtest.WrongNonce: openid.ErrLies,
			upstreamtest.NoNonce: openid.ErrLies, upstreamtest.WrongSignature: openid.ErrLies, upstreamtest.Unsigned: openid.ErrLies,
			upstreamtest.Shared: openid.ErrLies, upstreamtest.Confused: openid.ErrLies, upstreamtest.OtherKey: openid.ErrLies,
			upstreamtest.Expired: openid.ErrLies, upstreamtest.Future: openid.ErrLies, upstreamtest.WrongHash: openid.ErrLies, upstreamtest.NoSubject: openid.ErrLies,
		} {
			t.Run(string(kind)+"/"+string(trouble), func(t *testing.T) {
				p := serve(t, kind)
				p.Behave(trouble)
				if _, err := p.present(t, 0, nil); !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
			})
		}
	}
}

func TestIDTokenIsForNow(t *testing.T) {
	p := serve(t, upstream.OIDC)
	for ago, want := range map[time.Duration]error{10 * time.Minute: nil, 12 * time.Minute: openid.ErrLies} {
		if _, err := p.present(t, ago, nil); !errors.Is(err, want) {
			t.Errorf("after %v: %v, want %v", ago, err, want)
		}
	}
}

// An application on a phone asks Google as a client of its own for a token that is for
// its server.
func TestIDTokenThatAnotherPartyAskedFor(t *testing.T) {
	for kind, want := range map[upstream.Kind]error{upstream.Google: nil, upstream.OIDC: openid.ErrAudience} {
		p := serve(t, kind)
		p.Behave(upstreamtest.WrongParty)
		if _, err := p.present(t, 0, nil); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", kind, err, want)
		}
	}
}

func TestIDTokenOfAnotherUpstream(t *testing.T) {
	google, corp := serve(t, upstream.Google), serve(t, upstream.OIDC)
	id, _ := google.Present(upstreamtest.Jane.ID, "")
	if _, err := corp.b.Exchange(t.Context(), corp.u, upstream.Exchange{IDToken: id}); !errors.Is(err, openid.ErrLies) {
		t.Errorf("got %v", err)
	}
	for _, kind := range []upstream.Kind{upstream.GitHub, upstream.WorkOS, upstream.OAuth2} {
		p := serve(t, kind)
		if _, err := p.b.Exchange(t.Context(), p.u, upstream.Exchange{IDToken: id}); p.u.GivesIDTokens() || !errors.Is(err, openid.ErrLies) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// Whose access token it is, user information says.
func TestAccessTokenOfAnotherPerson(t *testing.T) {
	other := upstreamtest.Jane
	other.ID = "other"
	p := serve(t, upstream.Okta, upstreamtest.Jane, other)
	_, access := p.Present(other.ID, "")
	if _, err := p.present(t, 0, func(x *upstream.Exchange) { x.AccessToken = access }); !errors.Is(err, openid.ErrLies) {
		t.Errorf("got %v", err)
	}
}
