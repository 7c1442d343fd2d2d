package accountmaker

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/jwks"
	"sallyport/internal/org"
	"sallyport/internal/self"
	"sallyport/internal/wire"
)

// manageRoutes are the management of accounts, their clients and the keys of these
// (contract §8), for members of the account.
func (a *API) manageRoutes() []wire.Route {
	return []wire.Route{
		{Method: "GET", Pattern: "/api/accounts/{account_id}/accounts", Handler: a.asUser(a.listAccounts)},
		{Method: "POST", Pattern: "/api/accounts/{account_id}/accounts", Handler: a.asUser(a.createAccount)},
		{Method: "GET", Pattern: "/api/accounts/{account_id}", Handler: a.asUser(a.getAccount)},
		{Method: "PATCH", Pattern: "/api/accounts/{account_id}", Handler: a.asUser(a.updateAccount)},
		{Method: "DELETE", Pattern: "/api/accounts/{account_id}", Handler: a.asUser(a.deleteAccount)},
		{Method: "GET", Pattern: "/api/accounts/{account_id}/clients", Handler: a.asUser(a.listClients)},
		{Method: "POST", Pattern: "/api/accounts/{account_id}/clients", Handler: a.asUser(a.createClient)},
		{Method: "GET", Pattern: "/api/clients/{client_id}", Handler: a.asUser(a.getClient)},
		{Method: "PATCH", Pattern: "/api/clients/{client_id}", Handler: a.asUser(a.updateClient)},
		{Method: "DELETE", Pattern: "/api/clients/{client_id}", Handler: a.asUser(a.deleteClient)},
		{Method: "GET", Pattern: "/api/clients/{client_id}/keys", Handler: a.asUser(a.listKeys)},
		{Method: "POST", Pattern: "/api/clients/{client_id}/keys", Handler: a.asUser(a.createKey)},
		{Method: "POST", Pattern: "/api/clients/{client_id}/jwks/rotate", Handler: a.asUser(a.rotateKeys)},
		{Method: "DELETE", Pattern: "/api/client-keys/{client_key_id}", Handler: a.asUser(a.deleteKey)},
	}
}

// items is a list on this wire.
type items[T any] struct {
	Items []T `json:"items"`
}

func listOf[T, V any](all []T, view func(T) V) items[V] {
	out := items[V]{[]V{}}
	for _, one := range all {
		out.Items = append(out.Items, view(one))
	}
	return out
}

// accountIn is the account of the path, "" for what is the id of none, which no
// operation finds.
func accountIn(r *http.Request) org.ID {
	id, _ := identity.FromKSUID("acc", r.PathValue("account_id"))
	return org.ID(id)
}

func clientIn(r *http.Request) client.ID {
	id, _ := clientIDOf(r.PathValue("client_id"))
	return id
}

// read reads a field into v, a pointer to a pointer, which stays nil without one.
func (f *form) read(name, kind string, v any) {
	if raw := f.raw(name); raw != nil && json.Unmarshal(raw, v) != nil {
		f.fault(name, kind, kind, false)
	}
}

// answer writes what an operation came to, or why it came to nothing.
func (a *API) answer(w http.ResponseWriter, r *http.Request, v any, err error) {
	switch {
	case err != nil:
		a.fail(w, r, err)
	case v == nil:
		noContent(w)
	default:
		wire.WriteJSON(w, http.StatusOK, v)
	}
}

// mostAccounts is how many accounts one answer lists.
const mostAccounts = 1000

func (a *API) listAccounts(w http.ResponseWriter, r *http.Request, c *call) {
	all, _, err := a.Self.AccountsBelow(r.Context(), c.person(r), accountIn(r), self.Page{Number: 1, Size: mostAccounts})
	a.answer(w, r, listOf(all, accountOf), err)
}

func (c *call) accountChange() (ch self.AccountChange, err error) {
	c.read("name", "string", &ch.Name)
	c.read("avatar_url", "string", &ch.Picture)
	return ch, c.err()
}

func (a *API) createAccount(w http.ResponseWriter, r *http.Request, c *call) {
	ch, err := c.accountChange()
	var made org.Seat
	if err == nil {
		made, err = a.Self.CreateAccount(r.Context(), c.person(r), accountIn(r), ch)
	}
	a.answer(w, r, accountOf(made.Org), err)
}

func (a *API) getAccount(w http.ResponseWriter, r *http.Request, c *call) {
	s, err := a.Self.AccountByID(r.Context(), c.person(r), accountIn(r))
	a.answer(w, r, accountOf(s.Org), err)
}

func (a *API) updateAccount(w http.ResponseWriter, r *http.Request, c *call) {
	ch, err := c.accountChange()
	var o org.Org
	if err == nil {
		o, err = a.Self.UpdateAccount(r.Context(), c.person(r), accountIn(r), ch)
	}
	a.answer(w, r, accountOf(o), err)
}

func (a *API) deleteAccount(w http.ResponseWriter, r *http.Request, c *call) {
	a.answer(w, r, nil, a.Self.DeleteAccount(r.Context(), c.person(r), accountIn(r)))
}

type tokenConfig struct {
	ExpiresIn int64 `json:"expires_in"`
}

// clientView is contract §8. What is null here is nothing that a client of ours has.
type clientView struct {
	ID       string       `json:"id"`
	Resource string       `json:"resource_id"`
	Name     string       `json:"name"`
	Issuer   string       `json:"issuer"`
	Audience *string      `json:"audience"`
	Origins  []string     `json:"allowed_origins"`
	URIs     []string     `json:"redirect_uris"`
	Allowed  *string      `json:"allowed_scope"`
	Default  *string      `json:"default_scope"`
	Access   *tokenConfig `json:"access_token_config"`
	Refresh  *tokenConfig `json:"refresh_token_config"`
	IDToken  *tokenConfig `json:"id_token_config"`
}

func clientOf(r *http.Request, cl client.Client, id org.ID) clientView {
	p := cl.Policy
	return clientView{
		ID: identity.KSUID("cid", string(cl.ID)), Resource: accountID(id), Name: cl.Name, Issuer: issuerOf(r.Context(), p), Audience: orNull(p.Audience),
		Origins: append([]string{}, p.AllowedOrigins...), URIs: append([]string{}, p.RedirectURIs...),
		Access:  &tokenConfig{int64(p.AccessToken.Lifetime.D() / time.Second)},
		Refresh: &tokenConfig{int64(p.RefreshToken.Lifetime.D() / time.Second)},
	}
}

func (c *call) clientChange() (ch self.AccountClientChange, err error) {
	c.read("name", "string", &ch.Name)
	c.read("audience", "string", &ch.Audience)
	c.read("allowed_origins", "list of strings", &ch.AllowedOrigins)
	c.read("redirect_uris", "list of strings", &ch.RedirectURIs)
	for name, into := range map[string]**time.Duration{"access_token_config": &ch.AccessLifetime, "refresh_token_config": &ch.RefreshLifetime} {
		var t *tokenConfig
		if c.read(name, "token config", &t); t != nil {
			*into = new(time.Duration(t.ExpiresIn) * time.Second)
		}
	}
	return ch, c.err()
}

func (a *API) listClients(w http.ResponseWriter, r *http.Request, c *call) {
	id := accountIn(r)
	all, err := a.Self.AccountClients(r.Context(), c.person(r), id)
	a.answer(w, r, listOf(all, func(cl client.Client) clientView { return clientOf(r, cl, id) }), err)
}

func (a *API) createClient(w http.ResponseWriter, r *http.Request, c *call) {
	ch, err := c.clientChange()
	var made client.Client
	if err == nil {
		made, err = a.Self.CreateAccountClient(r.Context(), c.person(r), accountIn(r), ch)
	}
	a.answer(w, r, clientOf(r, made, accountIn(r)), err)
}

func (a *API) getClient(w http.ResponseWriter, r *http.Request, c *call) {
	cl, id, err := a.Self.AccountClient(r.Context(), c.person(r), clientIn(r))
	a.answer(w, r, clientOf(r, cl, id), err)
}

func (a *API) updateClient(w http.ResponseWriter, r *http.Request, c *call) {
	ch, err := c.clientChange()
	if err == nil {
		_, err = a.Self.UpdateAccountClient(r.Context(), c.person(r), clientIn(r), ch)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.getClient(w, r, c)
}

func (a *API) deleteClient(w http.ResponseWriter, r *http.Request, c *call) {
	a.answer(w, r, nil, a.Self.DeleteAccountClient(r.Context(), c.person(r), clientIn(r)))
}

type keyView struct {
	ID     string          `json:"kid"`
	Client string          `json:"credential_id"`
	JWK    json.RawMessage `json:"jwk"`
	PEM    string          `json:"public_key"`
}

func keyOf(k jwks.Key) keyView {
	v := keyView{ID: k.ID, Client: identity.KSUID("cid", string(k.ClientID)), JWK: k.JWK()}
	if der, err := x509.MarshalPKIXPublicKey(k.Public()); err == nil {
		v.PEM = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	return v
}

func (a *API) listKeys(w http.ResponseWriter, r *http.Request, c *call) {
	all, err := a.Self.ClientKeys(r.Context(), c.person(r), clientIn(r))
	a.answer(w, r, listOf(all, keyOf), err)
}

func (a *API) createKey(w http.ResponseWriter, r *http.Request, c *call) {
	k, err := a.Self.CreateClientKey(r.Context(), c.person(r), clientIn(r))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	wire.WriteJSON(w, http.StatusOK, keyOf(k))
}

// rotateKeys is POST /api/clients/{client_id}/jwks/rotate: the oldest key that has
// been published for long enough signs from now on. One that has not is 429 with
// the time that is left, because relying parties may not know it yet.
func (a *API) rotateKeys(w http.ResponseWriter, r *http.Request, c *call) {
	if err := a.Self.RotateClientKeys(r.Context(), c.person(r), clientIn(r)); err != nil {
		a.fail(w, r, err)
		return
	}
	a.listKeys(w, r, c)
}

func (a *API) deleteKey(w http.ResponseWriter, r *http.Request, c *call) {
	if _, ok := identity.FromKSUID("key", r.PathValue("client_key_id")); !ok {
		a.fail(w, r, fault.New(fault.OrgUnknown))
		return
	}
	a.answer(w, r, nil, a.Self.DeleteClientKey(r.Context(), c.person(r), r.PathValue("client_key_id")))
}
