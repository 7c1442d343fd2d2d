package snooplytics

import (
	"encoding/json"
	"net/http"
	"time"

	"sallyport/internal/apikey"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/self"
	"sallyport/internal/wire"
)

// The scopes that a person may give away (contract §15). What a role in an
// organization allows is judged at each request and is on no token.
const (
	userRead   = "user:read"
	userWrite  = "user:write"
	keysRead   = "api-keys:read"
	keysWrite  = "api-keys:write"
	keysDelete = "api-keys:delete"
)

// Scopes are all of them; those of projects and subscriptions are the application's.
var Scopes = []string{
	userRead, userWrite, "projects:read", "projects:write", "subscription:read", "subscription:write", keysRead, keysWrite, keysDelete,
}

// keyRoutes are personal access tokens (contract §12).
func (a *API) keyRoutes() []route {
	return []route{
		{method: "POST", path: "/api/auth/api-key/create", wants: byAny, scope: keysWrite, do: (*API).createKey},
		{method: "GET", path: "/api/auth/api-key/list", wants: byAny, scope: keysRead, do: (*API).listKeys},
		{method: "GET", path: "/api/auth/api-key/get", wants: byAny, scope: keysRead, do: (*API).getKey},
		{method: "POST", path: "/api/auth/api-key/update", wants: byAny, scope: keysWrite, do: (*API).updateKey},
		{method: "POST", path: "/api/auth/api-key/delete", wants: byAny, scope: keysDelete, do: (*API).deleteKey},
	}
}

// keyView is a key on the wire. Key is the key itself, which is shown once.
type keyView struct {
	Key       string          `json:"key,omitempty"`
	ID        apikey.ID       `json:"id"`
	Name      string          `json:"name"`
	Start     string          `json:"start"`
	Scopes    []string        `json:"scopes"`
	Org       *org.ID         `json:"organizationId"`
	Enabled   bool            `json:"enabled"`
	Metadata  json.RawMessage `json:"metadata"`
	ExpiresAt stamp           `json:"expiresAt"`
	CreatedAt stamp           `json:"createdAt"`
	UpdatedAt stamp           `json:"updatedAt"`
	UsedAt    stamp           `json:"lastUsedAt"`
}

func keyOf(k apikey.Key) keyView {
	v := keyView{
		ID: k.ID, Name: k.Name, Start: k.Start, Scopes: k.Scopes, Enabled: k.Enabled, Metadata: k.Metadata,
		ExpiresAt: stamp(k.ExpiresAt), CreatedAt: stamp(k.CreatedAt), UpdatedAt: stamp(k.UpdatedAt), UsedAt: stamp(k.UsedAt),
	}
	if k.OrgID != "" {
		v.Org = &k.OrgID
	}
	return v
}

// mostScopes is how many are read at most: there are fewer.
const mostScopes = 50

// createKey is POST /api/auth/api-key/create. The key is in this answer alone.
func (a *API) createKey(w http.ResponseWriter, r *http.Request, c *call) error {
	in := self.APIKeyIn{
		ClientID: c.client, Prefix: c.set.keyPrefix(), Name: c.text("name", wire.Required, wire.Max(maxName)), Grantable: Scopes,
		Scopes: c.body.Strings("scopes", wire.Max(mostScopes)), Metadata: c.object("metadata"), Org: c.orgID("organizationId"),
	}
	if n, ok := c.body.OptInt("expiresIn", wire.Min(1), wire.Max(int(self.MaxKeyLifetime/time.Second))); ok {
		in.Lifetime = time.Duration(n) * time.Second
	}
	if err := c.err(); err != nil {
		return err
	}
	k, raw, err := a.Self.CreateAPIKey(r.Context(), c.who.Caller, in)
	if f, ok := fault.From(err); ok && f.Code == fault.ScopeInvalid {
		return badField("scopes", "Invalid scope").because(err)
	} else if err != nil {
		return err
	}
	v := keyOf(k)
	v.Key = raw
	return doneAs(w, http.StatusOK, "API key created", v)
}

// object reads an object as it was sent, nil for none.
func (in *input) object(name string) json.RawMessage {
	if in.body.Object(name) == nil {
		return nil
	}
	return in.body.Raw(name)
}

// orgID reads the id of an organization; what can be none's is one that nobody has.
func (in *input) orgID(name string) org.ID {
	given, ok := in.body.OptString(name, wire.Max(maxOpaque))
	if !ok {
		return ""
	}
	if id, ok := identity.ParseID(given); ok {
		return org.ID(id)
	}
	in.wrong(name, "Invalid organization id")
	return ""
}

// page is the part of a list that was asked for, as the core has it.
func (p page) self() self.Page { return self.Page{Number: 1, Size: p.limit, Skip: p.offset} }

// viewsOf are the views of a list, never null.
func viewsOf[T, V any](all []T, view func(T) V) []V {
	out := make([]V, len(all))
	for i, one := range all {
		out[i] = view(one)
	}
	return out
}

// listKeys is GET /api/auth/api-key/list.
func (a *API) listKeys(w http.ResponseWriter, r *http.Request, c *call) error {
	p := c.page()
	if err := c.err(); err != nil {
		return err
	}
	all, total, err := a.Self.APIKeys(r.Context(), c.who.Caller, p.self())
	if err != nil {
		return err
	}
	return list(w, viewsOf(all, keyOf), total, p)
}

// keyID reads the id of a key; what can be none's is one that nobody has.
func (c *call) keyID(name string) apikey.ID {
	id, _ := identity.ParseID(c.text(name, wire.Required, wire.Max(maxOpaque)))
	return apikey.ID(id)
}

// getKey is GET /api/auth/api-key/get.
func (a *API) getKey(w http.ResponseWriter, r *http.Request, c *call) error {
	id := c.keyID("id")
	if err := c.err(); err != nil {
		return err
	}
	k, err := a.Self.APIKey(r.Context(), c.who.Caller, id)
	if err != nil {
		return err
	}
	return done(w, keyOf(k))
}

// updateKey is POST /api/auth/api-key/update.
func (a *API) updateKey(w http.ResponseWriter, r *http.Request, c *call) error {
	id := c.keyID("keyId")
	var ch self.APIKeyChange
	if name, ok := c.body.OptString("name", wire.Max(maxName)); ok {
		ch.Name = &name
	}
	if on, ok := c.body.OptBool("enabled"); ok {
		ch.Enabled = &on
	}
	if meta := c.object("metadata"); meta != nil {
		ch.Metadata = &meta
	}
	if err := c.err(); err != nil {
		return err
	}
	k, err := a.Self.UpdateAPIKey(r.Context(), c.who.Caller, id, ch)
	if err != nil {
		return err
	}
	return done(w, keyOf(k))
}

// deleteKey is POST /api/auth/api-key/delete.
func (a *API) deleteKey(w http.ResponseWriter, r *http.Request, c *call) error {
	id := c.keyID("keyId")
	if err := c.err(); err != nil {
		return err
	}
	if err := a.Self.DeleteAPIKey(r.Context(), c.who.Caller, id); err != nil {
		return err
	}
	return done(w, map[string]bool{"success": true})
}

func (s Settings) keyPrefix() string {
	if s.KeyPrefix == "" {
		return "ba_"
	}
	return s.KeyPrefix
}
