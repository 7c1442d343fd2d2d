package upstream

import (
	"context"
	"net/url"

	"sallyport/internal/openid"
	"sallyport/internal/secret"
)

// Renew gets newer tokens by a refresh token (RFC 6749 §6), which most providers
// take once. Fails with a *openid.Failure; openid.ErrInvalidGrant says that the person must
// sign in there again.
func (b *Broker) Renew(ctx context.Context, u Upstream, refresh secret.Value) (Tokens, error) {
	ctx, stop := context.WithTimeout(ctx, b.timeout)
	defer stop()
	got, err := b.renew(ctx, u, refresh)
	if err != nil {
		return Tokens{}, openid.During(openid.AtExchange, err)
	}
	if got.Refresh == "" {
		got.Refresh = refresh // it stays good
	}
	return got, nil
}

func (b *Broker) renew(ctx context.Context, u Upstream, refresh secret.Value) (Tokens, error) {
	if refresh == "" {
		return Tokens{}, openid.Fail(openid.ErrInvalidGrant, "no refresh token")
	}
	if u.Kind == WorkOS {
		return b.workOSRenew(ctx, u, refresh)
	}
	endpoint, basic, err := b.tokenEndpoint(ctx, u)
	if err != nil {
		return Tokens{}, err
	}
	password, err := u.password(b.now())
	if err != nil {
		return Tokens{}, err
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh.Reveal()}}
	t, err := b.asker(u).Redeem(ctx, endpoint, openid.Credentials{ID: u.Settings.ClientID, Secret: password, Basic: basic}, form)
	return tokensOf(t, b.now()), err
}

// tokenEndpoint is where u gives tokens, and whether our credentials go in the
// header there.
func (b *Broker) tokenEndpoint(ctx context.Context, u Upstream) (endpoint string, basic bool, err error) {
	switch u.Kind {
	case GitHub:
		return u.at("https://github.com/login/oauth/access_token"), false, nil
	case OAuth2:
		return u.at(u.Settings.TokenEndpoint), false, nil
	}
	m, err := b.metadata(ctx, u)
	return m.Token, u.kind().basic && m.Basic(), err
}
