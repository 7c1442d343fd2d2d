package enterprise_test

import (
	"testing"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/enterprise"
	"sallyport/internal/fault"
	"sallyport/internal/org"
)

// The owners' other way in is taken from them only where the provider works.
func TestBreakGlassIsSwitchedOffOnceTheProviderWorks(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		set := func(who enterprise.Actor, in org.SignIn, on bool) error {
			p, err := f.Enterprise.SetPolicy(t.Context(), who, f.org.ID, in, &on)
			if err == nil && (p.BreakGlass != on || p.SignIn != in) {
				t.Errorf("got %+v, want %s, %v", p, in, on)
			}
			return err
		}
		is(t, "on as it is", set(f.owner, org.SignInAny, true), "")
		is(t, "no connection", set(f.owner, org.SignInAny, false), fault.ConnectionUnready, enterprise.LacksConnection)
		is(t, "the operator", set(f.runner, org.SignInAny, false), fault.ConnectionUnready, enterprise.LacksConnection)
		_, in := f.provider()
		f.connect(f.owner, in)
		f.prove("acme.com")
		is(t, "never came by it", set(f.owner, org.SignInAny, false), fault.ConnectionUnready, enterprise.LacksSignIn)
		f.linkTo(f.owner.UserID, "owner")
		is(t, "who has a link", set(f.link, org.SignInAny, true), fault.Forbidden)
		is(t, "the owner", set(f.owner, org.SignInAny, false), "")
		if e := f.last(); e.Detail["break_glass"] != false || e.Detail["sign_in"] != "any" {
			t.Errorf("logged %+v", e)
		}
		p, err := f.Enterprise.SetPolicy(t.Context(), f.runner, f.org.ID, org.SignInSSO, nil)
		if err != nil || p.BreakGlass || p.SignIn != org.SignInSSO {
			t.Errorf("left out: %+v, %v", p, err)
		}
		is(t, "back on, with the provider demanded", set(f.runner, org.SignInSSO, true), "")
	})
}
