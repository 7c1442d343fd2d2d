package self

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/jwks"
	"sallyport/internal/limit"
	"sallyport/internal/org"
)

// AccountClientChange says what an account's client is to be; what is nil stays.
type AccountClientChange struct {
	Name            *string
	Audience        *string
	AllowedOrigins  *[]string
	RedirectURIs    *[]string
	AccessLifetime  *time.Duration
	RefreshLifetime *time.Duration
}

// Bounds of what an account's admins may say of a client.
const (
	maxClientURIs     = 50
	maxClientText     = 200
	leastAccess       = 5 * time.Minute
	maxAccessLifetime = 24 * time.Hour
	maxRefresh        = 365 * 24 * time.Hour
)

// maxAccountClients is how many clients an account makes.
const maxAccountClients = 100

func (ch AccountClientChange) apply(cl *client.Client) error {
	p := &cl.Policy
	for field, s := range map[string]*string{"name": ch.Name, "audience": ch.Audience} {
		if s != nil && (utf8.RuneCountInString(*s) > maxClientText || strings.ContainsFunc(*s, func(r rune) bool { return r < ' ' })) {
			return &fault.Error{Code: fault.FieldInvalid, Field: field}
		}
	}
	set(ch.Name, &cl.Name)
	set(ch.Audience, &p.Audience)
	if strings.TrimSpace(cl.Name) == "" {
		return &fault.Error{Code: fault.FieldInvalid, Field: "name"}
	}
	if ch.RedirectURIs != nil {
		if len(*ch.RedirectURIs) > maxClientURIs || slices.ContainsFunc(*ch.RedirectURIs, func(u string) bool { return client.CheckRedirectURI(u) != nil }) {
			return &fault.Error{Code: fault.FieldInvalid, Field: "redirect_uris"}
		}
		p.RedirectURIs = *ch.RedirectURIs
	}
	if ch.AllowedOrigins != nil {
		if len(*ch.AllowedOrigins) > maxClientURIs || slices.ContainsFunc(*ch.AllowedOrigins, func(o string) bool { return client.Origin(o) != o }) {
			return &fault.Error{Code: fault.FieldInvalid, Field: "allowed_origins"}
		}
		p.AllowedOrigins = *ch.AllowedOrigins
	}
	if d := ch.AccessLifetime; d != nil {
		if *d < leastAccess || *d > maxAccessLifetime {
			return &fault.Error{Code: fault.FieldInvalid, Field: "access_token_config.expires_in"}
		}
		p.AccessToken.Lifetime = client.Duration(*d)
	}
	if d := ch.RefreshLifetime; d != nil {
		if *d < leastAccess || *d > maxRefresh {
			return &fault.Error{Code: fault.FieldInvalid, Field: "refresh_token_config.expires_in"}
		}
		p.RefreshToken.Lifetime = client.Duration(*d)
	}
	return nil
}

func set(from, to *string) {
	if from != nil {
		*to = *from
	}
}

// CreateAccountClient makes a client that belongs to an account, as its admins may.
// Whoever signs up has an account, so such a client is a stranger's: like one that
// registered itself it gets nothing without the person's consent, and signs nobody
// in by our own APIs. The operator gives an account one of their own by the
// resource file.
func (c *Core) CreateAccountClient(ctx context.Context, who Caller, id org.ID, ch AccountClientChange) (client.Client, error) {
	var made client.Client
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		now := c.Now()
		_, s, err := seatAs(ctx, tx, who, id, org.Admin)
		if err != nil {
			return err
		}
		if err := takeAll(ctx, tx, now, []limit.Rule{{Name: "self.client", Key: string(id), N: 30, Per: time.Hour}}); err != nil {
			return err
		}
		held, err := org.Clients(ctx, tx, id)
		if err != nil {
			return err
		}
		if len(held) >= maxAccountClients {
			return fault.New(fault.Forbidden)
		}
		made = client.Client{
			ID: client.NewID(), Tenant: client.Tenant{ID: s.Org.Tenant}, Active: true, Source: client.Dynamic, CreatedAt: now, UpdatedAt: now,
			Policy: client.Policy{
				Registration: client.Open, Methods: []string{client.MethodPassword, client.MethodMagicLink},
				OAuth: client.OAuth{Consent: client.ConsentRequired, TokenEndpointAuth: client.AuthNone},
			}.WithDefaults(),
		}
		if err := ch.apply(&made); err != nil {
			return err
		}
		if err := ownAudience(ctx, tx, made, ""); err != nil {
			return err
		}
		if err := client.Create(ctx, tx, made); err != nil {
			return err
		}
		if err := org.HoldClient(ctx, tx, id, made.ID); err != nil {
			return err
		}
		return c.in(ctx, tx, who, audit.ClientCreated, id, made, identity.User{}, map[string]any{"client_name": made.Name})
	})
	return made, err
}

// ownAudience refuses a new audience that is another client's: tokens with it would
// be taken at that client's API.
func ownAudience(ctx context.Context, tx *db.Tx, cl client.Client, was string) error {
	aud := cl.Policy.Audience
	if aud == "" || aud == was {
		return nil
	}
	taken, err := client.AudienceTaken(ctx, tx, cl.ID, aud)
	if err == nil && taken {
		return &fault.Error{Code: fault.FieldInvalid, Field: "audience"}
	}
	return err
}

// AccountClients lists the clients of an account that the caller is a member of.
func (c *Core) AccountClients(ctx context.Context, who Caller, id org.ID) ([]client.Client, error) {
	var all []client.Client
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, _, err := seat(ctx, tx, who, id)
		if err == nil {
			all, err = org.Clients(ctx, tx, id)
		}
		return err
	})
	return all, err
}

// heldClient reads a client of an account in which the caller has at least a role.
// What belongs to no account of theirs is not known to them.
func heldClient(ctx context.Context, tx *db.Tx, who Caller, id client.ID, least org.Role) (client.Client, org.Seat, error) {
	holder, err := org.HolderOfClient(ctx, tx, id)
	if errors.Is(err, db.ErrNotFound) {
		return client.Client{}, org.Seat{}, fault.New(fault.OrgUnknown)
	} else if err != nil {
		return client.Client{}, org.Seat{}, err
	}
	_, s, err := seatAs(ctx, tx, who, holder, least)
	if err != nil {
		return client.Client{}, s, err
	}
	cl, err := client.ByID(ctx, tx, id)
	return cl, s, err
}

// AccountClient reads a client of an account that the caller is a member of.
func (c *Core) AccountClient(ctx context.Context, who Caller, id client.ID) (client.Client, org.ID, error) {
	var cl client.Client
	var s org.Seat
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		cl, s, err = heldClient(ctx, tx, who, id, org.Viewer)
		return err
	})
	return cl, s.OrgID, err
}

// UpdateAccountClient changes a client of an account, as its admins may.
func (c *Core) UpdateAccountClient(ctx context.Context, who Caller, id client.ID, ch AccountClientChange) (client.Client, error) {
	var cl client.Client
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		was, s, err := heldClient(ctx, tx, who, id, org.Admin)
		if err != nil {
			return err
		}
		cl = was
		if err := ch.apply(&cl); err != nil {
			return err
		}
		if err := ownAudience(ctx, tx, cl, was.Policy.Audience); err != nil {
			return err
		}
		if err := client.Update(ctx, tx, cl, c.Now()); err != nil {
			return err
		}
		return c.in(ctx, tx, who, audit.ClientUpdated, s.OrgID, cl, identity.User{}, map[string]any{"client_name": cl.Name})
	})
	return cl, err
}

// DeleteAccountClient ends a client that an account made, as its admins may. One
// that the operator gave it is the operator's to end.
func (c *Core) DeleteAccountClient(ctx context.Context, who Caller, id client.ID) error {
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		cl, s, err := heldClient(ctx, tx, who, id, org.Admin)
		if err != nil {
			return err
		}
		if cl.Source == client.Operator {
			return fault.New(fault.Forbidden)
		}
		if err := client.Delete(ctx, tx, id); err != nil {
			return err
		}
		return c.in(ctx, tx, who, audit.ClientDeleted, s.OrgID, client.Client{}, identity.User{}, map[string]any{"client": string(id), "client_name": cl.Name})
	})
}

// ClientKeys are the signing keys of a client of an account that the caller is a
// member of, without their private halves being any of theirs to see.
func (c *Core) ClientKeys(ctx context.Context, who Caller, id client.ID) ([]jwks.Key, error) {
	var own []jwks.Key
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		if _, _, err := heldClient(ctx, tx, who, id, org.Viewer); err != nil {
			return err
		}
		var err error
		own, err = c.keysOf(ctx, tx, id)
		return err
	})
	return own, err
}

func (c *Core) keysOf(ctx context.Context, tx *db.Tx, id client.ID) ([]jwks.Key, error) {
	all, err := jwks.Load(ctx, tx, c.Key)
	return slices.DeleteFunc(all, func(k jwks.Key) bool { return k.ClientID != id || k.Alg == "HS256" }), err
}

// CreateClientKey makes another signing key of a client, which is published now and
// signs after RotateClientKeys; the first one signs at once.
func (c *Core) CreateClientKey(ctx context.Context, who Caller, id client.ID) (jwks.Key, error) {
	fresh, err := jwks.Generate("RS256") // before the transaction: it takes a while
	if err != nil {
		return fresh, err
	}
	var made jwks.Key
	err = c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		cl, s, err := heldClient(ctx, tx, who, id, org.Admin)
		if err != nil {
			return err
		}
		if made, err = jwks.AddClientKey(ctx, tx, c.Key, id, fresh, c.Now()); errors.Is(err, jwks.ErrTooManyKeys) {
			return fault.New(fault.OrgHolds)
		} else if err != nil {
			return err
		}
		return c.in(ctx, tx, who, audit.KeyCreated, s.OrgID, cl, identity.User{}, map[string]any{"kid": made.ID})
	})
	return made, err
}

// KeyPublished is how long a client's new key is published before it signs: as long
// as its document may be kept by who verifies (contract accountmaker §8).
const KeyPublished = time.Hour

// RotateClientKeys makes the oldest published key of a client the one that signs.
// The one before verifies until the last token it signed has expired.
func (c *Core) RotateClientKeys(ctx context.Context, who Caller, id client.ID) error {
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		cl, s, err := heldClient(ctx, tx, who, id, org.Admin)
		if err != nil {
			return err
		}
		err = jwks.RotateClientKey(ctx, tx, id, "RS256", KeyPublished, cl.Policy.AccessToken.Lifetime.D()+KeyPublished, c.Now())
		if soon, ok := errors.AsType[*jwks.TooSoon](err); ok {
			return fault.Later(fault.RateLimited, soon.Wait)
		} else if errors.Is(err, jwks.ErrNoNext) {
			return fault.New(fault.EnrolmentState)
		} else if err != nil {
			return err
		}
		return c.in(ctx, tx, who, audit.KeyRotated, s.OrgID, cl, identity.User{}, map[string]any{"alg": "RS256"})
	})
}

// DeleteClientKey ends a key of a client's that does not sign.
func (c *Core) DeleteClientKey(ctx context.Context, who Caller, kid string) error {
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		id, err := jwks.ClientKeyOwner(ctx, tx, kid)
		if errors.Is(err, db.ErrNotFound) {
			return fault.New(fault.OrgUnknown)
		} else if err != nil {
			return err
		}
		cl, s, err := heldClient(ctx, tx, who, id, org.Admin)
		if err != nil {
			return err
		}
		if err := jwks.DeleteClientKey(ctx, tx, kid); errors.Is(err, jwks.ErrSigns) {
			return fault.New(fault.OrgHolds)
		} else if err != nil {
			return err
		}
		return c.in(ctx, tx, who, audit.KeyRotated, s.OrgID, cl, identity.User{}, map[string]any{"kid": kid, "deleted": true})
	})
}
