package self

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sallyport/internal/apikey"
	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/limit"
	"sallyport/internal/mail"
	"sallyport/internal/org"
	"sallyport/internal/session"
)

// Bounds of an API key's own words, and of how long one may last.
const (
	MaxKeyName     = 100 // characters
	MaxKeyMetadata = 4 << 10
	MaxKeyLifetime = 10 * 365 * 24 * time.Hour
)

// KeyIn is an API key as somebody shows it in a client.
type KeyIn struct {
	ClientID  client.ID
	Text      string
	IP        string
	RequestID string
}

// ByAPIKey is the caller who shows an API key. KeyInvalid is one answer for a key
// that never was, has expired, is switched off, or is another client's; a key whose
// owner may not act is EnrolmentSuspended.
func (c *Core) ByAPIKey(ctx context.Context, in KeyIn) (Caller, error) {
	var k apikey.Key
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		k, err = apikey.ByText(ctx, tx, in.Text)
		if errors.Is(err, db.ErrNotFound) || err == nil && (!k.Good(c.Now()) || k.ClientID != in.ClientID) {
			return fault.New(fault.KeyInvalid)
		} else if err != nil {
			return err
		}
		may, err := mayAct(ctx, tx, k.UserID, k.ClientID)
		if err == nil && !may {
			err = fault.New(fault.EnrolmentSuspended)
		}
		return err
	})
	if err == nil && !k.UsedAt.Add(apikey.Touched).After(c.Now()) {
		err = c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error { return apikey.Touch(ctx, tx, k.ID, c.Now()) })
	}
	if err != nil {
		return Caller{}, err
	}
	return Caller{
		UserID: k.UserID, Key: k.ID, Org: k.OrgID, Scopes: append([]string{}, k.Scopes...),
		Session: session.Session{UserID: k.UserID, AMR: k.AMR, Upstream: k.Upstream}, IP: in.IP, RequestID: in.RequestID,
	}, nil
}

// ActsIn judges that a person may act in a client: EnrolmentSuspended if they, their
// place there or the client is not active. Who shows a token of another application is
// asked this; that it is theirs says nothing of this client.
func (c *Core) ActsIn(ctx context.Context, u identity.UserID, id client.ID) error {
	return c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		may, err := mayAct(ctx, tx, u, id)
		if err == nil && !may {
			err = fault.New(fault.EnrolmentSuspended)
		}
		return err
	})
}

// APIKeyIn makes an API key. Lifetime 0 lasts. Grantable is every scope that a key
// may have; no Scopes are those that read. Org pins the key to an organization of the
// caller's.
type APIKeyIn struct {
	ClientID  client.ID
	Prefix    string
	Name      string
	Lifetime  time.Duration
	Scopes    []string
	Grantable []string
	Metadata  json.RawMessage // a JSON object, or none
	Org       org.ID
}

// CreateAPIKey makes an API key of the caller's and returns its text, which is shown
// this once. No key makes another one: who finds one must not be able to keep what it
// opens when it is deleted. Nor does a key get a scope that the caller's own credential
// has not.
func (c *Core) CreateAPIKey(ctx context.Context, who Caller, in APIKeyIn) (apikey.Key, string, error) {
	if who.Key != "" {
		return apikey.Key{}, "", fault.New(fault.Forbidden)
	}
	k, err := in.key(c.Now())
	if err == nil {
		k.Scopes, err = in.scopes(who)
	}
	if err != nil {
		return apikey.Key{}, "", err
	}
	var made apikey.Key
	var raw string
	err = c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		u, err := active(ctx, tx, who)
		if err != nil {
			return err
		}
		if in.Org != "" {
			if _, _, err := seat(ctx, tx, who, in.Org); err != nil {
				return err
			}
		}
		if err := takeAll(ctx, tx, c.Now(), []limit.Rule{{Name: "self.apikey", Key: string(u.ID), N: 30, Per: time.Hour}}); err != nil {
			return err
		}
		k := k
		k.UserID, k.AMR, k.Upstream = u.ID, append([]string{}, who.Session.AMR...), who.Session.Upstream
		if k, raw, err = apikey.Create(ctx, tx, in.Prefix, k, c.Now()); errors.Is(err, apikey.ErrMany) {
			return &fault.Error{Code: fault.FieldInvalid, Field: "name", Params: []string{"many"}, Err: err}
		} else if err != nil {
			return err
		}
		made = k
		if err := c.keyed(ctx, tx, who, u, audit.APIKeyCreated, k, map[string]any{"scopes": k.Scopes, "expires_at": k.ExpiresAt}); err != nil {
			return err
		}
		return c.notify(ctx, tx, u, mail.APIKeyMade)
	})
	return made, raw, err
}

// key is what is asked for, without scopes and owner.
func (in APIKeyIn) key(now time.Time) (apikey.Key, error) {
	k := apikey.Key{ClientID: in.ClientID, OrgID: in.Org}
	if in.Lifetime < 0 || in.Lifetime > MaxKeyLifetime {
		return k, &fault.Error{Code: fault.FieldInvalid, Field: "expiresIn"}
	}
	if in.Lifetime > 0 {
		k.ExpiresAt = time.UnixMicro(db.At(now.Add(in.Lifetime))).UTC()
	}
	return k, APIKeyChange{Name: &in.Name, Metadata: &in.Metadata}.apply(&k)
}

// scopes are those that the new key gets.
func (in APIKeyIn) scopes(who Caller) ([]string, error) {
	all := []string{}
	if len(in.Scopes) == 0 {
		for _, s := range in.Grantable {
			if strings.HasSuffix(s, ":read") && who.Covers(s) {
				all = append(all, s)
			}
		}
		return all, nil
	}
	for _, s := range in.Scopes {
		if !slices.Contains(in.Grantable, s) || !who.Covers(s) {
			return nil, &fault.Error{Code: fault.ScopeInvalid, Field: "scopes", Params: []string{s}}
		}
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all, nil
}

// APIKeys returns one page of the caller's API keys, newest first, and how many there
// are. Who shows a pinned one sees those that are pinned to the same organization.
func (c *Core) APIKeys(ctx context.Context, who Caller, p Page) ([]apikey.Key, int, error) {
	var all []apikey.Key
	var total int
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		u, err := active(ctx, tx, who)
		if err == nil {
			all, total, err = apikey.List(ctx, tx, u.ID, who.Org, p.Size, p.offset())
		}
		return err
	})
	return all, total, err
}

// APIKey returns one of the caller's API keys.
func (c *Core) APIKey(ctx context.Context, who Caller, id apikey.ID) (apikey.Key, error) {
	var k apikey.Key
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		_, k, err = c.keyOf(ctx, tx, who, id)
		return err
	})
	return k, err
}

// keyOf reads one of the caller's keys. To who shows a pinned one there are no others.
func (c *Core) keyOf(ctx context.Context, tx *db.Tx, who Caller, id apikey.ID) (identity.User, apikey.Key, error) {
	u, err := active(ctx, tx, who)
	if err != nil {
		return u, apikey.Key{}, err
	}
	k, err := apikey.ByID(ctx, tx, u.ID, id)
	if errors.Is(err, db.ErrNotFound) || err == nil && who.Org != "" && k.OrgID != who.Org {
		return u, apikey.Key{}, fault.New(fault.APIKeyUnknown)
	}
	return u, k, err
}

// APIKeyChange says what a key is to be; what is nil stays.
type APIKeyChange struct {
	Name     *string
	Enabled  *bool
	Metadata *json.RawMessage
}

func (ch APIKeyChange) apply(k *apikey.Key) error {
	if ch.Name != nil {
		k.Name = strings.TrimSpace(*ch.Name)
		if n := utf8.RuneCountInString(k.Name); n < 1 || n > MaxKeyName || !utf8.ValidString(k.Name) || strings.ContainsFunc(k.Name, unicode.IsControl) {
			return &fault.Error{Code: fault.FieldInvalid, Field: "name"}
		}
	}
	if ch.Enabled != nil {
		k.Enabled = *ch.Enabled
	}
	if ch.Metadata != nil {
		k.Metadata = *ch.Metadata
		if len(k.Metadata) == 0 {
			k.Metadata = json.RawMessage(`{}`)
		}
		var object map[string]json.RawMessage
		if len(k.Metadata) > MaxKeyMetadata || !utf8.Valid(k.Metadata) || json.Unmarshal(k.Metadata, &object) != nil || object == nil {
			return &fault.Error{Code: fault.FieldInvalid, Field: "metadata"}
		}
	}
	return nil
}

// UpdateAPIKey changes one of the caller's API keys: never what it may do, nor where.
// A credential that may less than the key does not switch it on again.
func (c *Core) UpdateAPIKey(ctx context.Context, who Caller, id apikey.ID, ch APIKeyChange) (apikey.Key, error) {
	var k apikey.Key
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		u, was, err := c.keyOf(ctx, tx, who, id)
		if err != nil {
			return err
		}
		k = was
		if err := ch.apply(&k); err != nil {
			return err
		}
		if k.Enabled && !was.Enabled && !who.Covers(k.Scopes...) {
			return fault.New(fault.Forbidden)
		}
		var fields []string
		for name, changed := range map[string]bool{"name": k.Name != was.Name, "enabled": k.Enabled != was.Enabled, "metadata": string(k.Metadata) != string(was.Metadata)} {
			if changed {
				fields = append(fields, name)
			}
		}
		if fields == nil {
			return nil
		}
		slices.Sort(fields)
		if err := apikey.Update(ctx, tx, k, c.Now()); err != nil {
			return gone(err)
		}
		k.UpdatedAt = time.UnixMicro(db.At(c.Now())).UTC()
		return c.keyed(ctx, tx, who, u, audit.APIKeyUpdated, k, map[string]any{"fields": fields})
	})
	return k, err
}

// DeleteAPIKey ends one of the caller's API keys.
func (c *Core) DeleteAPIKey(ctx context.Context, who Caller, id apikey.ID) error {
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		u, k, err := c.keyOf(ctx, tx, who, id)
		if err != nil {
			return err
		}
		if err := apikey.Delete(ctx, tx, u.ID, k.ID); err != nil {
			return gone(err)
		}
		return c.keyed(ctx, tx, who, u, audit.APIKeyDeleted, k, nil)
	})
}

// gone is the fault of a key that was deleted meanwhile.
func gone(err error) error {
	if errors.Is(err, db.ErrNotFound) {
		return fault.New(fault.APIKeyUnknown)
	}
	return err
}

// keyed writes an audit entry of what the caller did with a key of theirs.
func (c *Core) keyed(ctx context.Context, tx *db.Tx, who Caller, u identity.User, a audit.Action, k apikey.Key, detail map[string]any) error {
	if detail == nil {
		detail = map[string]any{}
	}
	detail["key"], detail["key_name"] = string(k.ID), k.Name
	if k.OrgID != "" {
		return c.in(ctx, tx, who, a, k.OrgID, client.Client{ID: k.ClientID}, u, detail)
	}
	return c.record(ctx, tx, who, u, a, detail)
}
