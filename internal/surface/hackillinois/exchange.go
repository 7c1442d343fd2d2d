package hackillinois

import (
	"encoding/json"
	"net/http"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/secret"
	"sallyport/internal/signin"
	"sallyport/internal/upstream"
	"sallyport/internal/wire"
)

type tokenResponse struct {
	Token string `json:"token"`
}

// exchange is POST /auth/code/{provider}/ (contract §4.2). It needs neither
// cookie nor CSRF token: the code is the proof.
func (a *API) exchange(w http.ResponseWriter, r *http.Request) {
	s, provider := a.Settings(), r.PathValue("provider")
	key := s.upstream(provider)
	if key == "" {
		refuse(w, invalidProvider)
		return
	}
	b, err := readBody(w, r)
	if err != nil {
		a.fail(w, r, exchangeWords, err)
		return
	}
	if b.Code == "" {
		refuse(w, noToken)
		return
	}
	cl, err := a.Admin.Bound(r.Context(), s.Client)
	if err != nil {
		a.fail(w, r, exchangeWords, err)
		return
	}
	p := proofOfCode{provider, key, string(b.Code), string(b.CodeVerifier), redirectURI(cl, r)}
	t := signin.Terms{
		SessionFor: cl.Policy.AccessToken.Lifetime.D(), Rename: true, Alias: provider, Roles: s.rules(), KeepRoles: s.KeepGrants,
	}
	var out signin.Returned
	if s.passes(provider) {
		out, err = a.pass(r, cl, p, t)
	} else {
		out, err = a.redeem(r, cl, p, t)
	}
	if err == nil && out.Outcome.SignedIn == nil {
		// A second factor, an approval or an invitation is owed, for which this
		// API has no words.
		err = fault.New(fault.NotEnrolled)
	}
	if err != nil {
		ws := exchangeWords
		if redeemed(err) {
			ws.refused = noInfo
		}
		a.fail(w, r, ws, err)
		return
	}
	in := out.Outcome.SignedIn
	a.token(w, r, cl, noJWT, claims{
		ID: out.Alias, Email: out.Profile.Email, EmailVerified: out.Profile.EmailVerified, Roles: in.Roles, Session: in.SessionID,
		Expires: a.Now().Add(cl.Policy.AccessToken.Lifetime.D()).Unix(),
	})
}

// proofOfCode is what the application brings.
type proofOfCode struct {
	provider, key  string
	code, verifier string
	redirectURI    string
}

// redirectURI is that of the request, or the client's first.
func redirectURI(cl client.Client, r *http.Request) string {
	uri, _ := cl.RedirectURI(parameter(r, "redirect_uri"))
	return uri
}

// pass has the provider itself judge the code. The redirect URI goes along, but
// to GitHub, which the original never tells it (§5.1).
func (a *API) pass(r *http.Request, cl client.Client, p proofOfCode, t signin.Terms) (signin.Returned, error) {
	s := a.Settings()
	x := upstream.Exchange{Code: p.code, RedirectURI: p.redirectURI, Verifier: p.verifier, Legacy: s.legacy(p.provider)}
	if ignoresRedirect(p.provider) {
		x.RedirectURI = ""
	} else if !cl.RedirectAnyQuery(p.redirectURI) {
		return signin.Returned{}, fault.New(fault.RedirectURIInvalid)
	}
	return a.SignIn.ExchangeUpstream(r.Context(), signin.ExchangeIn{
		ClientID: s.Client, Upstream: p.key, Exchange: x, Terms: t,
		Limits: redeemLimits(wire.OriginOf(r.Context()), p.provider), Visitor: visitor(r),
	})
}

// redeem spends a code of ours. It is good once, with the provider that it came
// from, and with the redirect URI of the start, in whatever spelling that was; but
// GitHub's clients send another or none here, and rely on it (§4.2, §10).
func (a *API) redeem(r *http.Request, cl client.Client, p proofOfCode, t signin.Terms) (signin.Returned, error) {
	return a.SignIn.RedeemUpstream(r.Context(), signin.RedeemIn{
		ClientID: a.Settings().Client, Handle: p.code, Terms: t, Visitor: visitor(r),
		Limits: redeemLimits(wire.OriginOf(r.Context()), p.provider),
		Check: func(raw json.RawMessage) bool {
			b := unmarshal(raw)
			if b.RedirectURI == "" {
				b.RedirectURI, _ = cl.RedirectURI("")
			}
			return b.Provider == p.provider && (ignoresRedirect(p.provider) || b.RedirectURI == p.redirectURI) && b.verified(p.verifier)
		},
	})
}

func ignoresRedirect(provider string) bool { return provider == "github" }

// verified holds a code verifier against the challenge. One without the other is
// somebody who took the challenge away (RFC 9700 §2.1.1).
func (b bound) verified(verifier string) bool {
	if b.Challenge == "" || verifier == "" {
		return b.Challenge == "" && verifier == ""
	}
	return secret.Equal([]byte(upstream.Challenge(verifier)), []byte(b.Challenge))
}

// actFor is the life of a token that an administrator gets of somebody else (§9
// W15).
const actFor = time.Hour

// refresh is GET /auth/token/refresh/ (§4.7). The token that it is asked with
// stays good, and so does every other of the same login, for as long as it says.
func (a *API) refresh(w http.ResponseWriter, r *http.Request, c caller) {
	s := a.Settings()
	if c.acting {
		forbid(w) // an hour as somebody else is an hour
		return
	}
	cl, err := a.Admin.Bound(r.Context(), s.Client)
	if err != nil {
		a.fail(w, r, refreshWords, err)
		return
	}
	life := cl.Policy.AccessToken.Lifetime.D()
	var out signin.Renewed
	var by *actor
	if c.alias != c.own {
		life, by = actFor, &actor{c.own}
		out, err = a.SignIn.Act(r.Context(), signin.ActIn{
			ClientID: s.Client, Alias: c.alias, Actor: c.user, Session: c.session, Ruling: roleAdmin, Limit: renewLimit(), Visitor: visitor(r),
		})
	} else {
		out, err = a.SignIn.Renew(r.Context(), signin.RenewIn{
			ClientID: s.Client, Alias: c.alias, Session: c.session, Since: c.since, For: life, Within: s.RenewWithin, Limit: renewLimit(), Visitor: visitor(r),
		})
	}
	if err != nil {
		a.fail(w, r, refreshWords, err)
		return
	}
	a.token(w, r, cl, noNewJWT, claims{
		Act: by, ID: out.Known.Alias, Email: out.Known.Email, EmailVerified: out.Known.Profile.EmailVerified, Roles: out.Roles,
		Session: out.SessionID, Expires: a.Now().Add(life).Unix(),
	})
}

// token signs the claims and answers with the token.
func (a *API) token(w http.ResponseWriter, r *http.Request, cl client.Client, failure refusal, c claims) {
	raw, err := a.sign(cl, base(r), c)
	if err != nil {
		a.report(r, err)
		refuse(w, failure)
		return
	}
	answer(w, http.StatusOK, tokenResponse{raw})
}
