package self

import (
	"context"
	"errors"
	"time"

	"sallyport/internal/apikey"
	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/logout"
	"sallyport/internal/org"
	"sallyport/internal/session"
	"sallyport/internal/token"
)

// leaveFresh is how young a sign-in must be for its owner to end their account by it.
const leaveFresh = 24 * time.Hour

// Leave ends the caller's account in a client, by a session and a sign-in of the last
// day: what an application or a script holds ends nobody's account. A person who is in
// other clients too stays there, and in their organizations, which are no client's;
// else there is nothing that they would stay for, and all that is kept of them goes,
// with the organizations that are theirs alone. One that would be left with members
// and without an owner is LastAdministrator, one that something belongs to OrgHolds.
func (c *Core) Leave(ctx context.Context, who Caller, id client.ID) error {
	age := c.Now().Sub(who.AuthenticatedAt)
	if who.Session.ID == "" || who.AuthenticatedAt.IsZero() || age < 0 || age >= leaveFresh {
		return fault.New(fault.ProofRequired)
	}
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		u, err := active(ctx, tx, who)
		if err != nil {
			return err
		}
		if err := identity.Hold(ctx, tx, u.ID); err != nil {
			return err
		}
		if _, err := session.ByID(ctx, tx, who.Session.ID, c.Now()); errors.Is(err, db.ErrNotFound) {
			return fault.New(fault.Unauthenticated) // it ended meanwhile
		} else if err != nil {
			return err
		}
		places, err := client.EnrolmentsOf(ctx, tx, u.ID)
		if err != nil {
			return err
		}
		cl, err := client.ByID(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := c.leavePlace(ctx, tx, u, id); err != nil {
			return err
		}
		elsewhere := false
		for _, e := range places[u.ID] {
			elsewhere = elsewhere || e.ClientID != id
		}
		if !elsewhere {
			err = c.leaveAltogether(ctx, tx, who, u)
		}
		if err != nil {
			return err
		}
		return audit.Record(ctx, tx, c.Now(), audit.Event{
			Actor: audit.User(u.ID), Action: audit.UserDeleted, ClientID: id, UserID: u.ID, IP: who.IP, RequestID: who.RequestID,
			Detail: map[string]any{"email": u.Email, "name": u.DisplayName, "altogether": !elsewhere}, Announce: cl.HasWebhooks,
		})
	})
}

// leavePlace ends what a person has in a client, and the sessions that open it.
func (c *Core) leavePlace(ctx context.Context, tx *db.Tx, u identity.User, id client.ID) error {
	if err := client.Remove(ctx, tx, u.ID, id); err != nil && !errors.Is(err, db.ErrNotFound) {
		return err
	}
	if err := logout.Place(ctx, tx, u.ID, id, c.Now()); err != nil {
		return err
	}
	if _, err := token.EndByUserClient(ctx, tx, u.ID, id); err != nil {
		return err
	}
	if err := apikey.EndByPlace(ctx, tx, u.ID, id); err != nil {
		return err
	}
	if err := logout.Sessions(ctx, tx, u.ID, "", c.Now()); err != nil {
		return err
	}
	_, err := session.EndAll(ctx, tx, u.ID, "")
	return err
}

// leaveAltogether ends a user, and what is theirs alone.
func (c *Core) leaveAltogether(ctx context.Context, tx *db.Tx, who Caller, u identity.User) error {
	all, err := org.Seats(ctx, tx, u.ID)
	if err != nil {
		return err
	}
	for _, s := range all {
		if err := org.Lock(ctx, tx, s.OrgID); err != nil {
			return err
		}
		if err := c.leaveOrg(ctx, tx, who, u, s); err != nil {
			return err
		}
	}
	if err := logout.Everything(ctx, tx, u.ID, "", c.Now()); err != nil {
		return err
	}
	return identity.Delete(ctx, tx, u.ID)
}

// leaveOrg ends a membership, or the organization that nobody else is in.
func (c *Core) leaveOrg(ctx context.Context, tx *db.Tx, who Caller, u identity.User, s org.Seat) error {
	err := org.Leave(ctx, tx, s.OrgID, u.ID)
	if err == nil {
		return c.in(ctx, tx, who, audit.MemberRemoved, s.OrgID, client.Client{}, u, map[string]any{"role": string(s.Role)})
	}
	if !errors.Is(err, org.ErrLastOwner) {
		return err
	}
	_, members, err := org.Members(ctx, tx, s.OrgID, 1, 0)
	if err != nil {
		return err
	}
	if members > 1 {
		return fault.New(fault.LastAdministrator)
	}
	if err := c.deleteOrg(ctx, tx, who, s.OrgID); errors.Is(err, org.ErrHolds) {
		return fault.New(fault.OrgHolds)
	} else if err != nil {
		return err
	}
	return c.in(ctx, tx, who, audit.OrgDeleted, s.OrgID, client.Client{}, identity.User{}, map[string]any{"org_name": s.Org.Name})
}
