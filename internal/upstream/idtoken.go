package upstream

import (
	"context"
	"strings"
	"time"

	"sallyport/internal/openid"
)

// presentable is how long ago an ID token that is brought to us may have been made:
// it is for signing in with now, not for being kept.
const presentable = 10 * time.Minute

// GivesIDTokens reports whether u's people can be known by an ID token that an
// application got by itself.
func (u Upstream) GivesIDTokens() bool { return u.Kind.OpenID() }

// OpenID reports whether upstreams of a kind have ID tokens.
func (k Kind) OpenID() bool { return kinds[k].openID }

// presented judges an ID token that somebody brings. Nobody says that it was made for
// this sign-in but that it is for us, new, and not seen before: whoever lets somebody
// in by it spends Profile.Once.
func (b *Broker) presented(ctx context.Context, u Upstream, x Exchange) (Profile, error) {
	if !u.GivesIDTokens() {
		return Profile{}, openid.Fail(openid.ErrLies, "an ID token of an upstream that has none")
	}
	m, err := b.metadata(ctx, u)
	if err != nil {
		return Profile{}, err
	}
	t := openid.Tokens{ID: x.IDToken, Access: x.AccessToken}
	want := u.expect(m, x.IDToken, x.Nonce)
	want.Within, want.Bare, want.NonceOptional = presentable, x.AccessToken == "", false
	// An application on a phone asks Google as a client of its own, azp, for a token
	// that is for its server, aud; Google makes such within one project alone.
	want.AnyParty = u.Kind == Google
	c, err := b.asker(u).IDToken(ctx, m, t, want)
	if err != nil {
		return Profile{}, err
	}
	if x.AccessToken != "" && u.Kind != Microsoft {
		if err := b.asker(u).Complete(ctx, m, t, &c); err != nil {
			return Profile{}, err
		}
	}
	// An access token that somebody brings is not kept: they could have it in place of
	// the user's own.
	p, err := u.profile(c, openid.Tokens{ID: x.IDToken}, b.now(), x)
	p.Once = Once{ID: signed(x.IDToken), Until: b.now().Add(presentable + 3*openid.Leeway)}
	return p, err
}

// signed is the part of a JWT that its signature is about. The signature itself may
// be written in more ways than one.
func signed(jwt string) string {
	return jwt[:max(0, strings.LastIndexByte(jwt, '.'))]
}
