package org

import (
	"context"
	"regexp"
	"strings"
	"time"

	"sallyport/internal/db"
)

// FormerSlug is how long a slug that an organization gave up leads to it still, and
// is nobody else's: people keep addresses with it, and whoever took it over at once
// would get their sign-ins (contract snooplytics §14).
const FormerSlug = 30 * 24 * time.Hour

// maxDerived is the greatest length of a slug that is made of a name: there is room
// for what tells it from another one.
const maxDerived = 50

var notSlug = regexp.MustCompile(`[^a-z0-9]+`)

// SlugOf is a slug for an organization of a name: what is left of it in lower-case
// ASCII letters and digits.
func SlugOf(name string) string {
	s := strings.Trim(notSlug.ReplaceAllString(strings.ToLower(name), "-"), "-")
	if len(s) > maxDerived {
		s = strings.Trim(s[:maxDerived], "-")
	}
	if len(s) < 2 {
		return strings.TrimSuffix("org-"+s, "-")
	}
	return s
}

// notFormer is the condition that the slug is no other organization's former one at
// a time; id, slug and now are arguments of the statement.
func notFormer(id, slug, now string) string {
	return `NOT EXISTS (SELECT 1 FROM former_slugs f WHERE f.slug = ` + slug + ` AND f.org_id <> ` + id + ` AND f.until > ` + now + `)`
}

// ByFormerSlug returns the organization that had a slug until lately, or
// db.ErrNotFound.
func ByFormerSlug(ctx context.Context, tx *db.Tx, slug string, now time.Time) (Org, error) {
	return db.One(ctx, tx, scan, `SELECT `+columns+` FROM former_slugs f JOIN orgs o ON o.id = f.org_id WHERE f.slug = $1 AND f.until > $2`, slug, db.At(now))
}

// gaveUp notes that an organization has another slug than was.
func gaveUp(ctx context.Context, tx *db.Tx, o Org, was string, now time.Time) error {
	if _, err := tx.Exec(ctx, `DELETE FROM former_slugs WHERE slug = $1`, o.Slug); err != nil || was == "" {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO former_slugs (slug, org_id, until) VALUES ($1, $2, $3)
		ON CONFLICT (slug) DO UPDATE SET org_id = excluded.org_id, until = excluded.until`, was, o.ID, db.At(now.Add(FormerSlug)))
	return err
}

// SweepSlugs deletes up to n former slugs that lead nowhere any more and returns how
// many it did.
func SweepSlugs(ctx context.Context, tx *db.Tx, now time.Time, n int) (int64, error) {
	return tx.Exec(ctx, `DELETE FROM former_slugs WHERE slug IN (SELECT slug FROM former_slugs WHERE until <= $1 ORDER BY until LIMIT $2)`, db.At(now), n)
}
