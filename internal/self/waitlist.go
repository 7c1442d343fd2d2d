package self

import (
	"context"
	"errors"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/limit"
	"sallyport/internal/org"
	"sallyport/internal/waitlist"
)

// Waitlist lists the features that the caller waits for in an account, newest
// first. It and its siblings are AccountRequired for who may not act in the
// account, which "" is none.
func (c *Core) Waitlist(ctx context.Context, who Caller, id org.ID) ([]waitlist.Entry, error) {
	var all []waitlist.Entry
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		err := acts(ctx, tx, who, id)
		if err == nil {
			all, err = waitlist.List(ctx, tx, id, who.UserID)
		}
		return err
	})
	return all, err
}

// WaitlistEntry is the caller's entry for a feature in an account, nil if they do
// not wait for it.
func (c *Core) WaitlistEntry(ctx context.Context, who Caller, id org.ID, feature string) (*waitlist.Entry, error) {
	var found *waitlist.Entry
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		found = nil
		if err := waits(ctx, tx, who, id, feature); err != nil {
			return err
		}
		e, err := waitlist.Of(ctx, tx, id, who.UserID, feature)
		if errors.Is(err, db.ErrNotFound) {
			return nil
		}
		found = &e
		return err
	})
	return found, err
}

// WaitIn puts the caller on a list. ClientID is the application that they ask in.
type WaitIn struct {
	ClientID client.ID
	Account  org.ID
	Feature  string
}

// JoinWaitlist puts the caller on the list for a feature; once more changes
// nothing.
func (c *Core) JoinWaitlist(ctx context.Context, who Caller, in WaitIn) (waitlist.Entry, error) {
	var e waitlist.Entry
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		err := waits(ctx, tx, who, in.Account, in.Feature)
		if err != nil {
			return err
		}
		// Features are free texts, and each is a row that only its owner takes away.
		if err := takeAll(ctx, tx, c.Now(), []limit.Rule{{Name: "self.waitlist", Key: string(who.UserID), N: 300, Per: time.Hour}}); err != nil {
			return err
		}
		e, _, err = waitlist.Join(ctx, tx, waitlist.Entry{OrgID: in.Account, UserID: who.UserID, Feature: in.Feature, ClientID: in.ClientID}, c.Now())
		return err
	})
	return e, err
}

// LeaveWaitlist takes the caller off the list for a feature; who is not on it is
// off it.
func (c *Core) LeaveWaitlist(ctx context.Context, who Caller, id org.ID, feature string) error {
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		err := waits(ctx, tx, who, id, feature)
		if err == nil {
			_, err = waitlist.Leave(ctx, tx, id, who.UserID, feature)
		}
		return err
	})
}

func waits(ctx context.Context, tx *db.Tx, who Caller, id org.ID, feature string) error {
	if !waitlist.Feature(feature) {
		return &fault.Error{Code: fault.FieldInvalid, Field: "feature"}
	}
	return acts(ctx, tx, who, id)
}

// acts refuses who may not act in an account.
func acts(ctx context.Context, tx *db.Tx, who Caller, id org.ID) error {
	_, _, err := seatAs(ctx, tx, who, id, org.Viewer)
	if fault.Is(err, fault.OrgUnknown) || fault.Is(err, fault.Forbidden) {
		return fault.New(fault.AccountRequired)
	}
	return err
}
