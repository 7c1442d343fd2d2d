package upstream

import (
	"context"
	"net/http"
	"strings"

	"sallyport/internal/openid"
)

// linkedInLegacy is LinkedIn before OpenID Connect, for applications that were
// given r_liteprofile and r_emailaddress before August 2023. Nothing says that
// the address is verified, so it is not.
func (b *Broker) linkedInLegacy(ctx context.Context, u Upstream, x Exchange) (Profile, error) {
	t, err := b.asker(u).Redeem(ctx, u.at("https://www.linkedin.com/oauth/v2/accessToken"), u.inForm(), x.form())
	if err != nil {
		return Profile{}, err
	}
	var me struct {
		ID    openid.Word `json:"id"`
		First localized   `json:"firstName"`
		Last  localized   `json:"lastName"`
	}
	header := http.Header{"X-Li-Format": {"json"}}
	if err := b.asker(u).Get(ctx, u.at("https://api.linkedin.com/v2/me")+"?projection=(id,firstName,lastName)", "Bearer "+t.Access, header, &me); err != nil {
		return Profile{}, err
	}
	var found struct {
		Elements []struct {
			Handle struct {
				Email openid.Word `json:"emailAddress"`
			} `json:"handle~"`
		} `json:"elements"`
	}
	if err := b.asker(u).Get(ctx, u.at("https://api.linkedin.com/v2/emailAddress")+"?q=members&projection=(elements*(handle~))", "Bearer "+t.Access, header, &found); err != nil {
		return Profile{}, err
	}
	p := Profile{Issuer: u.Issuer(), Subject: string(me.ID), Tokens: tokensOf(t, b.now())}
	p.setNames("", me.First.text(), me.Last.text())
	if len(found.Elements) > 0 {
		p.setEmail(u.Settings, string(found.Elements[0].Handle.Email), false, true, noDomain)
	}
	return p, nil
}

// localized is a name in several languages.
type localized struct {
	Localized map[string]string `json:"localized"`
	Preferred struct {
		Country  string `json:"country"`
		Language string `json:"language"`
	} `json:"preferredLocale"`
}

// text is the name in the person's own language, else in English, else in the
// first language by name, so that it is the same every time.
func (l localized) text() string {
	for _, locale := range []string{l.Preferred.Language + "_" + l.Preferred.Country, "en_US"} {
		if name := l.Localized[locale]; name != "" {
			return name
		}
	}
	first := ""
	for locale := range l.Localized {
		if first == "" || strings.Compare(locale, first) < 0 {
			first = locale
		}
	}
	return l.Localized[first]
}
