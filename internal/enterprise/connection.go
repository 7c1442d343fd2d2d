package enterprise

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/db"
	"sallyport/internal/eviction"
	"sallyport/internal/fault"
	"sallyport/internal/limit"
	"sallyport/internal/mail"
	"sallyport/internal/org"
	"sallyport/internal/saml"
	"sallyport/internal/secret"
	"sallyport/internal/sso"
)

// ConnectionIn says what an organization's provider is to be. What is nil, and a
// Secret that is empty, stays, or has its default in a new one: enabled, taking new
// people in. Of SAML either MetadataURL or Metadata is given, or by hand Issuer,
// SignOnURL and Certificates in PEM; with none of them what there is stays. Confirm
// agrees that the people who are linked by the provider so far are not any more.
type ConnectionIn struct {
	Kind     sso.Kind
	Provider string
	Enabled  *bool
	JIT      *bool
	TrustMFA *bool

	Issuer   string
	ClientID string
	Secret   secret.Value
	Scopes   []string

	MetadataURL   string
	Metadata      []byte
	SignOnURL     string
	LogoutURL     string
	Certificates  []byte
	IdPInitiated  *bool
	SignRequests  *bool
	WantEncrypted *bool
	NameIDFormat  *string

	Attributes *sso.Attributes
	Roles      *[]sso.RoleRule
	Confirm    bool
}

// SetConnection sets an organization's provider up, or changes it. What the provider
// publishes is read first: nothing is stored that could not sign anybody in.
func (c *Core) SetConnection(ctx context.Context, who Actor, id org.ID, in ConnectionIn) (View, error) {
	var seen *sso.Connection
	var place org.Org
	err := c.read(ctx, who, id, set, func(ctx context.Context, tx *db.Tx, s standing) (err error) {
		place = s.org
		seen, err = c.connection(ctx, tx, s.org.ID)
		return err
	})
	if err != nil {
		return View{}, err
	}
	if err := c.take(ctx, limit.Rule{Name: "enterprise.connect", Key: string(place.ID), N: 30, Per: 10 * time.Minute}); err != nil {
		return View{}, err
	}
	next, err := c.next(ctx, who, place, seen, in)
	if err != nil {
		return View{}, err
	}
	var v View
	err = c.write(ctx, who, place.ID, set, func(ctx context.Context, tx *db.Tx, s standing) error {
		if err := c.store(ctx, tx, &s, seen, next, in.Confirm); err != nil {
			return err
		}
		v, err = c.view(ctx, tx, s)
		return err
	})
	return v, err
}

// next is the connection as it is to be. It asks the provider, so no transaction is
// open.
func (c *Core) next(ctx context.Context, who Actor, place org.Org, was *sso.Connection, in ConnectionIn) (sso.Connection, error) {
	n := sso.Connection{OrgID: place.ID, Kind: in.Kind, Enabled: true, JIT: true}
	if was != nil && was.Kind == in.Kind {
		n = *was
	}
	n.Provider = in.Provider
	assign(&n.Enabled, in.Enabled)
	assign(&n.JIT, in.JIT)
	assign(&n.TrustMFA, in.TrustMFA)
	if err := extras(&n, who, was, in); err != nil {
		return n, err
	}
	switch in.Kind {
	case sso.OIDC:
		return n, c.nextOIDC(ctx, &n, in)
	case sso.SAML:
		return n, c.nextSAML(ctx, &n, in)
	}
	return n, invalid("kind")
}

func assign[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// Bounds of what is written about a provider.
const (
	maxClientID = 512
	maxSecret   = 4096
	maxScopes   = 20
	maxWord     = 200
	maxRules    = 100
)

// extras takes over the names of claims and the rules about them.
func extras(n *sso.Connection, who Actor, was *sso.Connection, in ConnectionIn) error {
	if a := in.Attributes; a != nil {
		for field, name := range map[string]string{"email": a.Email, "given_name": a.GivenName, "family_name": a.FamilyName, "name": a.Name, "groups": a.Groups} {
			if !word(name, 0) {
				return invalid("attributes." + field)
			}
		}
		n.Attributes = *a
	}
	if in.Roles == nil {
		return nil
	}
	rules, err := rulesOf(*in.Roles, who, was)
	n.Roles = rules
	return err
}

// rulesOf are the rules that a caller wants. What a client's roles allow is the
// operator's affair: rules that give any are the operator's, others neither write nor
// remove them.
func rulesOf(want []sso.RoleRule, who Actor, was *sso.Connection) ([]sso.RoleRule, error) {
	if len(want) > maxRules {
		return nil, invalid("roles")
	}
	var kept []sso.RoleRule
	if was != nil && who.Operator == "" {
		kept = slices.DeleteFunc(slices.Clone(was.Roles), func(r sso.RoleRule) bool { return r.ClientRole == "" })
	}
	all := slices.Clone(kept)
	for _, r := range want {
		byOperator := r.Client != "" || r.ClientRole != ""
		switch {
		case slices.Contains(kept, r):
			continue
		case byOperator && who.Operator == "":
			return nil, fault.New(fault.Forbidden)
		case !word(r.Claim, 1), !word(r.Value, 1), r.Role == "" && r.ClientRole == "", (r.Client == "") != (r.ClientRole == ""), !word(r.ClientRole, 0):
			return nil, invalid("roles")
		case r.Role != "" && (!r.Role.Valid() || r.Role == org.Owner):
			return nil, fault.New(fault.RoleInvalid, string(r.Role))
		}
		all = append(all, r)
	}
	return all, nil
}

// word reports whether s is a text of a line, of at least so many bytes.
func word(s string, least int) bool {
	return len(s) >= least && len(s) <= maxWord && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd })
}

// store puts a connection in place of the one that was seen.
func (c *Core) store(ctx context.Context, tx *db.Tx, s *standing, seen *sso.Connection, next sso.Connection, confirm bool) error {
	if err := org.Lock(ctx, tx, s.org.ID); err != nil {
		return err
	}
	was, err := c.connection(ctx, tx, s.org.ID)
	if err != nil {
		return err
	}
	if (was == nil) != (seen == nil) || was != nil && !was.UpdatedAt.Equal(seen.UpdatedAt) {
		return fault.New(fault.ConnectionChanged) // what was read of the provider may not be about this one
	}
	o, err := org.ByID(ctx, tx, s.org.ID)
	if err != nil {
		return err
	}
	if o.SignIn == org.SignInSSO && !next.Enabled {
		return fault.New(fault.ConnectionUnready, LacksPolicy)
	}
	if was != nil && moved(*was, next) {
		if err := c.cut(ctx, tx, s.org.ID, confirm); err != nil {
			return err
		}
	}
	if s.org, err = withSlug(ctx, tx, o, c.Now()); err != nil {
		return err
	}
	stored, err := sso.Set(ctx, tx, c.Key, next, c.Now())
	if err != nil {
		return err
	}
	detail := map[string]any{"kind": stored.Kind, "provider": stored.Provider, "issuer": stored.Issuer, "enabled": stored.Enabled, "revision": stored.Revision}
	if was != nil {
		detail["previous_issuer"] = was.Issuer
	}
	if err := c.record(ctx, tx, *s, audit.ConnectionSet, detail); err != nil {
		return err
	}
	if was != nil && same(*was, stored) {
		return nil
	}
	return c.tell(ctx, tx, s.org, mail.ConnectionChanged, mail.Data{Upstream: sso.Title(stored.Provider), Inviter: s.by()})
}

// by is who asks, in a mail to the owners: "" for who has a set-up link.
func (s standing) by() string {
	switch {
	case s.user.ID != "":
		return s.user.Email
	case s.who.Operator != "":
		return "whoever runs this service"
	}
	return ""
}

// moved reports whether a connection is to another provider than it was, so that an
// account there is not who it was here. A SAML provider says itself what it is called:
// one that shows none of the keys that it had is another, unless we read that at the
// address where we read the ones before.
func moved(was, next sso.Connection) bool {
	if was.Kind != next.Kind || was.Issuer != next.Issuer {
		return true
	}
	if next.Kind != sso.SAML || next.MetadataURL != "" && next.MetadataURL == was.MetadataURL {
		return false
	}
	return !slices.ContainsFunc(next.Certificates, func(cert []byte) bool {
		return slices.ContainsFunc(was.Certificates, func(old []byte) bool { return bytes.Equal(cert, old) })
	})
}

// same reports whether nothing is new that an owner would want to know: who comes in,
// by whose word, and what they may do then.
func same(was, now sso.Connection) bool {
	return !now.Changed(was) && now.Enabled == was.Enabled && now.JIT == was.JIT && now.TrustMFA == was.TrustMFA && now.Secret == was.Secret &&
		now.MetadataURL == was.MetadataURL && now.IdPInitiated == was.IdPInitiated && slices.Equal(now.Roles, was.Roles)
}

// cut drops the links of a connection and ends what was signed in by it.
func (c *Core) cut(ctx context.Context, tx *db.Tx, id org.ID, confirm bool) error {
	n, err := linked(ctx, tx, sso.Key(id))
	if err != nil {
		return err
	}
	if n > 0 && !confirm {
		return &fault.Error{Code: fault.OrgHolds, Field: "issuer", Params: []string{strconv.Itoa(n)}}
	}
	if _, err := unlinkAll(ctx, tx, sso.Key(id)); err != nil { // before the sessions: one that begins now holds its link
		return err
	}
	_, err = eviction.Upstream(ctx, tx, sso.Key(id), c.Now())
	return err
}

// withSlug gives an organization a name for the address of its sign-in, if it has none.
func withSlug(ctx context.Context, tx *db.Tx, o org.Org, now time.Time) (org.Org, error) {
	if o.Slug != "" {
		return o, nil
	}
	o.Slug = "org-" + secret.Hex(5)
	return o, org.Update(ctx, tx, o, now)
}

// Enable switches a connection on or off. While it is off nobody is sent to it, and
// nobody comes in by it.
func (c *Core) Enable(ctx context.Context, who Actor, id org.ID, on bool) (View, error) {
	var v View
	err := c.write(ctx, who, id, set, func(ctx context.Context, tx *db.Tx, s standing) error {
		if err := org.Lock(ctx, tx, s.org.ID); err != nil {
			return err
		}
		was, err := c.connection(ctx, tx, s.org.ID)
		if err != nil {
			return err
		}
		if was == nil {
			return fault.New(fault.ConnectionUnready, LacksConnection)
		}
		if was.Enabled != on {
			next := *was
			next.Enabled = on
			if err := c.store(ctx, tx, &s, was, next, false); err != nil {
				return err
			}
		}
		v, err = c.view(ctx, tx, s)
		return err
	})
	return v, err
}

// RemoveConnection ends an organization's provider: the links to it are dropped, and
// who was signed in by it is signed out.
func (c *Core) RemoveConnection(ctx context.Context, who Actor, id org.ID) error {
	return c.write(ctx, who, id, set, func(ctx context.Context, tx *db.Tx, s standing) error {
		if err := org.Lock(ctx, tx, s.org.ID); err != nil {
			return err
		}
		was, err := c.connection(ctx, tx, s.org.ID)
		if err != nil || was == nil {
			return err
		}
		o, err := org.ByID(ctx, tx, s.org.ID)
		if err != nil {
			return err
		}
		if o.SignIn == org.SignInSSO {
			return fault.New(fault.ConnectionUnready, LacksPolicy)
		}
		if err := c.cut(ctx, tx, s.org.ID, true); err != nil {
			return err
		}
		if err := sso.Remove(ctx, tx, s.org.ID); err != nil {
			return err
		}
		if err := c.record(ctx, tx, s, audit.ConnectionRemoved, map[string]any{"provider": was.Provider, "issuer": was.Issuer}); err != nil {
			return err
		}
		return c.tell(ctx, tx, s.org, mail.ConnectionChanged, mail.Data{Inviter: s.by()})
	})
}

// pemEnd ends a certificate in a text that holds several.
const pemEnd = "-----END CERTIFICATE-----"

// certificatesOf reads what an administrator pasted.
func certificatesOf(pasted []byte) ([][]byte, error) {
	var all [][]byte
	for one := range strings.SplitSeq(string(pasted), pemEnd) {
		if strings.TrimSpace(one) == "" {
			continue
		}
		der, err := saml.ParseCertificate(one)
		if err != nil {
			return nil, refusedSAML("certificate", err)
		}
		all = append(all, der)
	}
	if len(all) > maxCertificates {
		return nil, invalid("certificate")
	}
	return all, nil
}

// maxCertificates is how many a provider may have at once, while they change.
const maxCertificates = 10
