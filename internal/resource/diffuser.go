package resource

import (
	"context"
	"maps"
	"slices"
	"strings"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/directory"
	"sallyport/internal/eviction"
	"sallyport/internal/identity"
	"sallyport/internal/logout"
	"sallyport/internal/token"
	"sallyport/internal/yaml"
)

// step is one part of a change.
type step func(ctx context.Context, tx *db.Tx) error

// userDiff is one user of the file on the way to a change.
type userDiff struct {
	*differ
	u      *User
	was    person
	exists bool
	next   identity.User
	o      ownedUser
	c      *Change
	steps  []step
	cut    bool            // who is signed in must not stay so
	comes  []client.Client // where they get a place
}

func (d *differ) user(path string, u *User) {
	was, exists := d.s.people[u.Email]
	x := &userDiff{differ: d, u: u, was: was, exists: exists, next: was.User, c: &Change{Action: Update, Kind: "user", Name: u.Email}}
	if exists {
		if first := d.seen[was.ID]; first != "" {
			d.wrong(path+".email", "%s and %s are addresses of one user", first, u.Email)
		}
	} else {
		x.c.Action = Create
		x.next = identity.User{ID: identity.NewUserID(), Email: u.Email, EmailVerified: u.EmailVerified, Status: identity.Active, CreatedAt: d.now}
		x.o.Made = true
	}
	d.seen[x.next.ID] = u.Email
	if o, ok := d.next.Users[x.next.ID]; ok {
		x.o = o
	}
	x.profile()
	x.password()
	x.totp()
	for i := range u.Enrolments {
		x.enrolment(&u.Enrolments[i])
		x.alias(yaml.Index(path+".enrolments", i)+".alias", &u.Enrolments[i])
	}
	for i := range u.Memberships {
		x.membership(yaml.Index(path+".memberships", i), u.Memberships[i])
	}
	x.leave(path + ".memberships")
	x.unenrol()
	for _, cl := range x.comes { // after the memberships: who has one needs none of their own
		x.steps = append(x.steps, func(ctx context.Context, tx *db.Tx) error { return x.ownAccount(ctx, tx, cl) })
	}
	d.next.Users[x.next.ID] = x.o

	c := *x.c
	c.do = x.do
	d.add(c)
}

// do carries the change out: the user first, then what hangs on them.
func (x *userDiff) do(ctx context.Context, tx *db.Tx) error {
	e := audit.Event{Action: audit.UserCreated, UserID: x.next.ID, Detail: map[string]any{"email": x.u.Email, "name": x.next.DisplayName}}
	if x.exists {
		e.Action, e.Detail["fields"] = audit.UserUpdated, names(x.c.Fields)
	} else if err := identity.Create(ctx, tx, x.next); err != nil {
		return err
	}
	if err := x.record(ctx, tx, e); err != nil {
		return err
	}
	for _, s := range x.steps {
		if err := s(ctx, tx); err != nil {
			return err
		}
	}
	if x.cut && x.exists {
		_, err := eviction.Everything(ctx, tx, x.next.ID, x.now)
		return err
	}
	return nil
}

func (x *userDiff) field(name, was, becomes string) bool {
	if was == becomes {
		return false
	}
	x.c.Fields = append(x.c.Fields, Field{name, was, becomes})
	return true
}

// then adds a part of an update; of a new user, identity.Create does it.
func (x *userDiff) then(s step) {
	if x.exists {
		x.steps = append(x.steps, s)
	}
}

// say adds the audit entry of a part of an update.
func (x *userDiff) say(action audit.Action, detail map[string]any) {
	x.then(func(ctx context.Context, tx *db.Tx) error {
		return x.record(ctx, tx, audit.Event{Action: action, UserID: x.next.ID, Detail: detail})
	})
}

func (x *userDiff) profile() {
	u := x.u
	x.next.DisplayName, x.next.GivenName, x.next.FamilyName = fullName(u, x.was.User)
	named := x.field("display_name", x.was.DisplayName, x.next.DisplayName)
	named = x.field("given_name", x.was.GivenName, x.next.GivenName) || named
	named = x.field("family_name", x.was.FamilyName, x.next.FamilyName) || named
	if named {
		x.then(func(ctx context.Context, tx *db.Tx) error {
			return identity.SetName(ctx, tx, x.next.ID, x.next.DisplayName, x.next.GivenName, x.next.FamilyName, x.now)
		})
	}
	if u.Status != "" {
		x.next.Status = identity.Status(u.Status)
	}
	if x.field("status", string(x.was.Status), string(x.next.Status)) {
		x.then(func(ctx context.Context, tx *db.Tx) error {
			// It is the operator's word from now on, and no directory's to take back.
			if _, err := directory.Release(ctx, tx, x.next.ID); err != nil {
				return err
			}
			return identity.SetStatus(ctx, tx, x.next.ID, x.next.Status, x.now)
		})
		action := audit.UserUnsuspended
		if x.next.Status != identity.Active {
			action, x.cut = audit.UserSuspended, true
		}
		x.say(action, map[string]any{"status": string(x.next.Status)})
	}
	// An address that its owner has proved since stays proved.
	if u.EmailVerified && !x.was.verified {
		x.field("email_verified", "false", "true")
		x.then(func(ctx context.Context, tx *db.Tx) error {
			_, err := identity.VerifyEmail(ctx, tx, x.next.ID, u.Email, x.now)
			return err
		})
		x.say(audit.UserEmailVerified, map[string]any{"email": u.Email})
	}
}

// fullName is what a user is called: as the file says, and where it says
// nothing, as they are called already or as their display name reads.
func fullName(u *User, was identity.User) (display, given, family string) {
	display, given, family = was.DisplayName, was.GivenName, was.FamilyName
	if u.DisplayName != "" && u.DisplayName != was.DisplayName {
		display = u.DisplayName
		given, family = identity.Names(display)
	}
	if u.GivenName != nil {
		given = *u.GivenName
	}
	if u.FamilyName != nil {
		family = *u.FamilyName
	}
	if display == "" && was.ID == "" {
		display = strings.TrimSpace(given + " " + family)
	}
	return display, given, family
}

func (x *userDiff) enrolment(e *Enrolment) {
	cl := x.clients[e.Client]
	x.enrols[inviteKey(cl.ID, x.u.Email)] = true
	was, exists := x.s.enrolments[x.next.ID][cl.ID]
	next := client.Enrolment{UserID: x.next.ID, ClientID: cl.ID, Status: client.Active, Roles: cl.Policy.Roles.Default, CreatedAt: x.now}
	before := ""
	if exists {
		next, before = was, enrolmentText(was)
	}
	if e.Roles != nil {
		next.Roles = *e.Roles
	}
	if e.Status != "" {
		next.Status = client.Status(e.Status)
	}
	if !exists {
		if x.o.Enrolments == nil {
			x.o.Enrolments = map[client.ID]bool{}
		}
		x.o.Enrolments[cl.ID] = true
		x.comes = append(x.comes, cl)
	}
	if !x.field("enrolments."+e.Client, before, enrolmentText(next)) {
		return
	}
	x.steps = append(x.steps, func(ctx context.Context, tx *db.Tx) error {
		if exists {
			if err := client.PutEnrolment(ctx, tx, next, x.now); err != nil {
				return err
			}
			return x.enrolmentChanged(ctx, tx, cl, was, next)
		}
		if made, err := client.Enrol(ctx, tx, next); err != nil {
			return err
		} else if !made {
			return errMoved
		}
		return x.recordIn(ctx, tx, cl, audit.UserEnrolled, map[string]any{"roles": nonNil(next.Roles), "status": string(next.Status)})
	})
}

func enrolmentText(e client.Enrolment) string { return string(e.Status) + " [" + joined(e.Roles) + "]" }

// enrolmentChanged records a change as webhooks want to hear of it, and signs a
// suspended user out of the client.
func (x *userDiff) enrolmentChanged(ctx context.Context, tx *db.Tx, cl client.Client, was, next client.Enrolment) error {
	if !slices.Equal(was.Roles, next.Roles) {
		err := x.recordIn(ctx, tx, cl, audit.UserRoleChanged, map[string]any{"roles": nonNil(next.Roles), "previous_roles": nonNil(was.Roles)})
		if err != nil {
			return err
		}
	}
	if was.Status == next.Status {
		return nil
	}
	action := audit.UserUnsuspended
	switch {
	case next.Status == client.Suspended:
		action = audit.UserSuspended
	case was.Status == client.Pending:
		action = audit.UserApproved
	}
	if next.Status != client.Active {
		if err := logout.Place(ctx, tx, x.next.ID, cl.ID, x.now); err != nil {
			return err
		}
	}
	if was.Status == client.Suspended || next.Status == client.Pending {
		// While they are suspended, the refresh tokens are kept to be told why.
		if _, err := token.EndByUserClient(ctx, tx, x.next.ID, cl.ID); err != nil {
			return err
		}
	}
	return x.recordIn(ctx, tx, cl, action, map[string]any{"status": string(next.Status)})
}

// recordIn records what happened to the user in a client.
func (x *userDiff) recordIn(ctx context.Context, tx *db.Tx, cl client.Client, action audit.Action, detail map[string]any) error {
	detail["email"], detail["name"] = x.next.Email, x.next.DisplayName
	return x.record(ctx, tx, audit.Event{Action: action, ClientID: cl.ID, UserID: x.next.ID, Detail: detail, Announce: cl.HasWebhooks})
}

// unenrol prunes the places that the file gave the user and names no more.
func (x *userDiff) unenrol() {
	named := map[client.ID]bool{}
	for _, e := range x.u.Enrolments {
		named[x.clients[e.Client].ID] = true
	}
	maps.DeleteFunc(x.o.Enrolments, func(id client.ID, _ bool) bool {
		_, there := x.s.byID[id]
		return !there && !named[id]
	})
	for _, cl := range x.s.clients { // in a fixed order
		if !x.o.Enrolments[cl.ID] || named[cl.ID] {
			continue
		}
		was, there := x.s.enrolments[x.next.ID][cl.ID]
		if there && !x.differ.o.Prune {
			continue
		}
		delete(x.o.Enrolments, cl.ID)
		if !there {
			continue
		}
		if x.unenrolled[x.next.ID] == nil {
			x.unenrolled[x.next.ID] = map[client.ID]bool{}
		}
		x.unenrolled[x.next.ID][cl.ID] = true
		x.field("enrolments."+fileKey(cl), enrolmentText(was), "")
		x.steps = append(x.steps, func(ctx context.Context, tx *db.Tx) error {
			if err := client.Remove(ctx, tx, x.next.ID, cl.ID); err != nil {
				return err
			}
			if err := logout.Place(ctx, tx, x.next.ID, cl.ID, x.now); err != nil {
				return err
			}
			if _, err := token.EndByUserClient(ctx, tx, x.next.ID, cl.ID); err != nil {
				return err
			}
			return x.recordIn(ctx, tx, cl, audit.UserDeleted, map[string]any{})
		})
	}
}
