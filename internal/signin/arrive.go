package signin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/mail"
	"sallyport/internal/onetime"
	"sallyport/internal/session"
	"sallyport/internal/upstream"
)

// arrival is somebody whom an upstream vouches for, on the way in. browser is the
// SHA-256 of the binding cookie of the browser that they came by, or nil.
type arrival struct {
	up      upstream.Upstream
	browser []byte
	terms   Terms
	visitor Visitor
}

// relation is how an upstream account and a user came to be one.
type relation int

// The relations.
const (
	stranger  relation = iota // no user: one is to be made
	linked                    // known by issuer and subject
	linkable                  // by a verified address that the upstream vouches for too
	claimable                 // by an address that nobody proved here, which the upstream vouches for
	unproved                  // by an address alone: the owner of it must sign in first
)

// arrive finds or makes the user of an upstream account and admits them. It is
// the second half of every sign-in by an upstream, in one transaction.
func (c *Core) arrive(ctx context.Context, tx *db.Tx, out *Returned, a arrival) (*fault.Error, error) {
	p := out.Profile
	user, rel, err := c.relate(ctx, tx, out.Client, p)
	if err != nil {
		return nil, err
	}
	if f := a.terms.refuse(rel, user, p); f != nil {
		return f, c.turnedAway(ctx, tx, a.visitor, out.Client, a.up.Key, f)
	}
	if rel == unproved {
		out.Prove, err = c.awaitOwner(ctx, tx, *out, user, a)
		return nil, err
	}
	if shut, f, err := c.shut(ctx, tx, out.Client, user); err != nil {
		return nil, err
	} else if f != nil {
		return f, c.turnedAway(ctx, tx, a.visitor, out.Client, a.up.Key, f)
	} else if shut {
		out.Invite, err = c.awaitInvite(ctx, tx, *out, a)
		return nil, err
	}
	if rel == linked && a.terms.Mailbox {
		f, err := c.readdress(ctx, tx, out.Client, &user, p, a)
		if err != nil {
			return nil, err
		} else if f != nil {
			return f, c.turnedAway(ctx, tx, a.visitor, out.Client, a.up.Key, f)
		}
	}
	if user, err = c.settle(ctx, tx, out.Client, user, rel, p, a); err != nil {
		return nil, err
	}
	var refused *fault.Error
	out.Outcome, refused, err = c.admit(ctx, tx, a.proof(*out, user))
	if refused != nil && refused.Code == fault.EnrolmentPending && rel == stranger {
		out.Outcome, refused = Outcome{Pending: true}, nil
	}
	if err == nil && refused == nil && out.Client.Policy.KeepUpstreamTokens {
		err = upstream.Keep(ctx, tx, c.Key, out.Client.ID, user.ID, p, c.Now())
	}
	if err == nil && refused == nil && a.terms.Alias != "" {
		out.Alias, err = c.alias(ctx, tx, out.Client, user, a.terms.Alias+p.Subject)
	}
	return refused, err
}

// proof is what admit judges of an arrival.
func (a arrival) proof(out Returned, user identity.User) proof {
	p := proof{
		user: user, client: out.Client, amr: []string{session.Federated}, method: a.up.Key, request: out.Request, visitor: a.visitor,
		upstream:   &provenance{Key: a.up.Key, Issuer: out.Profile.Issuer, Session: out.Profile.Session, At: out.Profile.Authenticated, Impersonator: out.Profile.Impersonator},
		sessionFor: a.terms.SessionFor,
	}
	if len(a.terms.Roles) > 0 {
		email, _ := out.Profile.TrustedEmail()
		p.rules = &ruling{rules: a.terms.Roles, keep: a.terms.KeepRoles, said: client.Assertion{
			Upstream: a.up.Key, Kind: string(a.up.Kind), Email: email, Organization: out.Profile.Organization,
		}}
	}
	return p
}

// relate finds the user of an upstream account: by issuer and subject first, and
// by nothing else if the client's policy says so; then by the address. An address
// finds somebody by itself only if the upstream vouches for it and may, and if no
// other account of that upstream is theirs: a mailbox may have got a new owner.
// Of a stranger it tells the address that they would have. Where accounts are not
// linked, one that somebody has, or that is not vouched for, is left to its owner.
func (c *Core) relate(ctx context.Context, tx *db.Tx, cl client.Client, p upstream.Profile) (identity.User, relation, error) {
	user, _, err := identity.ByLink(ctx, tx, p.Issuer, p.Subject)
	if err == nil {
		return user, linked, nil
	}
	if !errors.Is(err, db.ErrNotFound) {
		return user, stranger, err
	}
	never := cl.Policy.Linking == client.LinkingNever
	if p.Email == "" || never && !p.EmailTrusted {
		return identity.User{}, stranger, nil
	}
	user, verified, err := identity.Owner(ctx, tx, p.Email)
	switch {
	case errors.Is(err, db.ErrNotFound):
		return identity.User{Email: p.Email, EmailVerified: p.EmailTrusted}, stranger, nil
	case err != nil:
		return user, stranger, err
	case never:
		return identity.User{}, stranger, nil
	}
	rel, err := ownerOf(ctx, tx, user, verified, p)
	return user, rel, err
}

// ownerOf is the relation of an upstream account to the user who has its address.
func ownerOf(ctx context.Context, tx *db.Tx, u identity.User, verified bool, p upstream.Profile) (relation, error) {
	links, err := identity.Links(ctx, tx, u.ID)
	if err != nil {
		return unproved, err
	}
	another := false
	for _, l := range links {
		if l.Issuer == p.Issuer && l.Subject == p.Subject {
			return linked, errRaced // made since we looked for it
		}
		another = another || l.Issuer == p.Issuer
	}
	switch {
	case !p.EmailTrusted, verified && another:
		return unproved, nil
	case !verified:
		return claimable, nil
	}
	return linkable, nil
}

// refuse is the fault of an arrival that the terms do not let in.
func (t Terms) refuse(r relation, u identity.User, p upstream.Profile) *fault.Error {
	switch {
	case p.Impersonator != "" && !t.Impersonation:
		return fault.New(fault.Forbidden)
	case r == linked:
		return nil
	case t.VerifiedOnly && !p.EmailTrusted:
		return fault.New(fault.EmailUnverified)
	case t.VerifiedOnly && r == unproved:
		return fault.New(fault.LinkTaken)
	case t.Existing && r == stranger:
		return fault.New(fault.UserUnknown)
	case t.NeedsEmail && r == stranger && u.Email == "":
		return fault.New(fault.EmailRequired)
	}
	return nil
}

// shut reports whether the user, or somebody new, needs an invitation; a client
// that registered itself invites nobody.
func (c *Core) shut(ctx context.Context, tx *db.Tx, cl client.Client, u identity.User) (bool, *fault.Error, error) {
	if u.ID == "" {
		open, err := takesIn(ctx, tx, cl, u.Email)
		if err != nil || open {
			return false, nil, err
		}
	} else {
		if cl.Policy.Door(u.Email, u.EmailVerified) != "" {
			return false, nil, nil
		}
		_, err := client.EnrolmentOf(ctx, tx, u.ID, cl.ID)
		if !errors.Is(err, db.ErrNotFound) {
			return false, nil, err
		}
	}
	if cl.Source != client.Operator {
		return false, fault.New(fault.NotEnrolled), nil
	}
	return true, nil, nil
}

// errRaced reports that somebody else stored the same address or the same
// upstream account first: what was found no longer holds.
var errRaced = errors.New("signin: another sign-in of the same person was first")

// again runs a transaction once more if another sign-in of the same person came
// first: then there is somebody to be found.
func (c *Core) again(write func() error) error {
	err := errRaced
	for range 3 {
		if err = write(); !errors.Is(err, errRaced) {
			break
		}
	}
	return err
}

// settle makes user and upstream account one as their relation says, and stores
// what the upstream says of them now.
func (c *Core) settle(ctx context.Context, tx *db.Tx, cl client.Client, user identity.User, rel relation, p upstream.Profile, a arrival) (identity.User, error) {
	var err error
	switch rel {
	case linked:
		if user, err = c.known(ctx, tx, user, p, a); err != nil {
			return user, err
		}
	case stranger:
		if user, err = c.newcomer(ctx, tx, cl, user, p, a); err != nil {
			return user, err
		}
	case claimable:
		// Whoever made the account had not proved the address; the owner of the
		// mailbox is here now.
		if user, err = c.prove(ctx, tx, user, p.Email, keep{}, a.visitor); err != nil {
			return user, err
		}
	case linkable, unproved:
	}
	if rel != linked {
		if err := c.addLink(ctx, tx, cl, user, p, a.visitor); err != nil {
			return user, err
		}
		if rel != stranger {
			if err := c.tellOfLink(ctx, tx, cl, user, p.Upstream); err != nil {
				return user, err
			}
		}
	}
	if a.terms.Rename && rel != stranger {
		return c.rename(ctx, tx, user, p)
	}
	return user, nil
}

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
	if up, err := upstream.ByKey(ctx, tx, c.Key, key); err == nil {
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

// turnedAway is the audit entry of a sign-in at an upstream that let nobody in.
func (c *Core) turnedAway(ctx context.Context, tx *db.Tx, v Visitor, cl client.Client, key string, f *fault.Error) error {
	return audit.Record(ctx, tx, c.Now(), v.attempt(audit.UserLoginFailed, identity.User{}, cl, map[string]any{"method": key, "reason": string(f.Code)}))
}

// waiting is a verified profile that waits for something else.
type waiting struct {
	Profile     upstream.Profile `json:"profile"`
	RedirectURI string           `json:"redirect_uri,omitempty"`
	State       string           `json:"state,omitempty"`
	Request     string           `json:"request,omitempty"`
	Data        json.RawMessage  `json:"data,omitempty"`
	Browser     []byte           `json:"browser,omitempty"`
}

// wait stores a profile, without the upstream's tokens, for another purpose.
func (c *Core) wait(ctx context.Context, tx *db.Tx, p onetime.Purpose, owner identity.UserID, out Returned, browser []byte, life time.Duration) (string, error) {
	w := waiting{Profile: out.Profile, RedirectURI: out.RedirectURI, State: out.State, Request: out.Request, Data: out.Data, Browser: browser}
	w.Profile.Tokens = upstream.Tokens{}
	data, err := json.Marshal(w)
	if err == nil && len(data) > onetime.MaxData {
		w.Profile.Roles, w.Profile.Groups = nil, nil
		data, err = json.Marshal(w)
	}
	if err != nil {
		return "", fmt.Errorf("store profile: %w", err)
	}
	now := c.Now()
	return onetime.Create(ctx, tx, onetime.Secret{Purpose: p, UserID: owner, ClientID: out.Client.ID, Data: data, ExpiresAt: now.Add(life)}, now)
}

func (c *Core) awaitInvite(ctx context.Context, tx *db.Tx, out Returned, a arrival) (string, error) {
	return c.wait(ctx, tx, onetime.Pending, "", out, a.browser, PendingLifetime)
}

func (c *Core) awaitOwner(ctx context.Context, tx *db.Tx, out Returned, owner identity.User, a arrival) (string, error) {
	return c.wait(ctx, tx, onetime.Linking, owner.ID, out, a.browser, PendingLifetime)
}
