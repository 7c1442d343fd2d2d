package upstream

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"sallyport/internal/openid"
)

// oauth2 is any provider with a token endpoint and a document about the person,
// whose members the operator names.
func (b *Broker) oauth2(ctx context.Context, u Upstream, x Exchange) (Profile, error) {
	s := u.Settings
	t, err := b.asker(u).Redeem(ctx, u.at(s.TokenEndpoint), u.inForm(), x.form())
	if err != nil {
		return Profile{}, err
	}
	var doc map[string]json.RawMessage
	if err := b.asker(u).Get(ctx, u.at(s.UserinfoEndpoint), "Bearer "+t.Access, http.Header{}, &doc); err != nil {
		return Profile{}, err
	}
	n := s.Members.WithDefaults()
	p := Profile{Issuer: u.Issuer(), Subject: scalar(member(doc, n.Subject)), Username: scalar(member(doc, n.Username)),
		Picture: scalar(member(doc, n.Picture)), Tokens: tokensOf(t, b.now())}
	p.setNames(scalar(member(doc, n.Name)), "", "")
	var verified openid.Truth
	if raw := member(doc, n.EmailVerified); raw != nil {
		if err := verified.UnmarshalJSON(raw); err != nil {
			return Profile{}, openid.During(openid.AtPerson, openid.Fail(openid.ErrLies, "%v", err))
		}
	}
	p.setEmail(s, scalar(member(doc, n.Email)), verified.Is, verified.Known, anyDomain)
	return p, nil
}

// member is the value at a path of member names, nil if there is none.
func member(doc map[string]json.RawMessage, path string) json.RawMessage {
	first, rest, deeper := strings.Cut(path, ".")
	raw := doc[first]
	if !deeper {
		return raw
	}
	var inner map[string]json.RawMessage
	if json.Unmarshal(raw, &inner) != nil {
		return nil
	}
	return member(inner, rest)
}

// scalar is a text, or a number as it is written: many number their accounts.
func scalar(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var n json.Number
	if json.Unmarshal(raw, &n) == nil {
		return n.String()
	}
	return ""
}
