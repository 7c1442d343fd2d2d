package admin

import (
	"context"
	"errors"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/job"
	"sallyport/internal/mail"
	"sallyport/internal/org"
	"sallyport/internal/waitlist"
)

// Who may come in, and to what, is one queue, whichever way somebody came to wait:
//
//	registration approval          a pending place in a client
//	allowed_domains, not verified  a pending place too, until the address is verified
//	a feature's list               an entry of package waitlist
//
// Nobody waits where registration is open or who has an invitation. Keymaster's
// approvals are the queue's pending places, and AccountMaker's waitlist its entries
// as who waits sees them.

// Waiter names somebody who waits: for a place in the client, or with Entry for the
// feature of that entry.
type Waiter struct {
	ClientID client.ID
	UserID   identity.UserID
	Entry    string
}

// Waiting is somebody who waits, for a feature in an account if Feature is set.
// NotifiedAt is when they were last told how they stand, or zero.
type Waiting struct {
	Waiter
	User       identity.User
	Account    org.ID
	Feature    string
	Since      time.Time
	NotifiedAt time.Time
}

// QueueIn chooses who waits: in one client, for places or for features alone, for one
// feature, who has been told how they stand or who has not. Search is looked for in
// address and display name. Empty parts choose all.
type QueueIn struct {
	ClientID client.ID
	Places   bool
	Features bool
	Feature  string
	Told     *bool
	Search   string
	Page     Page
}

// Queue returns one page of those who wait where the caller may decide, who waits
// longest first, and how many there are.
func (c *Core) Queue(ctx context.Context, who Caller, in QueueIn) ([]Waiting, int, error) {
	var all []Waiting
	var total int
	var err error
	if in.Search, err = line("search", in.Search, 0, maxSearch); err != nil {
		return nil, 0, err
	}
	if in.Feature, err = line("feature", in.Feature, 0, maxSearch); err != nil {
		return nil, 0, err
	}
	err = c.read(ctx, who, func(ctx context.Context, tx *db.Tx, a authority) error {
		id, tenant, err := a.within(ctx, tx, in.ClientID, manager)
		if err != nil {
			return err
		}
		if all, total, err = waiting(ctx, tx, id, tenant, in); err != nil {
			return err
		}
		ids := make([]identity.UserID, len(all))
		for i, w := range all {
			ids[i] = w.UserID
		}
		users, err := identity.ByIDs(ctx, tx, ids)
		for i := range all {
			all[i].User = users[all[i].UserID]
		}
		return err
	})
	return all, total, err
}

// MaxDecisions is how many may be decided at once, and maxSearch how long what is
// looked for may be, in characters.
const (
	MaxDecisions = 500
	maxSearch    = 200
)

// Decide lets in, or turns away, each who waits of those named, and says of each
// what became of it: nil, or why not. One that cannot be decided holds up no other.
// EnrolmentState means that they do not wait, or do no longer: of any number of
// callers one decides. Who is let in is mailed. A caller who decides nowhere is
// refused.
func (c *Core) Decide(ctx context.Context, who Caller, let bool, all ...Waiter) ([]error, error) {
	if err := c.decides(ctx, &who, len(all)); err != nil {
		return nil, err
	}
	errs := make([]error, len(all))
	for i, w := range all {
		err := c.decide(ctx, who, w, let)
		if _, expected := fault.From(err); err != nil && !expected {
			return errs, err
		}
		errs[i] = err
	}
	return errs, nil
}

// decides refuses a caller who decides nowhere, or about too many at once, or for a
// reason that cannot be written down.
func (c *Core) decides(ctx context.Context, who *Caller, n int) (err error) {
	if n > MaxDecisions {
		return invalid("waiters", WantRange)
	}
	if who.Reason, err = line("reason", who.Reason, 0, maxReason); err != nil {
		return err
	}
	return c.read(ctx, *who, func(_ context.Context, _ *db.Tx, a authority) error { return a.atLeast(manager) })
}

func (c *Core) decide(ctx context.Context, who Caller, w Waiter, let bool) error {
	switch {
	case w.Entry != "":
		return c.decideFeature(ctx, who, w.Entry, let)
	case let:
		return c.Approve(ctx, who, w.UserID, w.ClientID)
	}
	return c.Reject(ctx, who, w.UserID, w.ClientID)
}

// DecideNext is Decide for the n who wait longest of those that in chooses.
func (c *Core) DecideNext(ctx context.Context, who Caller, in QueueIn, n int, let bool) ([]Waiting, []error, error) {
	if n < 1 || n > MaxDecisions {
		return nil, nil, invalid("n", WantRange)
	}
	in.Page = Page{Number: 1, Size: n}
	next, _, err := c.Queue(ctx, who, in)
	if err != nil {
		return nil, nil, err
	}
	all := make([]Waiter, len(next))
	for i, w := range next {
		all[i] = w.Waiter
	}
	errs, err := c.Decide(ctx, who, let, all...)
	return next, errs, err
}

// decideFeature decides an entry of a feature's list. What is out of the caller's
// reach is not found.
func (c *Core) decideFeature(ctx context.Context, who Caller, entry string, let bool) error {
	return c.entry(ctx, who, entry, func(ctx context.Context, tx *db.Tx, a authority, e waitlist.Entry, cl client.Client, u identity.User) error {
		becomes, action := waitlist.Rejected, audit.WaitlistRejected
		if let {
			becomes, action = waitlist.Approved, audit.WaitlistApproved
		}
		_, decided, err := waitlist.Decide(ctx, tx, entry, becomes)
		if err == nil && !decided {
			err = fault.New(fault.EnrolmentState)
		}
		if err != nil {
			return err
		}
		if let {
			if err := c.tell(ctx, tx, mail.FeatureReady, cl, u, e.Feature); err != nil {
				return err
			}
		}
		return c.record(ctx, tx, a, action, cl, u, map[string]any{"feature": e.Feature, "org": string(e.OrgID)})
	})
}

// entry runs fn on an entry of a client in which the caller decides.
func (c *Core) entry(ctx context.Context, who Caller, id string, fn func(context.Context, *db.Tx, authority, waitlist.Entry, client.Client, identity.User) error) error {
	return c.write(ctx, who, func(ctx context.Context, tx *db.Tx, a authority) error {
		if err := a.atLeast(manager); err != nil {
			return err
		}
		e, err := waitlist.ByID(ctx, tx, id)
		if err != nil {
			return unknownUser(err)
		}
		cl, err := a.client(ctx, tx, e.ClientID, manager)
		if fault.Is(err, fault.Forbidden) {
			return fault.New(fault.UserUnknown)
		}
		if err != nil {
			return err
		}
		u, err := identity.ByID(ctx, tx, e.UserID)
		if err != nil {
			return unknownUser(err)
		}
		return fn(ctx, tx, a, e, cl, u)
	})
}

// NotifyEvery is how often somebody is told at most that they still wait.
const NotifyEvery = 24 * time.Hour

// Notify mails those named who wait that they do, and are not forgotten; nobody more
// than once in NotifyEvery. It reports how many are mailed. Who does not wait, or is
// out of the caller's reach, is passed over.
func (c *Core) Notify(ctx context.Context, who Caller, all ...Waiter) (int, error) {
	if err := c.decides(ctx, &who, len(all)); err != nil {
		return 0, err
	}
	mailed := 0
	for _, w := range all {
		told, err := c.notify(ctx, who, w)
		if _, expected := fault.From(err); err != nil && (!expected || !overlooked(err)) {
			return mailed, err
		}
		if told {
			mailed++
		}
	}
	return mailed, nil
}

// overlooked reports whether a failure is of the one who was named, not of the caller.
func overlooked(err error) bool { return !fault.Is(err, fault.Unauthenticated) }

func (c *Core) notify(ctx context.Context, who Caller, w Waiter) (told bool, err error) {
	now := c.Now()
	before := now.Add(-NotifyEvery)
	if w.Entry != "" {
		err = c.entry(ctx, who, w.Entry, func(ctx context.Context, tx *db.Tx, _ authority, e waitlist.Entry, cl client.Client, u identity.User) error {
			if told, err = waitlist.Notified(ctx, tx, e.ID, before, now); err != nil || !told {
				return err
			}
			return c.tell(ctx, tx, mail.Waiting, cl, u, e.Feature)
		})
		return told && err == nil, err
	}
	err = c.change(ctx, who, w.UserID, w.ClientID, manager, func(ctx context.Context, tx *db.Tx, _ authority, p place) error {
		if told, err = client.Notified(ctx, tx, w.UserID, w.ClientID, before, now); err != nil || !told {
			return err
		}
		return c.tell(ctx, tx, mail.Waiting, p.client, p.user, "")
	})
	if errors.Is(err, db.ErrNotFound) {
		err = fault.New(fault.UserUnknown)
	}
	return told && err == nil, err
}

func (c *Core) tell(ctx context.Context, tx *db.Tx, t mail.Template, cl client.Client, u identity.User, feature string) error {
	return job.EnqueueMail(ctx, tx, c.Key, t, u.Email, mail.Data{ClientName: cl.Name, Color: cl.Policy.Branding.Color, Name: u.DisplayName, Feature: feature}, c.Now())
}
