package signin

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/mail"
	"sallyport/internal/sso"
	"sallyport/internal/upstream"
)

// known takes note of what the upstream says of a user whom it has signed in
// before. If it vouches for the user's own address, which nobody proved so far,
// it is proved now.
func (c *Core) known(ctx context.Context, tx *db.Tx, user identity.User, p upstream.Profile, a arrival) (identity.User, error) {
	if err := identity.TouchLink(ctx, tx, linkOf(user, p, time.Time{})); errors.Is(err, db.ErrNotFound) {
		return user, errRaced // removed since it was found
	} else if err != nil {
		return user, err
	}
	if p.EmailTrusted && p.Email == user.Email && !user.EmailVerified {
		return c.prove(ctx, tx, user, p.Email, keep{p.Issuer, p.Subject}, a.visitor)
	}
	return user, nil
}

func linkOf(u identity.User, p upstream.Profile, at time.Time) identity.Link {
	return identity.Link{
		Issuer: p.Issuer, Subject: p.Subject, UserID: u.ID, Upstream: p.Upstream, Email: p.Email, CreatedAt: at,
		Profile: identity.LinkProfile{
			Username: p.Username, Name: p.Name, GivenName: p.GivenName, FamilyName: p.FamilyName, Picture: p.Picture, EmailVerified: p.EmailVerified,
		},
	}
}

// addLink stores a link and its audit entry.
func (c *Core) addLink(ctx context.Context, tx *db.Tx, cl client.Client, u identity.User, p upstream.Profile, v Visitor) error {
	now := c.Now()
	if err := identity.AddLink(ctx, tx, linkOf(u, p, now)); errors.Is(err, identity.ErrLinkTaken) {
		return errRaced
	} else if err != nil {
		return err
	}
	return audit.Record(ctx, tx, now, v.event(audit.UserLinked, u, cl, map[string]any{"upstream": p.Upstream, "issuer": p.Issuer, "subject": p.Subject}))
}

// tellOfLink mails somebody that an upstream account signs them in from now on.
func (c *Core) tellOfLink(ctx context.Context, tx *db.Tx, cl client.Client, u identity.User, key string) error {
	d := brand(cl, u)
	d.Change, d.Upstream = mail.LinkAdded, key
	if id, ok := sso.OrgOf(key); ok {
		name, err := methodOf(ctx, tx, id)
		if err != nil {
			return err
		}
		d.Upstream = name
	} else if up, err := upstream.ByKey(ctx, tx, c.Key, key); err == nil {
		d.Upstream = up.Title()
	} else if !errors.Is(err, db.ErrNotFound) {
		return err
	}
	return c.queueMail(ctx, tx, mail.LinkChanged, u.Email, d)
}

// newcomer makes the user of an upstream account, with the address that relate
// left to them.
func (c *Core) newcomer(ctx context.Context, tx *db.Tx, cl client.Client, draft identity.User, p upstream.Profile, a arrival) (identity.User, error) {
	u := newUser(draft.Email, named(p), "", c.Now())
	u.GivenName, u.FamilyName = p.GivenName, p.FamilyName // what stands in for a name is none
	u.EmailVerified = draft.EmailVerified
	u, err := c.create(ctx, tx, cl, u, a.up.Key, "", a.visitor)
	if fault.Is(err, fault.AccountExists) {
		return u, errRaced
	}
	return u, err
}

// named is a display name for a profile: what there is, in at most
// MaxDisplayName characters.
func named(p upstream.Profile) string {
	local, _, _ := strings.Cut(p.Email, "@")
	if p.EmailPrivate {
		local = ""
	}
	name := p.Name
	for _, other := range []string{p.Username, local} {
		if name == "" {
			name = other
		}
	}
	if utf8.RuneCountInString(name) > MaxDisplayName {
		name = strings.TrimSpace(string([]rune(name)[:MaxDisplayName]))
	}
	return name
}

// rename takes the upstream's names over.
func (c *Core) rename(ctx context.Context, tx *db.Tx, u identity.User, p upstream.Profile) (identity.User, error) {
	name := named(p)
	if name == u.DisplayName && p.GivenName == u.GivenName && p.FamilyName == u.FamilyName {
		return u, nil
	}
	u.DisplayName, u.GivenName, u.FamilyName = name, p.GivenName, p.FamilyName
	return u, identity.SetName(ctx, tx, u.ID, u.DisplayName, u.GivenName, u.FamilyName, c.Now())
}

// alias is the alias of a user in a client, which is made if there is none.
func (c *Core) alias(ctx context.Context, tx *db.Tx, cl client.Client, u identity.User, wanted string) (string, error) {
	has, err := identity.Alias(ctx, tx, string(cl.ID), u.ID)
	if !errors.Is(err, db.ErrNotFound) {
		return has, err
	}
	err = identity.SetAlias(ctx, tx, string(cl.ID), wanted, u.ID)
	if errors.Is(err, identity.ErrAliasTaken) {
		return "", errRaced
	}
	return wanted, err
}
