package signin_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/rig"
	"sallyport/internal/saml"
	"sallyport/internal/saml/samltest"
	"sallyport/internal/session"
	"sallyport/internal/signin"
	"sallyport/internal/sso"
)

// live reports whether a session is.
func (to *samlTour) live(cookie string) (ok bool) {
	to.t.Helper()
	to.r.Write(func(ctx context.Context, tx *db.Tx) error {
		_, err := session.ByToken(ctx, tx, cookie, to.r.Now())
		ok = err == nil
		return nil
	})
	return ok
}

// logout is what a browser brings when somebody has signed out at the provider.
func (to *samlTour) logout(id, name, index, cookie string) (signin.SSOLeft, error) {
	to.t.Helper()
	at, err := url.Parse(to.idp.Logout(to.party, id, name, index))
	if err != nil {
		to.t.Fatal(err)
	}
	return to.r.SignIn.LogoutSSO(context.Background(), signin.SSOLogout{Org: to.org.ID, Base: visitor.Base, Query: at.RawQuery, Cookie: cookie, Visitor: visitor})
}

// Who signs out at the provider is signed out here, of that session or of all, and
// of none that began otherwise.
func TestSAMLProviderEndsSessions(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		to := samlAcme(t, r, "acme", "acme.com", nil)
		to.app = r.Client("Demo", nil)
		sitting := func(index string) *signin.SignedIn {
			who := samltest.Jane
			who.Session = index
			to.idp.SetPeople(who)
			return to.in()
		}
		one, two, three := sitting("_one"), sitting("_two"), sitting("_three")
		left, err := to.logout("_bye-1", samltest.Jane.NameID, "_one", one.Session)
		if err != nil || !left.Ended || !strings.HasPrefix(left.Location, "https://idp.acme.com/slo?SAMLResponse=") || !strings.Contains(left.Location, "RelayState=relay") {
			t.Errorf("got %+v, %v", left, err)
		}
		if to.live(one.Session) || !to.live(two.Session) || !to.live(three.Session) {
			t.Error("it ended another session than the one that it named")
		}
		if _, err := r.SignIn.Refresh(t.Context(), signin.RefreshIn{ClientID: to.app.ID, Token: one.Refresh, Visitor: visitor}); err == nil {
			t.Error("its refresh token still works")
		}
		if _, err := to.logout("_bye-1", samltest.Jane.NameID, "_one", ""); !fault.Is(err, fault.UpstreamFailed) {
			t.Errorf("the same request again: %v", err)
		}
		if left, err := to.logout("_bye-2", "somebody-else", "", two.Session); err != nil || left.Ended || !to.live(two.Session) {
			t.Errorf("of somebody who is not known: %+v, %v", left, err)
		}
		if left, err := to.logout("_bye-3", samltest.Jane.NameID, "", two.Session); err != nil || !left.Ended || to.live(two.Session) || to.live(three.Session) {
			t.Errorf("of all sessions: %+v, %v", left, err)
		}
		if left, err := to.logout("_bye-4", samltest.Jane.NameID, "", ""); err != nil || left.Ended {
			t.Errorf("of no session any more: %+v, %v", left, err)
		}
	})
}

// One organization's provider ends none of another's sessions, whatever it calls
// itself, and nobody without its key does.
func TestSAMLLogoutOfOneOrganization(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Demo", nil)
		a := samlAcme(t, r, "acme", "acme.com", nil)
		b := samlAcme(t, r, "other", "other.example", func(c *sso.Connection) { c.Issuer = a.idp.EntityID() })
		a.app, b.app = app, app
		jane := a.in()
		b.idp = a.idp
		if left, err := b.logout("_bye", samltest.Jane.NameID, "", jane.Session); err != nil || left.Ended || !a.live(jane.Session) {
			t.Errorf("by another organization's: %+v, %v", left, err)
		}
		forger := samltest.New("https://idp.acme.com", r.Now)
		forger.Rotate()
		forged := *a
		forged.idp = forger
		if _, err := forged.logout("_bye", samltest.Jane.NameID, "", jane.Session); !fault.Is(err, fault.UpstreamFailed) || !a.live(jane.Session) {
			t.Errorf("by another key: %v", err)
		}
		if a.cause() == "" {
			t.Error("nobody is told why")
		}
		for name, in := range map[string]signin.SSOLogout{
			"of nobody":   {Org: "nobody", Base: visitor.Base, Query: "SAMLRequest=x"},
			"of no query": {Org: a.org.ID, Base: visitor.Base},
		} {
			left, err := r.SignIn.LogoutSSO(t.Context(), in)
			if name == "of nobody" && !fault.Is(err, fault.SSODisabled) || name == "of no query" && (err != nil || left != signin.SSOLeft{}) {
				t.Errorf("%s: %+v, %v", name, left, err)
			}
		}
	})
}

// Who signs out here is sent to the provider, which sends them back to where they
// were to go.
func TestSAMLGoodbye(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		to := samlAcme(t, r, "acme", "acme.com", nil)
		to.app = r.Client("Demo", nil)
		served := httptest.NewServer(to.idp)
		defer served.Close()
		in := to.in()
		left, err := r.SignIn.GoodbyeSSO(t.Context(), signin.SSOGoodbye{Cookie: in.Session, Base: visitor.Base, Back: "https://app.example.com/bye"})
		if err != nil || !strings.HasPrefix(left.Location, "https://idp.acme.com/slo?SAMLRequest=") || !to.live(in.Session) {
			t.Fatalf("got %+v, %v", left, err)
		}
		if err := r.SignIn.SignOut(t.Context(), in.Session, true, visitor); err != nil {
			t.Fatal(err)
		}
		browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		res, err := browser.Get(strings.Replace(left.Location, "https://idp.acme.com", served.URL, 1))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		back, err := res.Location()
		if err != nil || back.Path != "/sso/saml/slo/"+string(to.org.ID) {
			t.Fatalf("sent back to %s, %v", back, err)
		}
		if got := to.idp.Goodbyes(); len(got) != 1 || got[0] != samltest.Jane.NameID {
			t.Errorf("goodbyes to %v", got)
		}
		answer := signin.SSOLogout{Org: to.org.ID, Base: visitor.Base, Query: back.RawQuery, Visitor: visitor}
		if left, err := r.SignIn.LogoutSSO(t.Context(), answer); err != nil || left.Location != "https://app.example.com/bye" {
			t.Errorf("then to %+v, %v", left, err)
		}
		if left, err := r.SignIn.LogoutSSO(t.Context(), answer); err != nil || left != (signin.SSOLeft{}) {
			t.Errorf("the second time: %+v, %v", left, err)
		}
		for name, cookie := range map[string]string{"nobody's session": strings.Repeat("0", 64), "no cookie": "", "one that has ended": in.Session} {
			if left, err := r.SignIn.GoodbyeSSO(t.Context(), signin.SSOGoodbye{Cookie: cookie, Base: visitor.Base}); err != nil || left != (signin.SSOLeft{}) {
				t.Errorf("%s: %+v, %v", name, left, err)
			}
		}
		c := r.Connection(to.org)
		c.LogoutURL = ""
		r.SetConnection(c)
		in = to.in()
		if left, err := r.SignIn.GoodbyeSSO(t.Context(), signin.SSOGoodbye{Cookie: in.Session, Base: visitor.Base}); err != nil || left != (signin.SSOLeft{}) {
			t.Errorf("a provider without a place for it: %+v, %v", left, err)
		}
		c.LogoutURL, c.LogoutBinding = "https://idp.acme.com/slo", saml.Post
		r.SetConnection(c)
		if left, err := r.SignIn.GoodbyeSSO(t.Context(), signin.SSOGoodbye{Cookie: in.Session, Base: visitor.Base}); err != nil || left.Form == nil || left.Form.Action != c.LogoutURL {
			t.Errorf("by form: %+v, %v", left, err)
		}
	})
}
