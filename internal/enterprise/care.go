package enterprise

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/db"
	"sallyport/internal/dns"
	"sallyport/internal/job"
	"sallyport/internal/mail"
	"sallyport/internal/org"
	"sallyport/internal/saml"
	"sallyport/internal/sso"
)

// How much one round of looking takes on, and how many are asked at once.
const (
	careBatch  = 20
	careAtOnce = 4
	careRounds = 50
)

// Every is what is done again and again on every node: both rounds take what is due,
// so that of any number of nodes one asks.
func (c *Core) Every() []job.Every {
	return []job.Every{
		{Name: "look for proofs of domains", Interval: 10 * time.Minute, Run: c.LookAtDomains},
		{Name: "look after connections", Interval: 10 * time.Minute, Run: c.LookAfterConnections},
	}
}

// LookAtDomains looks for the proofs of domains that are due.
func (c *Core) LookAtDomains(ctx context.Context) error {
	return rounds(ctx, func() (int, error) {
		var due []org.Domain
		err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
			due, err = org.DueProofs(ctx, tx, careBatch, c.Now())
			return err
		})
		if err != nil {
			return 0, err
		}
		return len(due), each(due, func(d org.Domain) error { return c.lookAt(ctx, d) })
	})
}

// rounds does rounds until one finds less than a batch.
func rounds(ctx context.Context, round func() (int, error)) error {
	for range careRounds {
		n, err := round()
		if err != nil || n < careBatch || ctx.Err() != nil {
			return err
		}
	}
	return nil
}

// each does fn for all, some at a time; one that fails holds up no other.
func each[T any](all []T, fn func(T) error) error {
	errs := make([]error, len(all))
	slots := make(chan struct{}, careAtOnce)
	var running sync.WaitGroup
	for i, one := range all {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			errs[i] = fn(one)
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// lookAt looks for the proof of one domain. Name servers that do not answer count as a
// proof that is gone, if others do answer: a domain that was given up has none.
func (c *Core) lookAt(ctx context.Context, d org.Domain) error {
	texts, err := c.Names.TXT(ctx, recordLabel+d.Name)
	if errors.Is(err, dns.ErrUnreachable) && !c.Names.Works(ctx, d.Name) {
		return nil // it is our own resolver; the lease ends in a while
	}
	there := err == nil && proves(texts, d)
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		if there {
			err := org.Prove(ctx, tx, d, c.Now())
			if errors.Is(err, db.ErrNotFound) || errors.Is(err, org.ErrDomainTaken) { // taken back meanwhile
				return nil
			}
			return err
		}
		lapsed, missed, err := org.Missed(ctx, tx, d, c.Now())
		if err != nil || !missed {
			return err
		}
		return c.missed(ctx, tx, d, lapsed)
	})
}

// missed tells the owners of a proof that is gone.
func (c *Core) missed(ctx context.Context, tx *db.Tx, d org.Domain, lapsed bool) error {
	o, err := org.ByID(ctx, tx, d.OrgID)
	if err != nil {
		return err
	}
	data := mail.Data{Domain: d.Name, Change: mail.ProofMissing, Record: recordText + d.Token, Days: (org.ProofMisses - 1 - d.Failures) * int(org.ProofHolds/(24*time.Hour))}
	if lapsed {
		data.Change, data.Days = mail.ProofLapsed, 0
		err := audit.Record(ctx, tx, c.Now(), audit.Event{
			Actor: audit.System(), Action: audit.DomainLapsed, OrgID: o.ID, Detail: map[string]any{"org": string(o.ID), "domain": d.Name},
		})
		if err != nil {
			return err
		}
	}
	return c.tell(ctx, tx, o, mail.DomainUnproven, data)
}

// LookAfterConnections reads what providers publish, takes over the keys that they
// have now, and warns of those that end.
func (c *Core) LookAfterConnections(ctx context.Context) error {
	return rounds(ctx, func() (int, error) {
		var due []sso.Care
		err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
			due, err = sso.DueCare(ctx, tx, c.Key, careBatch, c.Now())
			return err
		})
		if err != nil {
			return 0, err
		}
		return len(due), each(due, func(k sso.Care) error { return c.lookAfter(ctx, k) })
	})
}

func (c *Core) lookAfter(ctx context.Context, k sso.Care) error {
	next, asked, unread := k.Connection, true, error(nil)
	switch {
	case !k.Enabled:
		asked = false
	case k.Kind == sso.OIDC:
		unread = c.Broker.Check(ctx, k.Upstream())
	case k.MetadataURL != "":
		unread = c.rollOver(ctx, &next)
	default:
		asked = false
	}
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := org.Lock(ctx, tx, k.OrgID); errors.Is(err, db.ErrNotFound) {
			return nil
		} else if err != nil {
			return err
		}
		now, err := sso.CareOf(ctx, tx, c.Key, k.OrgID)
		if errors.Is(err, db.ErrNotFound) || err == nil && !now.UpdatedAt.Equal(k.UpdatedAt) {
			return nil // somebody changed it meanwhile: what was read is about the one before
		} else if err != nil {
			return err
		}
		return c.cared(ctx, tx, now, next, asked, unread)
	})
}

// rollOver takes over what the metadata of a provider say now. Its name stays: one of
// another name at the address is another.
func (c *Core) rollOver(ctx context.Context, n *sso.Connection) error {
	body, err := c.metadataAt(ctx, n.MetadataURL)
	if err != nil {
		return err
	}
	d, err := saml.ParseMetadata(body, n.Issuer, c.Now())
	if err != nil {
		return err
	}
	describe(n, d)
	return nil
}

// toldAfter is how many looks in a row may fail before the owners are told.
const toldAfter = 3

// cared writes down how a connection was looked after.
func (c *Core) cared(ctx context.Context, tx *db.Tx, was sso.Care, next sso.Connection, asked bool, unread error) error {
	o, err := org.ByID(ctx, tx, was.OrgID)
	if err != nil {
		return err
	}
	switch {
	case asked && unread != nil:
		was.LookFailures++
		if was.LookFailures == toldAfter {
			if err := c.tell(ctx, tx, o, mail.ConnectionFailing, mail.Data{Upstream: sso.Title(was.Provider), Days: toldAfter}); err != nil {
				return err
			}
		}
	case next.Kind == sso.SAML && changed(was.Connection, next):
		if err := c.rolledOver(ctx, tx, was.Connection, next); err != nil {
			return err
		}
		fallthrough
	default:
		was.LookFailures = 0
	}
	if next.Kind == sso.SAML && next.Enabled {
		if err := c.warn(ctx, tx, o, &was, next); err != nil {
			return err
		}
	}
	return sso.Cared(ctx, tx, was, c.Now())
}

// changed reports whether metadata say anything new.
func changed(was, next sso.Connection) bool {
	return next.Changed(was) || next.LogoutURL != was.LogoutURL || next.LogoutBinding != was.LogoutBinding || next.SignOnBinding != was.SignOnBinding || next.SignRequests != was.SignRequests
}

func (c *Core) rolledOver(ctx context.Context, tx *db.Tx, was, next sso.Connection) error {
	stored, err := sso.Set(ctx, tx, c.Key, next, c.Now())
	if err != nil {
		return err
	}
	return audit.Record(ctx, tx, c.Now(), audit.Event{
		Actor: audit.System(), Action: audit.ConnectionSet, OrgID: was.OrgID, Detail: map[string]any{
			"org": string(was.OrgID), "kind": stored.Kind, "provider": stored.Provider, "issuer": stored.Issuer, "metadata": "read again",
			"certificates": len(stored.Certificates), "revision": stored.Revision,
		},
	})
}

// warnAt are the days before its last certificate ends at which the owners of a
// connection are warned.
var warnAt = []int{30, 14, 7, 1, 0}

// warn tells the owners that the certificates of their provider end. What ends is the
// last one: as long as one is good, the provider can sign people in.
func (c *Core) warn(ctx context.Context, tx *db.Tx, o org.Org, k *sso.Care, now sso.Connection) error {
	end, err := lastEnd(now.Certificates)
	if err != nil {
		return err
	}
	left := end.Sub(c.Now())
	stage := -1
	for _, days := range warnAt {
		if left <= time.Duration(days)*24*time.Hour {
			stage = days
		}
	}
	if stage < 0 || k.WarnedFor.Equal(end) && k.WarnedDays <= stage {
		return nil
	}
	k.WarnedFor, k.WarnedDays = end, stage
	data := mail.Data{Upstream: sso.Title(now.Provider), Days: max(0, int((left+24*time.Hour-1)/(24*time.Hour))), Change: mail.CertificateEnding}
	if left <= 0 {
		data.Change = mail.CertificateEnded
	}
	return c.tell(ctx, tx, o, mail.CertificateExpiring, data)
}

// lastEnd is when the last of the certificates ends.
func lastEnd(certificates [][]byte) (end time.Time, err error) {
	for _, der := range certificates {
		cert, err := saml.CheckCertificate(der)
		if err != nil {
			return end, fmt.Errorf("certificate of a provider: %w", err)
		}
		if cert.NotAfter.After(end) {
			end = cert.NotAfter
		}
	}
	return end.UTC(), nil
}

// tell mails the owners of an organization.
func (c *Core) tell(ctx context.Context, tx *db.Tx, o org.Org, t mail.Template, d mail.Data) error {
	all, err := owners(ctx, tx, o.ID)
	if err != nil {
		return err
	}
	for _, one := range all {
		d.Name, d.Org = one.name, o.Name
		if err := job.EnqueueMail(ctx, tx, c.Key, t, one.email, d, c.Now()); err != nil {
			return err
		}
	}
	return nil
}
