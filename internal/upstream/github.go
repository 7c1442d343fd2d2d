package upstream

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"sallyport/internal/openid"
)

// gitHub is OAuth 2.0 and two calls: who, and which addresses. The account is
// known by its number, because a login can be given up and taken by another.
func (b *Broker) gitHub(ctx context.Context, u Upstream, x Exchange) (Profile, error) {
	form := x.form()
	form.Del("grant_type") // GitHub's token endpoint has none
	t, err := b.asker(u).Redeem(ctx, u.at("https://github.com/login/oauth/access_token"), u.inForm(), form)
	if err != nil {
		return Profile{}, err
	}
	var user struct {
		ID     int64       `json:"id"`
		Login  openid.Word `json:"login"`
		Name   openid.Word `json:"name"`
		Avatar openid.Word `json:"avatar_url"`
	}
	header := http.Header{"X-Github-Api-Version": {"2022-11-28"}}
	if err := b.asker(u).Get(ctx, u.at("https://api.github.com/user"), "Bearer "+t.Access, header, &user); err != nil {
		return Profile{}, err
	}
	if user.ID <= 0 {
		return Profile{}, openid.During(openid.AtPerson, openid.Fail(openid.ErrLies, "an account without a number"))
	}
	p := Profile{Issuer: u.Issuer(), Subject: strconv.FormatInt(user.ID, 10), Username: string(user.Login), Picture: string(user.Avatar), Tokens: tokensOf(t, b.now())}
	p.setNames(string(user.Name), "", "")
	for page := 1; page <= maxAddresses/perPage; page++ {
		var addresses []struct {
			Email    openid.Word  `json:"email"`
			Primary  openid.Truth `json:"primary"`
			Verified openid.Truth `json:"verified"`
		}
		at := fmt.Sprintf("%s?per_page=%d&page=%d", u.at("https://api.github.com/user/emails"), perPage, page)
		if err := b.asker(u).Get(ctx, at, "Bearer "+t.Access, header, &addresses); err != nil {
			return Profile{}, err
		}
		if addresses == nil {
			return Profile{}, openid.During(openid.AtPerson, openid.Fail(openid.ErrLies, "null in place of a list of addresses"))
		}
		for _, a := range addresses {
			if a.Primary.Is { // the address in the profile may be any text
				p.setEmail(u.Settings, string(a.Email), a.Verified.Is, true, anyDomain)
			}
		}
		if len(addresses) < perPage {
			break
		}
	}
	return p, nil
}

// GitHub gives addresses by the hundred; nobody's are looked through for ever.
const (
	perPage      = 100
	maxAddresses = 1000
)
