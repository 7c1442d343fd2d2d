// Package provision is the core for an organization's own directory, which tells us who
// works there (SCIM 2.0). It decides what follows: who gets an account and a place in the
// organization, who loses both, and which roles the groups give.
//
// A directory speaks for its organization alone. It makes accounts for, and takes over
// those of, addresses in domains that the organization has verified, and no others: its
// administrator is a stranger to us, and an address is somebody's way in everywhere. What
// it says of such a person counts for the whole account, because the mailbox is its own:
//
//	active      a membership; the account works
//	not active  no membership; signed out everywhere, and the account is disabled
//	deleted     the same, and the directory does not see them any more
//
// Of somebody whose address is of no domain that is verified now, only their place in the
// organization is its to give and take, and what they had from it ends with it.
package provision

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"sallyport/internal/audit"
	"sallyport/internal/db"
	"sallyport/internal/directory"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/limit"
	"sallyport/internal/org"
	"sallyport/internal/secret"
)

// Core holds what the operations need.
type Core struct {
	DB  *db.DB
	Now func() time.Time
	Key *secret.Key
}

// Caller is the directory that asks, and by what it came.
type Caller struct {
	OrgID     org.ID
	IP        string
	RequestID string
}

// Visit is a request as it came: Token is what it shows, Agent the program that sent it.
type Visit struct {
	Token     string
	Agent     string
	IP        string
	RequestID string
}

const (
	// perMinute is how many requests of one directory, or operations of a bulk request,
	// are answered in a minute. Entra asks
	// for 25 a second to be possible.
	perMinute = 3000
	// maxAgent is how much of a program's name is kept, in characters.
	maxAgent = 200
)

// Open finds whose directory asks. A token that is none, has ended, or is of an
// organization that is suspended or closed, is all the same.
func (c *Core) Open(ctx context.Context, in Visit) (Caller, error) {
	var t directory.Token
	now := c.Now()
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if t, err = directory.ByToken(ctx, tx, in.Token); err != nil {
			return err
		}
		o, err := org.ByID(ctx, tx, t.OrgID)
		if err == nil && !o.Open() {
			err = db.ErrNotFound
		}
		return err
	})
	if err == nil {
		err = c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			if err := c.take(ctx, tx, t.OrgID); err != nil {
				return err
			}
			// Who became a member since, by signing in or by an invitation, is its affair too.
			noted, err := directory.Use(ctx, tx, t, clip(in.Agent, maxAgent), now)
			if err == nil && noted {
				err = directory.Adopt(ctx, tx, t.OrgID, now)
			}
			return err
		})
	}
	if errors.Is(err, db.ErrNotFound) {
		return Caller{}, fault.New(fault.Unauthenticated)
	}
	return Caller{OrgID: t.OrgID, IP: in.IP, RequestID: in.RequestID}, err
}

// Count counts one operation of a request that has many, as a request of its own.
func (c *Core) Count(ctx context.Context, who Caller) error {
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error { return c.take(ctx, tx, who.OrgID) })
}

func (c *Core) take(ctx context.Context, tx *db.Tx, id org.ID) error {
	wait, _, err := limit.Take(ctx, tx, c.Now(), limit.Rule{Name: "directory", Key: string(id), N: perMinute, Per: time.Minute})
	if err == nil && wait > 0 {
		err = fault.Later(fault.RateLimited, wait)
	}
	return err
}

// clip is s in at most n characters, of those that can be stored.
func clip(s string, n int) string {
	if !utf8.ValidString(s) {
		return ""
	}
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}

// owns reports whether an address is of a domain that the organization has verified.
func owns(ctx context.Context, tx *db.Tx, id org.ID, address string) (bool, error) {
	_, name, _ := strings.Cut(address, "@") // a normalised address has one
	d, err := org.DomainOf(ctx, tx, id, name)
	if errors.Is(err, db.ErrNotFound) {
		return false, nil
	}
	return err == nil && !d.VerifiedAt.IsZero(), err
}

// record writes an audit entry of what a directory did, to somebody or to nobody. Every
// application that they are enrolled in hears of it.
func (c *Core) record(ctx context.Context, tx *db.Tx, who Caller, action audit.Action, u identity.User, detail map[string]any) error {
	if detail == nil {
		detail = map[string]any{}
	}
	if u.ID != "" {
		detail["email"], detail["name"] = u.Email, u.DisplayName
	}
	return audit.Record(ctx, tx, c.Now(), audit.Event{
		Actor: audit.Directory(who.OrgID), Action: action, UserID: u.ID, OrgID: who.OrgID, IP: who.IP, RequestID: who.RequestID, Detail: detail, Announce: u.ID != "",
	})
}
