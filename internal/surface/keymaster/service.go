package keymaster

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/jwks"
	"sallyport/internal/limit"
	"sallyport/internal/oauth"
	"sallyport/internal/token"
	"sallyport/internal/wire"
)

type serviceResponse struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"`
	Scope       string `json:"scope"`
}

// oauthError is Keymaster's detail with its RFC 6749 §5.2 twin beside it
// (contract §5.4).
type oauthError struct {
	Detail      string `json:"detail"`
	Error       string `json:"error"`
	Description string `json:"error_description"`
	RetryAfter  int    `json:"retry_after,omitempty"`
}

// serviceToken is POST /auth/token: client credentials (contract §5.4).
func (a *API) serviceToken(w http.ResponseWriter, r *http.Request) {
	p, err := wire.ReadForm(w, r, wire.MaxBody)
	if bad, ok := errors.AsType[*wire.BodyError](err); ok && bad.Kind == wire.Malformed {
		// A parameter that comes twice is RFC 6749's invalid_request (§5.2).
		const e = "invalid_request"
		noStore(w)
		wire.WriteJSON(w, http.StatusBadRequest, oauthError{Detail: e, Error: e, Description: e})
		return
	} else if err != nil {
		a.fail(w, r, err)
		return
	}
	id, plain, ok := clientAuth(r, p)
	in := oauth.ClientCredentialsIn{
		Secret: plain, Scope: p.String("scope"), Known: scopes,
		IP: wire.ClientIP(r.Context()), RequestID: wire.OriginOf(r.Context()).RequestID,
	}
	grant := p.String("grant_type")
	if err := p.Err(); err != nil {
		a.fail(w, r, err)
		return
	}
	if grant != oauth.GrantClientCredentials {
		a.failOAuth(w, r, fault.New(fault.GrantUnsupported))
		return
	}
	if !ok {
		a.failOAuth(w, r, fault.New(fault.ClientAuthFailed))
		return
	}
	canonical, known := identity.ParseID(id)
	if known {
		id = canonical // one client has one limit, in whatever case its id was sent
	}
	in.ClientID = client.ID(canonical)
	in.Failures = limit.Rule{Name: "keymaster.token.client", Key: id, N: 10, Per: window}
	granted, err := a.OAuth.ClientCredentials(r.Context(), in)
	if err != nil {
		a.failOAuth(w, r, err)
		return
	}
	access, err := a.signService(r, granted)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	noStore(w)
	wire.WriteJSON(w, http.StatusOK, serviceResponse{
		AccessToken: access, TokenType: "bearer", Scope: granted.Scope,
		ExpiresIn: int(serviceLifetime.Seconds()),
	})
}

// serviceLifetime is how long a client's own token is good, whatever its users'
// tokens are (contract §1.4).
const serviceLifetime = 15 * time.Minute

// signService signs a client's own token, with RS256 for every client: it is
// for our own routes, where a key that a client shares is no way in. It has no aud, and token_type
// keeps it from passing for a user's.
func (a *API) signService(r *http.Request, g oauth.ServiceToken) (string, error) {
	key, err := a.Keys.Active(jwks.RS256, "")
	if err != nil {
		return "", err
	}
	now := a.Now().Truncate(time.Second)
	return token.Sign(key, "JWT", serviceClaims{
		Subject: g.Client.ID, Issuer: issuerOf(r.Context(), g.Client.Policy), Scope: g.Scope, TokenType: typeService,
		IssuedAt: now.Unix(), Expires: now.Add(serviceLifetime).Unix(),
	})
}

// clientAuth finds the client's credentials in the form or in the
// Authorization header, where they are form-encoded first (RFC 6749 §2.3.1);
// false if they are in neither, or in both.
func clientAuth(r *http.Request, p *wire.Params) (id, plain string, ok bool) {
	user, pass, basic := r.BasicAuth()
	if !basic {
		id, plain = p.String("client_id"), p.String("client_secret")
		return id, plain, id != "" && plain != ""
	}
	if p.Has("client_secret") {
		return "", "", false
	}
	id, errID := url.QueryUnescape(user)
	plain, errPlain := url.QueryUnescape(pass)
	if errors.Join(errID, errPlain) != nil || p.Has("client_id") && p.String("client_id") != id {
		return "", "", false
	}
	return id, plain, true
}

// failOAuth answers with Keymaster's detail and the RFC's error in one body.
func (a *API) failOAuth(w http.ResponseWriter, r *http.Request, err error) {
	f, ok := fault.From(err)
	if !ok {
		a.fail(w, r, err)
		return
	}
	e := oauthError{Detail: detail(f)}
	switch f.Code {
	case fault.RateLimited:
		e.Detail, e.Error = "too_many_requests", "too_many_requests"
		e.RetryAfter = retryAfter(w, f.RetryAfter)
	case fault.ClientAuthFailed:
		e.Error = "invalid_client"
		if r.Header.Get("Authorization") != "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="keymaster", charset="UTF-8"`)
		}
	case fault.GrantUnsupported:
		e.Error = "unsupported_grant_type"
	case fault.ScopeInvalid:
		e.Error = "invalid_scope"
	default:
		a.fail(w, r, err)
		return
	}
	e.Description = e.Detail
	noStore(w)
	wire.WriteJSON(w, status(f), e)
}
