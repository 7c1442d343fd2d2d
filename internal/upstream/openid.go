package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"time"

	"sallyport/internal/openid"
	"sallyport/internal/secret"
)

// openID is the code exchange of OpenID Connect Core §3.1.3 with what follows.
func (b *Broker) openID(ctx context.Context, u Upstream, x Exchange) (Profile, error) {
	m, err := b.metadata(ctx, u)
	if err != nil {
		return Profile{}, err
	}
	password, err := u.password(b.now())
	if err != nil {
		return Profile{}, err
	}
	if u.Kind == Google {
		x.Code = unescaped(x.Code)
	}
	t, err := b.asker(u).Redeem(ctx, m.Token, openid.Credentials{ID: u.Settings.ClientID, Secret: password, Basic: u.kind().basic && m.Basic()}, x.form())
	if err != nil {
		return Profile{}, err
	}
	c, err := b.claims(ctx, u, m, t, x)
	if err != nil {
		return Profile{}, err
	}
	return u.profile(c, t, b.now(), x)
}

// profile is who the claims are about, as far as u is to be believed.
func (u Upstream) profile(c openid.Claims, t openid.Tokens, now time.Time, x Exchange) (Profile, error) {
	p := Profile{Issuer: u.Issuer(), Subject: c.Subject, Username: string(c.Username), Picture: string(c.Picture), Locale: string(c.Locale),
		Roles: c.Roles, Groups: c.Groups, Session: string(c.Session), Tokens: tokensOf(t, now)}
	if c.Authenticated > 0 && c.Authenticated < math.MaxInt32 {
		p.Authenticated = time.Unix(int64(c.Authenticated), 0).UTC()
	}
	if u.Guarded {
		p.Attributes = attributesOf(c.More, c.Payload)
		p.AMR = p.Attributes["amr"]
	}
	p.setNames(string(c.Name), string(c.GivenName), string(c.FamilyName))
	return p, openid.During(openid.AtToken, u.believe(&p, c, x))
}

// claims are those of the ID token and of what it leaves out. A request to Google
// that somebody else made may have been for OAuth alone: then user information
// is all there is, from Google itself and for the token that it has just given.
func (b *Broker) claims(ctx context.Context, u Upstream, m openid.Metadata, t openid.Tokens, x Exchange) (c openid.Claims, err error) {
	if t.ID == "" && u.Kind == Google && x.Nonce == "" {
		return b.asker(u).Userinfo(ctx, m, t)
	}
	if c, err = b.asker(u).IDToken(ctx, m, t, u.expect(m, t.ID, x.Nonce)); err != nil || u.Kind == Microsoft { // which has no more to say
		return c, err
	}
	return c, b.asker(u).Complete(ctx, m, t, &c)
}

// expect is what an ID token must say for us to take it.
func (u Upstream) expect(m openid.Metadata, raw, nonce string) openid.Expect {
	want := openid.Expect{
		ClientID: u.Settings.ClientID, Nonce: nonce, NonceOptional: u.kind().nonce == nonceIfThere,
		Is: func(issuer string) bool { return u.isIssuer(m.Issuer, issuer) },
	}
	if u.Kind == Microsoft {
		want.Keys = keysOfIssuer(raw)
	}
	return want
}

// tokensOf are the tokens as a profile has them.
func tokensOf(t openid.Tokens, now time.Time) Tokens {
	all := Tokens{Access: secret.Value(t.Access), Refresh: secret.Value(t.Refresh), ID: secret.Value(t.ID), Scope: string(t.Scope)}
	if n, err := t.ExpiresIn.Int64(); err == nil && n > 0 && n < int64(10*365*24*time.Hour/time.Second) {
		all.ExpiresAt = now.Add(time.Duration(n) * time.Second)
	}
	return all
}

// password is what u proves itself with at the token endpoint.
func (u Upstream) password(now time.Time) (string, error) {
	if u.Kind == Apple {
		return u.appleSecret(now)
	}
	return u.Secret.Reveal(), nil
}

// inForm are u's credentials where the form is the only place for them.
func (u Upstream) inForm() openid.Credentials {
	return openid.Credentials{ID: u.Settings.ClientID, Secret: u.Secret.Reveal()}
}

// own reads the claims that only one kind has.
func own(c openid.Claims, v any) error {
	if err := json.Unmarshal(c.Payload, v); err != nil {
		return openid.Fail(openid.ErrLies, "claims that are not what they should be")
	}
	return nil
}

// believe takes what the kind is to be believed in.
func (u Upstream) believe(p *Profile, c openid.Claims, x Exchange) error {
	switch u.Kind {
	case Google:
		return u.google(p, c)
	case Microsoft:
		return u.microsoft(p, c)
	case Apple:
		return u.apple(p, c, x.User)
	}
	p.setEmail(u.Settings, string(c.Email), c.EmailVerified.Is, c.EmailVerified.Known, anyDomain)
	return nil
}

// metadata returns what the upstream's issuer publishes.
func (b *Broker) metadata(ctx context.Context, u Upstream) (openid.Metadata, error) {
	name := u.Issuer()
	return b.asker(u).Metadata(ctx, openid.Issuer{
		Name: name,
		// The issuer's path below the base URL, if there is one: an issuer may be
		// reached by another way than its name.
		Address: strings.TrimSuffix(u.at(name), "/") + "/.well-known/openid-configuration",
		Use:     string(u.Kind) + " " + name + " " + u.Settings.BaseURL,
		Is:      func(issuer string) bool { return u.isIssuer(name, issuer) },
		At:      u.at,
	})
}

// isIssuer reports whether an issuer calls itself what it should.
func (u Upstream) isIssuer(want, got string) bool {
	switch {
	case u.Kind == Microsoft:
		return u.isMicrosoft(got)
	case u.Kind == LinkedIn && got == strings.TrimSuffix(want, "/oauth"):
		return true // what LinkedIn called itself until 2024, and its documentation still does
	case u.Kind == Google && "https://"+got == want:
		return true // what Google called itself before the standard
	}
	return got == want
}

// Refresh reads anew what the upstreams publish, so that no sign-in waits for
// it. The server calls it now and then; what fails is left as it was, and told
// for the log.
func (b *Broker) Refresh(ctx context.Context, all []Upstream) error {
	var failures []error
	for _, u := range all {
		if !u.kind().openID {
			continue
		}
		if err := b.refresh(ctx, u); err != nil {
			failures = append(failures, err)
		}
	}
	return errors.Join(failures...)
}

func (b *Broker) refresh(ctx context.Context, u Upstream) error {
	ctx, stop := context.WithTimeout(ctx, b.timeout)
	defer stop()
	m, err := b.metadata(ctx, u)
	if err != nil {
		return err
	}
	_, err = b.asker(u).Keys(ctx, m.Keys, true, nil)
	return err
}
