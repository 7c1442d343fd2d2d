package enterprise

import (
	"context"
	_ "embed"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/db"
	"sallyport/internal/dns"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/limit"
	"sallyport/internal/org"
)

// Where the proof of a domain is, and what it says (contract snooplytics §9.2).
const (
	recordLabel = "_sallyport-challenge."
	recordText  = "sallyport-domain-verification="
)

// DomainStatus is how far a claim came.
type DomainStatus string

// The statuses. A claim failed if its proof was looked for and not there, or did not
// come in time; it may be proved yet, or asked for anew.
const (
	DomainPending  DomainStatus = "pending"
	DomainVerified DomainStatus = "verified"
	DomainFailed   DomainStatus = "failed"
)

// Record is what the owner of a domain writes into its zone.
type Record struct{ Type, Name, Value string }

// Domain is a domain that an organization claims. Failures is how often in a row its
// proof was not there.
type Domain struct {
	Name       string
	Status     DomainStatus
	Record     Record
	VerifiedAt time.Time
	ExpiresAt  time.Time
	CheckedAt  time.Time
	Failures   int
}

func domainOf(d org.Domain, now time.Time) Domain {
	out := Domain{
		Name: d.Name, Status: DomainPending, Record: Record{Type: "TXT", Name: recordLabel + d.Name, Value: recordText + d.Token},
		VerifiedAt: d.VerifiedAt, ExpiresAt: d.ExpiresAt, CheckedAt: d.CheckedAt, Failures: d.Failures,
	}
	switch {
	case !d.VerifiedAt.IsZero():
		out.Status = DomainVerified
	case d.Failures > 0, !now.Before(d.ExpiresAt):
		out.Status = DomainFailed
	}
	return out
}

// Why a domain is not one that an organization can have, as the parameter of
// fault.DomainInvalid.
const (
	DomainShape    = "shape"
	DomainMailbox  = "mailbox"       // where anybody has an address
	DomainSuffix   = "public_suffix" // where anybody registers a name
	DomainReserved = "reserved"      // nobody can own one there
	DomainTooMany  = "too_many"
)

// Why a domain is not proved, as the first parameter of fault.DomainUnproven; what
// was found instead follows.
const (
	UnprovenNone        = "none"        // there is no such record
	UnprovenOther       = "other"       // there are records, but not this one
	UnprovenUnreachable = "unreachable" // the name servers did not answer
	UnprovenExpired     = "expired"     // the claim is too old: claim it anew
)

// maxDomains is how many an organization may claim, and maxFound how many records are
// told that are not the right one.
const (
	maxDomains = 100
	maxFound   = 5
	maxShown   = 120
)

//go:embed mailboxes.txt
var mailboxList string

// mailboxes are the domains where anybody can have an address.
var mailboxes = sync.OnceValue(func() map[string]bool {
	all := map[string]bool{}
	for line := range strings.Lines(mailboxList) {
		if name := strings.TrimSpace(line); name != "" && name[0] != '#' {
			all[name] = true
		}
	}
	return all
})

// claimable normalises a domain, or says why nobody can claim it.
func claimable(given string) (string, error) {
	name, ok := dns.Name(given)
	if again, usable := identity.NormalizeDomain(name); !ok || !usable || again != name {
		return "", fault.New(fault.DomainInvalid, DomainShape)
	}
	last := name[strings.LastIndexByte(name, '.')+1:]
	switch {
	case slices.Contains([]string{"arpa", "invalid", "local", "localhost", "onion"}, last):
		return "", fault.New(fault.DomainInvalid, DomainReserved)
	case !dns.Registrable(name):
		return "", fault.New(fault.DomainInvalid, DomainSuffix)
	case mailboxes()[name], mailboxes()[dns.Owned(name)]:
		return "", fault.New(fault.DomainInvalid, DomainMailbox)
	}
	return name, nil
}

// Domains lists what an organization claims, by name.
func (c *Core) Domains(ctx context.Context, who Actor, id org.ID) ([]Domain, error) {
	var all []Domain
	err := c.read(ctx, who, id, look, func(ctx context.Context, tx *db.Tx, s standing) (err error) {
		all, err = c.domains(ctx, tx, s.org.ID)
		return err
	})
	return all, err
}

func (c *Core) domains(ctx context.Context, tx *db.Tx, id org.ID) ([]Domain, error) {
	claims, err := org.Domains(ctx, tx, id)
	all := make([]Domain, len(claims))
	for i, d := range claims {
		all[i] = domainOf(d, c.Now())
	}
	return all, err
}

// provedDomains are the names of those that are.
func provedDomains(ctx context.Context, tx *db.Tx, id org.ID) ([]string, error) {
	claims, err := org.Domains(ctx, tx, id)
	var names []string
	for _, d := range claims {
		if !d.VerifiedAt.IsZero() {
			names = append(names, d.Name)
		}
	}
	return names, err
}

// AddDomain claims a domain. A claim binds nobody and tells nothing of others' claims;
// one that waited too long for its proof is made anew.
func (c *Core) AddDomain(ctx context.Context, who Actor, id org.ID, given string) (Domain, error) {
	var out Domain
	err := c.write(ctx, who, id, set, func(ctx context.Context, tx *db.Tx, s standing) error {
		name, err := claimable(given)
		if err != nil {
			return err
		}
		if err := org.Lock(ctx, tx, s.org.ID); err != nil { // so that they are counted one after the other
			return err
		}
		claims, err := org.Domains(ctx, tx, s.org.ID)
		if err != nil {
			return err
		}
		known := slices.ContainsFunc(claims, func(d org.Domain) bool { return d.Name == name })
		if !known && len(claims) >= maxDomains {
			return fault.New(fault.DomainInvalid, DomainTooMany)
		}
		d, err := org.Claim(ctx, tx, s.org.ID, name, c.Now())
		out = domainOf(d, c.Now())
		if err != nil || known {
			return err
		}
		return c.record(ctx, tx, s, audit.DomainClaimed, map[string]any{"domain": name})
	})
	return out, err
}

// VerifyDomain looks for the proof of a claim, and has the domain be the
// organization's from now on if it is there and no other organization was first.
func (c *Core) VerifyDomain(ctx context.Context, who Actor, id org.ID, given string) (Domain, error) {
	var claim org.Domain
	var place org.ID
	err := c.read(ctx, who, id, set, func(ctx context.Context, tx *db.Tx, s standing) (err error) {
		place = s.org.ID
		claim, err = claimed(ctx, tx, s.org.ID, given)
		return err
	})
	if err != nil {
		return Domain{}, err
	}
	switch {
	case !claim.VerifiedAt.IsZero():
		return domainOf(claim, c.Now()), nil
	case !c.Now().Before(claim.ExpiresAt):
		return Domain{}, fault.New(fault.DomainUnproven, UnprovenExpired)
	}
	if err := c.take(ctx, limit.Rule{Name: "enterprise.verify", Key: string(place), N: 20, Per: 10 * time.Minute}); err != nil {
		return Domain{}, err
	}
	missing := c.missing(ctx, claim)
	var out Domain
	var refused error
	err = c.write(ctx, who, place, set, func(ctx context.Context, tx *db.Tx, s standing) (err error) {
		out, refused, err = c.verified(ctx, tx, s, claim, missing)
		return err
	})
	return out, errors.Join(err, refused)
}

// claimed is the organization's claim to a domain.
func claimed(ctx context.Context, tx *db.Tx, id org.ID, given string) (org.Domain, error) {
	name, _ := dns.Name(given)
	d, err := org.DomainOf(ctx, tx, id, name)
	if errors.Is(err, db.ErrNotFound) {
		err = fault.New(fault.DomainUnknown)
	}
	return d, err
}

// missing is why the proof of a claim is not there, nil if it is. It asks the name
// servers.
func (c *Core) missing(ctx context.Context, d org.Domain) *fault.Error {
	texts, err := c.Names.TXT(ctx, recordLabel+d.Name)
	switch {
	case errors.Is(err, dns.ErrNone):
		return fault.New(fault.DomainUnproven, UnprovenNone)
	case err != nil:
		return &fault.Error{Code: fault.DomainUnproven, Params: []string{UnprovenUnreachable}, Err: err}
	}
	if proves(texts, d) {
		return nil
	}
	other := fault.New(fault.DomainUnproven, UnprovenOther)
	for _, text := range texts[:min(len(texts), maxFound)] {
		other.Params = append(other.Params, clean(text))
	}
	return other
}

// proves reports whether one of the texts at a name is the claim's.
func proves(texts []string, d org.Domain) bool {
	return slices.ContainsFunc(texts, func(text string) bool { return strings.TrimSpace(text) == recordText+d.Token })
}

// clean is what somebody else wrote, for a page: short, and of printable ASCII.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), maxShown)]
}

// verified notes what the look for a proof found. That it found nothing is written
// down, and so no error of the transaction.
func (c *Core) verified(ctx context.Context, tx *db.Tx, s standing, claim org.Domain, missing *fault.Error) (Domain, error, error) {
	now := c.Now()
	if missing != nil {
		return Domain{}, missing, org.Unproved(ctx, tx, claim, now)
	}
	switch err := org.Prove(ctx, tx, claim, now); {
	case errors.Is(err, org.ErrDomainTaken):
		// Whoever has it now is not asked whether they still should: their own
		// proof is looked for, soon.
		return Domain{}, fault.New(fault.DomainTaken), org.Contest(ctx, tx, claim.Name, now)
	case errors.Is(err, db.ErrNotFound):
		return Domain{}, fault.New(fault.DomainUnproven, UnprovenExpired), nil
	case err != nil:
		return Domain{}, nil, err
	}
	d, err := org.DomainOf(ctx, tx, s.org.ID, claim.Name)
	if err == nil {
		err = c.record(ctx, tx, s, audit.DomainVerified, map[string]any{"domain": claim.Name})
	}
	return domainOf(d, now), nil, err
}

// RemoveDomain takes a claim back: nobody is sent to the organization's provider for
// an address there any more, and the provider speaks for none. As long as nobody may
// come in otherwise, the last that is proved stays: nobody could begin a sign-in.
func (c *Core) RemoveDomain(ctx context.Context, who Actor, id org.ID, given string) error {
	return c.write(ctx, who, id, set, func(ctx context.Context, tx *db.Tx, s standing) error {
		if err := org.Lock(ctx, tx, s.org.ID); err != nil { // against who removes another, or changes the policy
			return err
		}
		d, err := claimed(ctx, tx, s.org.ID, given)
		if err != nil {
			return err
		}
		if err := c.spares(ctx, tx, s.org.ID, d); err != nil {
			return err
		}
		if err := org.Disclaim(ctx, tx, s.org.ID, d.Name); err != nil && !errors.Is(err, db.ErrNotFound) {
			return err
		}
		return c.record(ctx, tx, s, audit.DomainRemoved, map[string]any{"domain": d.Name, "verified": !d.VerifiedAt.IsZero()})
	})
}

// spares refuses to give a proved domain up that the policy needs.
func (c *Core) spares(ctx context.Context, tx *db.Tx, id org.ID, d org.Domain) error {
	o, err := org.ByID(ctx, tx, id)
	if err != nil || o.SignIn != org.SignInSSO || d.VerifiedAt.IsZero() {
		return err
	}
	proved, err := provedDomains(ctx, tx, id)
	if err == nil && len(proved) == 1 {
		err = fault.New(fault.ConnectionUnready, LacksPolicy)
	}
	return err
}
