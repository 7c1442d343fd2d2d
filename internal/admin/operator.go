package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
)

// operatorInvite is how long a set-up link is good.
const operatorInvite = 24 * time.Hour

// consoleKey is what the resource file calls a console client that we make.
const consoleKey = "console"

// OperatorInvite makes an invitation to the installation's console client with
// the role admin, for the command line: whoever may run it holds the database
// anyway, so the link is shown, whatever account the address has, and nothing is
// mailed. An earlier link for the address ends, so a lost one is replaced by
// asking again. An installation that has no console client gets one. base is the
// public URL. Fails with fault.EmailInvalid, and fault.AlreadyEnrolled for
// somebody who has a place in the console.
func (c *Core) OperatorInvite(ctx context.Context, email, base string) (Invited, error) {
	address, err := identity.NormalizeEmail(email)
	if err != nil {
		return Invited{}, &fault.Error{Code: fault.EmailInvalid, Field: "email", Err: err}
	}
	var out Invited
	for range rounds {
		err = c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
			out, err = c.operatorInvite(ctx, tx, address, base)
			return err
		})
		if !errors.Is(err, db.ErrConflict) {
			break
		}
	}
	return out, err
}

func (c *Core) operatorInvite(ctx context.Context, tx *db.Tx, address, base string) (Invited, error) {
	now := c.Now()
	cl, err := c.console(ctx, tx, now)
	if err != nil {
		return Invited{}, err
	}
	if _, err := mayInvite(ctx, tx, address, cl.ID); err != nil {
		return Invited{}, err
	}
	roles := []string{roleAdmin}
	made, code, err := invite.Create(ctx, tx, c.Key, invite.Invite{
		ClientID: cl.ID, Email: address, Roles: roles, InvitedBy: "operator", ExpiresAt: now.Add(operatorInvite),
	}, now)
	if err != nil {
		return Invited{}, err
	}
	return Invited{Invite: made, Code: code, Link: inviteLink(cl, base, code)}, audit.Record(ctx, tx, now, audit.Event{
		Actor: audit.Operator("command line"), Action: audit.InviteCreated, ClientID: cl.ID,
		Detail: map[string]any{"invite_id": made.ID, "email": address, "roles": roles},
	})
}

// console reads the installation's console client, and makes it if none is
// named. Of two who find none one makes it; the other gets db.ErrConflict and
// tries anew.
func (c *Core) console(ctx context.Context, tx *db.Tx, now time.Time) (client.Client, error) {
	row, err := consoleText(ctx, tx)
	if err != nil && !errors.Is(err, db.ErrNotFound) {
		return client.Client{}, err
	}
	settings := map[string]any{}
	if row != "" {
		if err := json.Unmarshal([]byte(row), &settings); err != nil {
			return client.Client{}, fmt.Errorf("setting %s: %w", consoleRow, err)
		}
	}
	if id, _ := settings["console_client"].(string); id != "" {
		cl, err := client.ByID(ctx, tx, client.ID(id))
		if err == nil && !slices.Contains(cl.Policy.Roles.Available, roleAdmin) {
			err = fmt.Errorf("console client %s has no role %s", cl.Name, roleAdmin)
		}
		return cl, err
	}
	cl := newConsole(c, "Console")
	if _, err := client.ByKey(ctx, tx, consoleKey); errors.Is(err, db.ErrNotFound) {
		cl.Key = consoleKey
	} else if err != nil {
		return cl, err
	}
	settings["console_client"] = cl.ID
	value, err := json.Marshal(settings)
	if err != nil {
		return cl, err
	}
	switch ours, err := setConsole(ctx, tx, row, string(value), now); {
	case err != nil:
		return cl, err
	case !ours:
		return cl, db.ErrConflict
	}
	if err := client.Create(ctx, tx, cl); err != nil {
		return cl, err
	}
	return cl, audit.Record(ctx, tx, now, audit.Event{
		Actor: audit.Operator("command line"), Action: audit.ClientCreated, ClientID: cl.ID, Detail: map[string]any{"name": cl.Name},
	})
}
