package enterprise_test

import (
	"context"
	"testing"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/enterprise"
	"sallyport/internal/fault"
	"sallyport/internal/org"
	"sallyport/internal/sso"
)

// Where the provider alone is demanded, its last domain stays: without one nobody could
// begin a sign-in, and who never came by it would owe it nothing any more.
func TestLastDomainStaysWhereTheProviderIsDemanded(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		f.prove("acme.com")
		f.prove("acme.net")
		if _, err := f.Enterprise.AddDomain(t.Context(), f.owner, f.org.ID, "acme.org"); err != nil {
			t.Fatal(err)
		}
		policy := func(s org.SignIn) {
			f.Write(func(ctx context.Context, tx *db.Tx) error { return org.SetPolicy(ctx, tx, f.org.ID, s, true, f.Now()) })
		}
		policy(org.SignInSSO)
		f.owner.Session.Upstream = sso.Key(f.org.ID)
		remove := func(who enterprise.Actor, name string) error {
			return f.Enterprise.RemoveDomain(t.Context(), who, f.org.ID, name)
		}
		is(t, "one of two", remove(f.owner, "acme.net"), "")
		is(t, "the last", remove(f.owner, "acme.com"), fault.ConnectionUnready, enterprise.LacksPolicy)
		is(t, "the last, by a link", remove(f.link, "acme.com"), fault.ConnectionUnready, enterprise.LacksPolicy)
		is(t, "one that was never proved", remove(f.link, "acme.org"), "")
		policy(org.SignInAny)
		is(t, "where it is not demanded", remove(f.link, "acme.com"), "")
	})
}
