package self

import (
	"context"
	"errors"
	"time"

	"sallyport/internal/apikey"
	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/passkey"
	"sallyport/internal/session"
	"sallyport/internal/totp"
)

// Person is the caller as a client knows them. LastLogin is zero where nobody
// remembers one; Seats are their places in organizations, the oldest first.
type Person struct {
	User      identity.User
	Emails    []identity.Email
	Seats     []org.Seat
	Roles     []string // in the client
	LastLogin time.Time
	TOTP      bool
}

// VerifiedAt is when the person proved their address, zero if they have not.
func (p Person) VerifiedAt() time.Time {
	if e := identity.AddressIn(p.Emails, p.User.Email); e != nil {
		return e.VerifiedAt
	}
	return time.Time{}
}

// Person reads the caller with all that a client's own pages show of them. Who shows
// a key that is pinned to an organization sees that one alone.
func (c *Core) Person(ctx context.Context, who Caller, id client.ID) (Person, error) {
	var p Person
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		p, err = person(ctx, tx, who, id)
		return err
	})
	return p, err
}

func person(ctx context.Context, tx *db.Tx, who Caller, id client.ID) (p Person, err error) {
	if p.User, err = active(ctx, tx, who); err != nil {
		return p, err
	}
	if p.Emails, err = identity.Emails(ctx, tx, p.User.ID); err != nil {
		return p, err
	}
	if p.Seats, err = seats(ctx, tx, who); err != nil {
		return p, err
	}
	s, err := client.StandingOf(ctx, tx, p.User.ID, id)
	if err != nil {
		return p, err
	}
	p.Roles, p.TOTP = s.Roles, s.Factor
	last, err := audit.Latest(ctx, tx, audit.Filter{UserID: p.User.ID, ClientID: id, Action: audit.UserLogin})
	if errors.Is(err, db.ErrNotFound) {
		err = nil
	}
	p.LastLogin = last.At
	return p, err
}

// seats are the caller's places in organizations, as far as their credential reaches.
func seats(ctx context.Context, tx *db.Tx, who Caller) ([]org.Seat, error) {
	if who.Org == "" {
		return org.Seats(ctx, tx, who.UserID)
	}
	s, err := org.SeatOf(ctx, tx, who.Org, who.UserID)
	if errors.Is(err, db.ErrNotFound) {
		return nil, nil
	}
	return []org.Seat{s}, err
}

// logins are what a history of sign-ins is made of.
var logins = []audit.Action{audit.UserLogin, audit.UserLoginFailed}

// Logins returns one page of the caller's sign-ins to a client, and of what somebody
// tried, newest first, and how many there are.
func (c *Core) Logins(ctx context.Context, who Caller, id client.ID, p Page) ([]audit.Entry, int, error) {
	var all []audit.Entry
	var total int
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		u, err := active(ctx, tx, who)
		if err == nil {
			all, total, err = audit.List(ctx, tx, audit.Filter{UserID: u.ID, ClientID: id, Any: logins, Limit: p.Size, Offset: p.offset()})
		}
		return err
	})
	return all, total, err
}

// maxExported is how many sign-ins an export has at most, the newest.
const maxExported = 1000

// Export is what is kept about a person, but for what must stay secret.
type Export struct {
	Person
	Links    []identity.Link
	Passkeys []passkey.Passkey
	Sessions []session.Session
	Keys     []apikey.Key
	Logins   []audit.Entry
	// BackupCodes is how many are left.
	BackupCodes int
}

// Export reads all that is kept about the caller as a client knows them.
func (c *Core) Export(ctx context.Context, who Caller, id client.ID) (Export, error) {
	var e Export
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if e.Person, err = person(ctx, tx, who, id); err != nil {
			return err
		}
		u := e.User.ID
		if e.Links, err = identity.Links(ctx, tx, u); err != nil {
			return err
		}
		if e.Passkeys, err = passkey.OfUser(ctx, tx, u); err != nil {
			return err
		}
		if e.Sessions, err = session.ByUser(ctx, tx, u, c.Now()); err != nil {
			return err
		}
		if e.Keys, _, err = apikey.List(ctx, tx, u, who.Org, apikey.Max, 0); err != nil {
			return err
		}
		if e.BackupCodes, err = totp.Remaining(ctx, tx, u); err != nil {
			return err
		}
		e.Logins, _, err = audit.List(ctx, tx, audit.Filter{UserID: u, ClientID: id, Any: logins, Limit: maxExported})
		return err
	})
	return e, err
}
