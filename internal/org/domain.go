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

const domainColumns = `id, org_id, name, token, client_id, verified_at, created_at, expires_at, checked_at, check_at, failures`

func scanDomain(r db.Row) (d Domain, err error) {
	var verified, created, expires, checked, check db.Time
	err = r.Scan(&d.ID, &d.OrgID, &d.Name, &d.Token, &d.Client, &verified, &created, &expires, &checked, &check, &d.Failures)
	d.VerifiedAt, d.CreatedAt, d.ExpiresAt, d.CheckedAt, d.CheckAt = verified.Time, created.Time, expires.Time, checked.Time, check.Time
	return d, err
}

// tokenBytes is the size of what proves a domain, before hexadecimal.
const tokenBytes = 24

// ClaimLifetime is how long a claim may wait for its proof.
const ClaimLifetime = 7 * 24 * time.Hour

// Claim notes that an organization says that a domain is its own, and returns the
// claim; the one that there is already stays as it is, unless it waited for its proof
// too long: then it has another token. Any number may claim one.
func Claim(ctx context.Context, tx *db.Tx, id ID, name string, now time.Time) (Domain, error) {
	_, err := tx.Exec(ctx, `INSERT INTO org_domains (id, org_id, name, token, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (org_id, name) DO UPDATE SET token = $4, expires_at = $6, checked_at = NULL, failures = 0
		WHERE org_domains.verified_at IS NULL AND org_domains.expires_at <= $5`,
		identity.NewID(), id, name, secret.Hex(tokenBytes), db.At(now), db.At(now.Add(ClaimLifetime)))
	if err != nil {
		return Domain{}, err
	}
	return DomainOf(ctx, tx, id, name)
}

// DomainOf returns an organization's claim to a domain, or db.ErrNotFound.
func DomainOf(ctx context.Context, tx *db.Tx, id ID, name string) (Domain, error) {
	return db.One(ctx, tx, scanDomain, `SELECT `+domainColumns+` FROM org_domains WHERE org_id = $1 AND name = $2`, id, name)
}

// Domains returns the claims of an organization by name.
func Domains(ctx context.Context, tx *db.Tx, id ID) ([]Domain, error) {
	return db.All(ctx, tx, scanDomain, `SELECT `+domainColumns+` FROM org_domains WHERE org_id = $1 ORDER BY name`, id)
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
