package self

import (
	"context"
	"errors"
	"slices"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/grant"
	"sallyport/internal/logout"
)

// Access is what an application may have of the caller: by a consent, which
// spares them the question, by grants, which its tokens hang on, or by both.
// Since is when it first got something.
type Access struct {
	Client client.Client
	Scope  []string
	Since  time.Time
}

// Accesses lists the applications with access, the newest first.
func (c *Core) Accesses(ctx context.Context, who Caller) ([]Access, error) {
	var all []Access
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		all = nil
		u, err := active(ctx, tx, who)
		if err != nil {
			return err
		}
		consents, err := grant.ConsentsOf(ctx, tx, u.ID)
		if err != nil {
			return err
		}
		grants, err := grant.ByUser(ctx, tx, u.ID, "")
		if err != nil {
			return err
		}
		found := map[client.ID]*Access{}
		for _, one := range consents {
			add(found, one.ClientID, one.Scope, one.CreatedAt)
		}
		for _, g := range grants {
			if live(g, c.Now()) {
				add(found, g.ClientID, g.Scope, g.CreatedAt)
			}
		}
		for id, a := range found {
			if a.Client, err = client.ByID(ctx, tx, id); err != nil {
				return err
			}
			all = append(all, *a)
		}
		return nil
	})
	slices.SortFunc(all, func(a, b Access) int { return b.Since.Compare(a.Since) })
	return all, err
}

// live reports whether tokens may hang on a grant: a code that nobody came for
// gives no access.
func live(g grant.Grant, now time.Time) bool {
	return g.ExpiresAt.After(now) && (g.CodeExpiresAt.IsZero() || !g.RedeemedAt.IsZero())
}

func add(found map[client.ID]*Access, id client.ID, scope []string, since time.Time) {
	a := found[id]
	if a == nil {
		a = &Access{Since: since}
		found[id] = a
	}
	if since.Before(a.Since) {
		a.Since = since
	}
	for _, s := range scope {
		if !slices.Contains(a.Scope, s) {
			a.Scope = append(a.Scope, s)
		}
	}
}

// Withdraw takes back all that an application may have of the caller: it is
// asked for anew, and tokens that the application holds are no longer good. An
// application without access is no error.
func (c *Core) Withdraw(ctx context.Context, who Caller, id client.ID) error {
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		u, err := active(ctx, tx, who)
		if err != nil {
			return err
		}
		_, err = grant.ConsentOf(ctx, tx, u.ID, id)
		consented := err == nil
		if err != nil && !errors.Is(err, db.ErrNotFound) {
			return err
		}
		if err := grant.EndConsent(ctx, tx, u.ID, id); err != nil {
			return err
		}
		grants, err := grant.ByUser(ctx, tx, u.ID, id)
		if err != nil || len(grants) == 0 && !consented {
			return err // made-up ids do not fill the log
		}
		if err := logout.Place(ctx, tx, u.ID, id, c.Now()); err != nil {
			return err
		}
		return audit.Record(ctx, tx, c.Now(), audit.Event{
			Actor: audit.User(u.ID), Action: audit.ConsentWithdrawn, ClientID: id, UserID: u.ID, IP: who.IP, RequestID: who.RequestID,
			Detail: map[string]any{"email": u.Email, "name": u.DisplayName, "grants": len(grants)},
		})
	})
}
