package rig

import (
	"context"
	"net/http/httptest"

	"sallyport/internal/db"
	"sallyport/internal/org"
	"sallyport/internal/sso"
	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
)

// Org makes an organization that has proved domains and has no members.
func (r *Rig) Org(slug string, domains ...string) org.Org {
	r.t.Helper()
	var o org.Org
	r.Write(func(ctx context.Context, tx *db.Tx) (err error) {
		if o, err = org.Create(ctx, tx, org.Org{Slug: slug, Name: "Org " + slug}, r.Now()); err != nil {
			return err
		}
		for _, d := range domains {
			if _, err := org.Claim(ctx, tx, o.ID, d, r.Now()); err != nil {
				return err
			}
			if err := org.Verify(ctx, tx, o.ID, d, r.Now()); err != nil {
				return err
			}
		}
		return nil
	})
	return o
}

// Provider serves a fake OpenID provider that no organization has yet.
func (r *Rig) Provider(people ...upstreamtest.Person) (fake *upstreamtest.Fake, issuer string) {
	r.t.Helper()
	s := httptest.NewUnstartedServer(nil)
	issuer = "http://" + s.Listener.Addr().String()
	fake = upstreamtest.New(upstream.OIDC, issuer, r.Now, people...)
	s.Config.Handler = fake
	s.Start()
	r.t.Cleanup(s.Close)
	return fake, issuer
}

// Connect serves a fake OpenID provider of an organization's own and has it sign in
// the organization's people. change, which may be nil, changes the connection.
func (r *Rig) Connect(o org.Org, change func(*sso.Connection), people ...upstreamtest.Person) *upstreamtest.Fake {
	r.t.Helper()
	fake, issuer := r.Provider(people...)
	c := sso.Connection{
		OrgID: o.ID, Kind: sso.OIDC, Provider: sso.Okta, Enabled: true, JIT: true, Issuer: issuer,
		ClientID: upstreamtest.ClientID, Secret: upstreamtest.ClientSecret,
	}
	if change != nil {
		change(&c)
	}
	r.SetConnection(c)
	return fake
}

// SetConnection stores the connection of an organization.
func (r *Rig) SetConnection(c sso.Connection) {
	r.t.Helper()
	r.Write(func(ctx context.Context, tx *db.Tx) error { _, err := sso.Set(ctx, tx, r.Key, c, r.Now()); return err })
}

// Connection reads it.
func (r *Rig) Connection(o org.Org) sso.Connection {
	r.t.Helper()
	var c sso.Connection
	r.Write(func(ctx context.Context, tx *db.Tx) (err error) { c, err = sso.ByOrg(ctx, tx, r.Key, o.ID); return err })
	return c
}
