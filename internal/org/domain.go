package org

import (
	"context"
	"errors"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/secret"
)

const domainColumns = `d.id, d.org_id, d.name, d.token, d.client_id, d.verified_at, d.created_at`

func scanDomain(r db.Row) (d Domain, err error) {
	var verified, created db.Time
	err = r.Scan(&d.ID, &d.OrgID, &d.Name, &d.Token, &d.Client, &verified, &created)
	d.VerifiedAt, d.CreatedAt = verified.Time, created.Time
	return d, err
}

// tokenBytes is the size of what proves a domain, before hexadecimal.
const tokenBytes = 24

// Claim notes that an organization says that a domain is its own, and returns the
// claim; the one that there is already stays as it is. Any number may claim one.
func Claim(ctx context.Context, tx *db.Tx, id ID, name string, now time.Time) (Domain, error) {
	_, err := tx.Exec(ctx, `INSERT INTO org_domains (id, org_id, name, token, created_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (org_id, name) DO NOTHING`,
		identity.NewID(), id, name, secret.Hex(tokenBytes), db.At(now))
	if err != nil {
		return Domain{}, err
	}
	return DomainOf(ctx, tx, id, name)
}

// DomainOf returns an organization's claim to a domain, or db.ErrNotFound.
func DomainOf(ctx context.Context, tx *db.Tx, id ID, name string) (Domain, error) {
	return db.One(ctx, tx, scanDomain, `SELECT `+domainColumns+` FROM org_domains d WHERE d.org_id = $1 AND d.name = $2`, id, name)
}

// DomainByID returns a claim, or db.ErrNotFound.
func DomainByID(ctx context.Context, tx *db.Tx, id string) (Domain, error) {
	return db.One(ctx, tx, scanDomain, `SELECT `+domainColumns+` FROM org_domains d WHERE d.id = $1`, id)
}

// Domains returns the claims of an organization by name.
func Domains(ctx context.Context, tx *db.Tx, id ID) ([]Domain, error) {
	return db.All(ctx, tx, scanDomain, `SELECT `+domainColumns+` FROM org_domains d WHERE d.org_id = $1 ORDER BY d.name`, id)
}

// ByDomain returns the organization that has verified a domain, or db.ErrNotFound.
func ByDomain(ctx context.Context, tx *db.Tx, name string) (Org, error) {
	return db.One(ctx, tx, scan, `SELECT `+columns+` FROM org_domains d JOIN orgs o ON o.id = d.org_id WHERE d.name = $1 AND d.verified_at IS NOT NULL`, name)
}

// Verify notes that a claim was proved. Of several organizations that prove one
// domain the first has it; the others get ErrDomainTaken.
func Verify(ctx context.Context, tx *db.Tx, id ID, name string, now time.Time) error {
	n, err := tx.Exec(ctx, `UPDATE org_domains SET verified_at = COALESCE(verified_at, $3) WHERE org_id = $1 AND name = $2
		AND NOT EXISTS (SELECT 1 FROM org_domains x WHERE x.name = $2 AND x.org_id <> $1 AND x.verified_at IS NOT NULL)`, id, name, db.At(now))
	if errors.Is(err, db.ErrConflict) { // another proved it meanwhile
		return ErrDomainTaken
	}
	if err != nil || n == 1 {
		return err
	}
	if _, err := DomainOf(ctx, tx, id, name); err != nil {
		return err
	}
	return ErrDomainTaken
}

// Unverify takes back that a claim was proved.
func Unverify(ctx context.Context, tx *db.Tx, id ID, name string) error {
	return one(tx.Exec(ctx, `UPDATE org_domains SET verified_at = NULL WHERE org_id = $1 AND name = $2`, id, name))
}

// SetDomainClient says which application answers on a domain, "" for none.
func SetDomainClient(ctx context.Context, tx *db.Tx, id ID, name string, c client.ID) error {
	return one(tx.Exec(ctx, `UPDATE org_domains SET client_id = $3 WHERE org_id = $1 AND name = $2`, id, name, orNull(c)))
}

// ClientOf returns the application that answers on a verified domain, or
// db.ErrNotFound.
func ClientOf(ctx context.Context, tx *db.Tx, name string) (client.ID, error) {
	id, err := db.One(ctx, tx, db.Text, `SELECT client_id FROM org_domains WHERE name = $1 AND verified_at IS NOT NULL AND client_id IS NOT NULL`, name)
	return client.ID(id), err
}

// Disclaim takes a claim back; db.ErrNotFound if there was none.
func Disclaim(ctx context.Context, tx *db.Tx, id ID, name string) error {
	return one(tx.Exec(ctx, `DELETE FROM org_domains WHERE org_id = $1 AND name = $2`, id, name))
}
