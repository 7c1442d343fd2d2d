package oidc

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"sallyport/internal/oauth"
	"sallyport/internal/wire"
)

func (a *API) registerRoutes() []wire.Route {
	at := a.Prefix + "/oauth2/register"
	return a.openToAll().Routes([]wire.Route{
		{Method: http.MethodPost, Pattern: at, Handler: a.register},
		{Method: http.MethodGet, Pattern: at + "/{client_id}", Handler: a.registration},
		{Method: http.MethodPut, Pattern: at + "/{client_id}", Handler: a.updateRegistration},
		{Method: http.MethodDelete, Pattern: at + "/{client_id}", Handler: a.endRegistration},
	})
}

// openToAll lets pages of every origin call where everybody may register: an
// application in a browser has no client yet that could name its origin.
func (a *API) openToAll() wire.CORS {
	c := a.open()
	c.Allow = func(ctx context.Context, origin string) (bool, error) {
		if a.settings().Registration == oauth.RegistrationOpen {
			return true, nil
		}
		return a.OAuth.AllowsOrigin(ctx, origin)
	}
	return c
}

// registered is a client information response (RFC 7591 §3.2.1, RFC 7592 §3).
// The secret does not expire. It is told once: it is kept as a hash.
type registered struct {
	ClientID      string `json:"client_id"`
	Secret        string `json:"client_secret,omitempty"`
	IssuedAt      int64  `json:"client_id_issued_at"`
	SecretExpires *int64 `json:"client_secret_expires_at,omitempty"`
	Token         string `json:"registration_access_token"`
	URI           string `json:"registration_client_uri"`
	oauth.Metadata
}

func (a *API) answerRegistered(w http.ResponseWriter, r *http.Request, status int, c oauth.Registered) {
	answer := registered{
		ClientID: string(c.Client.ID), Secret: c.Secret, IssuedAt: c.Client.CreatedAt.Unix(), Token: c.Token,
		URI: a.issuer(r.Context()) + "/oauth2/register/" + string(c.Client.ID), Metadata: c.Metadata,
	}
	if c.Client.Confidential() {
		answer.SecretExpires = new(int64) // 0: never
	}
	w.Header().Set("Pragma", "no-cache")
	wire.WriteJSON(w, status, answer)
}

// register is POST /oauth2/register (RFC 7591 §3).
func (a *API) register(w http.ResponseWriter, r *http.Request) {
	in := oauth.RegisterIn{Visitor: a.visitor(r)}
	var err error
	if in.Metadata, err = metadataBody(w, r); err != nil {
		a.failRegistration(w, r, err)
		return
	}
	if in.Use, err = a.registrar(w, r); err != nil {
		a.failRegistration(w, r, err)
		return
	}
	c, err := a.OAuth.Register(r.Context(), in)
	if err != nil {
		a.failRegistration(w, r, err)
		return
	}
	a.answerRegistered(w, r, http.StatusCreated, c)
}

// manage is what the requests of RFC 7592 have in common.
func (a *API) manage(r *http.Request) oauth.ManageIn {
	return oauth.ManageIn{ClientID: r.PathValue("client_id"), Token: registrationToken(r), Visitor: a.visitor(r)}
}

// registration is GET /oauth2/register/{client_id} (RFC 7592 §2.1).
func (a *API) registration(w http.ResponseWriter, r *http.Request) {
	c, err := a.OAuth.Registration(r.Context(), a.manage(r))
	if err != nil {
		a.failRegistration(w, r, err)
		return
	}
	a.answerRegistered(w, r, http.StatusOK, c)
}

// updateRegistration is PUT /oauth2/register/{client_id} (RFC 7592 §2.2).
func (a *API) updateRegistration(w http.ResponseWriter, r *http.Request) {
	in := a.manage(r)
	var err error
	if in.Metadata, err = metadataBody(w, r); err != nil {
		a.failRegistration(w, r, err)
		return
	}
	c, err := a.OAuth.UpdateRegistration(r.Context(), in)
	if err != nil {
		a.failRegistration(w, r, err)
		return
	}
	a.answerRegistered(w, r, http.StatusOK, c)
}

// endRegistration is DELETE /oauth2/register/{client_id} (RFC 7592 §2.3).
func (a *API) endRegistration(w http.ResponseWriter, r *http.Request) {
	if err := a.OAuth.EndRegistration(r.Context(), a.manage(r)); err != nil {
		a.failRegistration(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

// failRegistration answers as fail does, but that access_denied is 403 (RFC 7592
// §2.1): at the token endpoint, where it is of a person, it is 400.
func (a *API) failRegistration(w http.ResponseWriter, r *http.Request, err error) {
	e, ok := errors.AsType[*oauth.Error](err)
	if !ok || e.Code != oauth.AccessDenied {
		a.fail(w, r, err)
		return
	}
	a.note(r, e, http.StatusForbidden, err)
	wire.WriteJSON(w, http.StatusForbidden, errorBody{e.Code, printable(e.Description)})
}

// metadataBody reads the JSON of client metadata, for the core to judge. The
// type keeps other sites' forms out.
func metadataBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" || len(r.Header["Content-Type"]) != 1 || r.Header.Get("Content-Encoding") != "" {
		return nil, badRequest("Content-Type is not application/json")
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, wire.MaxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, &wire.BodyError{Kind: wire.TooLarge, Err: err}
	}
	if err != nil {
		return nil, &wire.BodyError{Kind: wire.Malformed, Err: err}
	}
	return raw, nil
}

// registrar is the access token that came along to register a client, the zero
// UseIn if none did. The core says whether it is good for that.
func (a *API) registrar(w http.ResponseWriter, r *http.Request) (in oauth.UseIn, err error) {
	scheme, raw, err := a.bearer(w, r)
	if e, ok := errors.AsType[*oauth.Error](err); ok && e.Code == "" {
		return in, nil
	} else if err != nil {
		return in, err
	}
	in = oauth.UseIn{Scheme: scheme, Need: oauth.ScopeRegister}
	if in.Token, err = a.readAccess(raw); err != nil {
		return in, &oauth.Error{Code: oauth.InvalidToken, Description: "the token is malformed, expired or not ours", Err: err}
	}
	if in.Proof, err = a.proof(r); err != nil {
		return in, err
	}
	in.Proof.AccessToken = raw
	in.Certificate, err = a.certificate(r)
	return in, err
}

// registrationToken is the token in the Authorization header (RFC 7592 §2), or "".
func registrationToken(r *http.Request) string {
	scheme, raw, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || len(r.Header["Authorization"]) != 1 {
		return ""
	}
	return raw
}
