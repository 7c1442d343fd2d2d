package server

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/config"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
	"sallyport/internal/resource"
)

// operatorRole in the console client is what makes an operator.
const operatorRole = "admin"

// operatorInvite is how long a set-up link is good.
const operatorInvite = 24 * time.Hour

// ErrOperator reports somebody who is an operator already.
var ErrOperator = errors.New("is an operator already")

// Invitation is a set-up link for an operator.
type Invitation struct {
	Email     string    `json:"email"`
	Link      string    `json:"link"`
	ExpiresAt time.Time `json:"expires_at"`
}

// InviteOperator makes a link by which the owner of an address becomes an
// operator: an invitation to the console client with the role for it. An
// earlier link for the address ends, so a lost one is replaced by asking again.
// It is for the command line, whose user holds the database anyway; so the link
// is shown and nothing is mailed.
func InviteOperator(ctx context.Context, c config.Config, d *db.DB, email string, now time.Time) (Invitation, error) {
	address, err := identity.NormalizeEmail(email)
	if err != nil {
		return Invitation{}, fmt.Errorf("%q is not an e-mail address", email)
	}
	var made invite.Invite
	var code string
	err = d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		console, err := consoleClient(ctx, tx)
		if err != nil {
			return err
		}
		enrolled, err := enrolment(ctx, tx, address, console.ID)
		if err != nil {
			return err
		}
		switch {
		case enrolled.Has(operatorRole):
			return fmt.Errorf("%s %w", address, ErrOperator)
		case enrolled.Status == client.Active, enrolled.Status == client.Suspended:
			return fmt.Errorf("%s is enrolled in %s already (%s); give them the role %s in the resource file", address, console.Name, enrolled.Status, operatorRole)
		}
		made, code, err = invite.Create(ctx, tx, c.SecretKey, invite.Invite{
			ClientID: console.ID, Email: address, Roles: []string{operatorRole}, InvitedBy: "operator", ExpiresAt: now.Add(operatorInvite),
		}, now)
		if err != nil {
			return err
		}
		return audit.Record(ctx, tx, now, audit.Event{
			Actor: audit.Operator("command line"), Action: audit.InviteCreated, ClientID: console.ID,
			Detail: map[string]any{"invite_id": made.ID, "email": address, "roles": made.Roles},
		})
	})
	if err != nil {
		return Invitation{}, err
	}
	query := url.Values{"app_id": {string(made.ClientID)}, "code": {code}}
	return Invitation{Email: address, Link: c.PublicURL + "/invite?" + query.Encode(), ExpiresAt: made.ExpiresAt}, nil
}

// consoleClient is the client whose administrators are operators.
func consoleClient(ctx context.Context, tx *db.Tx) (client.Client, error) {
	s, err := resource.SurfacesOf(ctx, tx)
	if err != nil {
		return client.Client{}, err
	}
	if s.Keymaster == nil || s.Keymaster.ConsoleClient == "" {
		return client.Client{}, errors.New("there is no console client yet; name one in the resource file under surfaces: keymaster: console_client, and apply it")
	}
	c, err := client.ByID(ctx, tx, client.ID(s.Keymaster.ConsoleClient))
	if err != nil {
		return c, fmt.Errorf("read console client: %w", err)
	}
	if !slices.Contains(c.Policy.Roles.Available, operatorRole) {
		return c, fmt.Errorf("the console client %s has no role %s; it has %s", c.Name, operatorRole, strings.Join(c.Policy.Roles.Available, ", "))
	}
	return c, nil
}

// enrolment is the place in a client of whoever has the address, the zero one
// for nobody.
func enrolment(ctx context.Context, tx *db.Tx, address string, c client.ID) (client.Enrolment, error) {
	u, err := identity.ByEmail(ctx, tx, address)
	if errors.Is(err, db.ErrNotFound) {
		return client.Enrolment{}, nil
	}
	if err != nil {
		return client.Enrolment{}, err
	}
	e, err := client.EnrolmentOf(ctx, tx, u.ID, c)
	if errors.Is(err, db.ErrNotFound) {
		return client.Enrolment{}, nil
	}
	return e, err
}
