package enterprise_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/audit"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/enterprise"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/outbound"
	"sallyport/internal/sso"
)

func TestConnectionIsSetUp(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		_, in := f.provider()
		v := f.connect(f.link, in)
		want := sso.Connection{
			OrgID: f.org.ID, Kind: sso.OIDC, Provider: sso.Okta, Enabled: true, JIT: true, Revision: 1, Issuer: in.Issuer, ClientID: in.ClientID,
			Scopes: []string{"openid", "profile", "email"}, CreatedAt: f.Now(), UpdatedAt: f.Now(),
		}
		if diff := cmp.Diff(want, *v.Connection); diff != "" || !v.HasSecret {
			t.Errorf("has a secret: %v; -want +got:\n%s", v.HasSecret, diff)
		}
		if text, ok := f.Mail("owner@acme.com"); !ok || !strings.Contains(text, "done with a set-up link") || !strings.Contains(text, "It is now: Okta") {
			t.Errorf("mail: %s", text)
		}
		if e := f.last(); e.Action != audit.ConnectionSet || e.Actor.Kind != audit.KindSetupLink || e.Detail["issuer"] != in.Issuer {
			t.Errorf("logged %+v", e)
		}
		off := false
		in.Secret, in.JIT, in.Scopes = "", &off, []string{"openid", "groups"}
		v = f.connect(f.owner, in)
		if v.Connection.JIT || len(v.Connection.Scopes) != 2 || !v.HasSecret || f.Connection(f.org).Secret == "" {
			t.Errorf("changed: %+v", v.Connection)
		}
		v, err := f.Enterprise.Enable(t.Context(), f.link, "", false)
		if err != nil || v.Connection.Enabled || f.Connection(f.org).Enabled {
			t.Errorf("switched off: %+v %v", v.Connection, err)
		}
		f.Mail("owner@acme.com")
		f.connect(f.owner, enterprise.ConnectionIn{Kind: sso.OIDC, Provider: in.Provider, Issuer: in.Issuer, ClientID: in.ClientID})
		if text, ok := f.Mail("owner@acme.com"); ok {
			t.Errorf("mailed of nothing: %s", text)
		}
		is(t, "remove", f.Enterprise.RemoveConnection(t.Context(), f.owner, f.org.ID), "")
		if text, ok := f.Mail("owner@acme.com"); !ok || !strings.Contains(text, "was removed") || !strings.Contains(text, "done by owner@acme.com") {
			t.Errorf("mail: %s", text)
		}
		if v, err := f.Enterprise.View(t.Context(), f.owner, f.org.ID); err != nil || v.Connection != nil || v.HasSecret {
			t.Errorf("removed: %+v %v", v, err)
		}
		is(t, "remove once more", f.Enterprise.RemoveConnection(t.Context(), f.owner, f.org.ID), "")
	})
}

// Nothing that is read back, logged or mailed holds a secret.
func TestSecretsAreNotReadBack(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		idp, _ := f.samlProvider()
		_, in := f.provider()
		const hidden = "sk_fake_secret_of_sallyport"
		shown := func(what string, v enterprise.View) {
			t.Helper()
			b, err := json.Marshal(v)
			text := fmt.Sprintf("%s %+v", b, v)
			if v.Connection != nil {
				for _, k := range v.Connection.Keys {
					text += k.Key.Reveal()
				}
				text += v.Connection.Secret.Reveal()
			}
			if err != nil || strings.Contains(text, hidden) || strings.Contains(text, "PRIVATE") || v.Connection != nil && (v.Connection.Secret != "" || len(v.Connection.Keys) > 0 && v.Connection.Keys[0].Key != "") {
				t.Errorf("%s shows a secret (%v): %.300s", what, err, text)
			}
		}
		shown("connect", f.connect(f.owner, in))
		for _, who := range []enterprise.Actor{f.owner, f.link, f.runner} {
			v, err := f.Enterprise.View(t.Context(), who, f.org.ID)
			is(t, "view", err, "")
			shown("view", v)
		}
		shown("SAML", f.connect(f.owner, enterprise.ConnectionIn{Kind: sso.SAML, Provider: "okta", MetadataURL: idp.EntityID()}))
		if c := f.Connection(f.org); len(c.Keys) != 1 || c.Keys[0].Key == "" || c.Secret != "" {
			t.Errorf("stored with %d keys", len(c.Keys))
		}
		token, v, err := f.Enterprise.SetDirectory(t.Context(), f.link, "", true)
		if err != nil || len(token) < 40 || len(v.Directory.Tokens) != 1 || strings.Contains(fmt.Sprintf("%+v", v), token) {
			t.Errorf("directory: %q %+v %v", token, v.Directory, err)
		}
		all, _, err := f.Enterprise.AuditLogs(t.Context(), f.owner, f.org.ID, enterprise.AuditIn{Limit: enterprise.MaxAudit})
		if text := fmt.Sprintf("%+v", all); err != nil || strings.Contains(text, hidden) || strings.Contains(text, token) || strings.Contains(text, f.secret) {
			t.Errorf("the log holds a secret, or %v", err)
		}
	})
}

// The secret that proves us to one issuer must not be sent to another, as whoever points
// the connection at a server of theirs would like.
func TestSecretIsKeptForItsIssuerAlone(t *testing.T) {
	t.Parallel()
	f := newFirm(t, dbtest.SQLite(t))
	_, in := f.provider()
	f.connect(f.owner, in)
	evil, other := f.provider()
	other.Secret = ""
	_, err := f.Enterprise.SetConnection(t.Context(), f.link, "", other)
	is(t, "another issuer", err, fault.FieldInvalid)
	if got := evil.Requests(); len(got) > 0 {
		t.Errorf("it was asked: %v", got)
	}
	in.Secret, in.ClientID = "", "another"
	_, err = f.Enterprise.SetConnection(t.Context(), f.link, "", in)
	is(t, "another client", err, fault.FieldInvalid)
	if c := f.Connection(f.org); c.Revision != 1 {
		t.Errorf("stored %+v", c)
	}
}

// Whoever changes the issuer gets none of the accounts that were linked at the one
// before, also if theirs gives out the same subjects.
func TestChangedIssuerTakesNoLinks(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		_, in := f.provider()
		f.connect(f.owner, in)
		f.prove("acme.com")
		ann := f.linkTo(f.admin.UserID, "7001")
		_, other := f.provider()
		_, err := f.Enterprise.SetConnection(t.Context(), f.link, "", other)
		is(t, "unconfirmed", err, fault.OrgHolds, "1")
		if v, err := f.Enterprise.View(t.Context(), f.owner, f.org.ID); err != nil || v.Linked != 1 || v.Connection.Issuer != in.Issuer || !f.alive(ann) {
			t.Errorf("changed all the same: %+v %v", v, err)
		}
		in.JIT = new(bool)
		f.connect(f.owner, in) // the same issuer asks for nothing
		if f.links(f.admin.UserID) != 1 || !f.alive(ann) {
			t.Error("the same issuer cut links")
		}
		other.Confirm = true
		v := f.connect(f.link, other)
		if v.Linked != 0 || f.links(f.admin.UserID) != 0 || f.alive(ann) {
			t.Errorf("%d links are left, or a session", v.Linked)
		}
		back := in
		back.Confirm, back.Secret = true, other.Secret
		f.connect(f.owner, back)
		if f.links(f.admin.UserID) != 0 {
			t.Error("the links come back with the issuer")
		}
	})
}

func TestWhatAnIssuerPublishesMustFit(t *testing.T) {
	t.Parallel()
	f := newFirm(t, dbtest.SQLite(t))
	var document func(base string) (int, string)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration") {
			http.NotFound(w, r)
			return
		}
		status, body := document("http://" + r.Host + strings.TrimSuffix(r.URL.Path, "/.well-known/openid-configuration"))
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(s.Close)
	plain := func(change func(m map[string]any, base string)) func(string) (int, string) {
		return func(base string) (int, string) {
			m := map[string]any{"issuer": base, "authorization_endpoint": base + "/a", "token_endpoint": base + "/t", "jwks_uri": base + "/k"}
			if change != nil {
				change(m, base)
			}
			b, _ := json.Marshal(m)
			return 200, string(b)
		}
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + free.Addr().String()
	free.Close()
	for name, c := range map[string]struct {
		issuer   string // "" is the server's
		provider string
		document func(string) (int, string)
		want     []string
	}{
		"not there":          {nobody, "", nil, []string{enterprise.IssuerUnreachable}},
		"no page":            {"", "", func(string) (int, string) { return 404, "" }, []string{enterprise.IssuerStatus, "404"}},
		"a redirect":         {"", "", func(string) (int, string) { return 302, "" }, []string{enterprise.IssuerStatus, "302"}},
		"broken":             {"", "", func(string) (int, string) { return 500, "" }, []string{enterprise.IssuerStatus, "500"}},
		"a page":             {"", "", func(string) (int, string) { return 200, "<html>" }, []string{enterprise.IssuerNotJSON}},
		"too large":          {"", "", func(string) (int, string) { return 200, strings.Repeat(" ", 300<<10) }, []string{enterprise.IssuerTooLarge}},
		"another issuer":     {"", "", plain(func(m map[string]any, _ string) { m["issuer"] = "https://evil.example\n" }), []string{enterprise.IssuerDiffers, "https://evil.example?"}},
		"a slash more":       {"", "", plain(func(m map[string]any, base string) { m["issuer"] = base + "/" }), []string{enterprise.IssuerDiffers}},
		"no token endpoint":  {"", "", plain(func(m map[string]any, _ string) { delete(m, "token_endpoint") }), []string{enterprise.IssuerEndpoints, "token_endpoint"}},
		"keys inside":        {"", "", plain(func(m map[string]any, _ string) { m["jwks_uri"] = "https://169.254.169.254/latest" }), []string{enterprise.IssuerEndpoints, "jwks_uri"}},
		"tokens in clear":    {"", "", plain(func(m map[string]any, _ string) { m["token_endpoint"] = "http://idp.example/t" }), []string{enterprise.IssuerEndpoints, "token_endpoint"}},
		"no keys":            {"", "", plain(nil), []string{enterprise.IssuerKeys}},
		"in clear":           {"http://idp.example", "", nil, []string{enterprise.IssuerNotHTTPS}},
		"the cloud's own":    {"https://169.254.169.254/latest", "", nil, []string{enterprise.IssuerPrivate}},
		"a private network":  {"https://10.1.2.3", "", nil, []string{enterprise.IssuerPrivate}},
		"another spelling":   {"https://0x0a010203", "", nil, []string{enterprise.IssuerBadURL}},
		"IPv6 in disguise":   {"https://[::ffff:10.1.2.3]", "", nil, []string{enterprise.IssuerPrivate}},
		"with a query":       {"https://idp.example/?x=1", "", nil, []string{enterprise.IssuerBadURL}},
		"with a fragment":    {"https://idp.example/#x", "", nil, []string{enterprise.IssuerBadURL}},
		"with a password":    {"https://a:b@idp.example/", "", nil, []string{enterprise.IssuerBadURL}},
		"a file":             {"file:///etc/passwd", "", nil, []string{enterprise.IssuerBadURL}},
		"everybody's Entra":  {"https://login.microsoftonline.com/common/v2.0", sso.AzureAD, nil, []string{enterprise.IssuerShared}},
		"all organizations":  {"https://login.microsoftonline.com/organizations/v2.0", sso.Generic, nil, []string{enterprise.IssuerShared}},
		"personal accounts":  {"https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0", sso.AzureAD, nil, []string{enterprise.IssuerShared}},
		"Entra's first kind": {"https://sts.windows.net/72f988bf-86f1-41af-91ab-2d7cd011db47/", sso.AzureAD, nil, []string{enterprise.IssuerShared}},
		"Entra elsewhere":    {"https://idp.example/common/v2.0", sso.AzureAD, nil, []string{enterprise.IssuerShared}},
		"Google with slash":  {"https://accounts.google.com/", sso.Generic, nil, []string{enterprise.IssuerDiffers, "https://accounts.google.com"}},
	} {
		in := enterprise.ConnectionIn{Kind: sso.OIDC, Provider: sso.Okta, Issuer: c.issuer, ClientID: "x", Secret: "y"}
		if document = c.document; c.issuer == "" {
			in.Issuer = s.URL + "/" + strings.ReplaceAll(name, " ", "-")
		}
		if c.provider != "" {
			in.Provider = c.provider
		}
		f.Advance(time.Minute)
		_, err := f.Enterprise.SetConnection(t.Context(), f.runner, f.org.ID, in)
		is(t, name, err, fault.IssuerInvalid, c.want...)
	}
	for field, in := range map[string]enterprise.ConnectionIn{
		"kind":          {},
		"provider":      {Kind: sso.OIDC, Provider: "mine"},
		"issuer":        {Kind: sso.OIDC, Provider: sso.Okta},
		"client_id":     {Kind: sso.OIDC, Provider: sso.Okta, Issuer: "https://idp.example", Secret: "y"},
		"client_secret": {Kind: sso.OIDC, Provider: sso.Okta, Issuer: "https://idp.example", ClientID: "x"},
		"scopes":        {Kind: sso.OIDC, Provider: sso.Okta, Issuer: "https://idp.example", ClientID: "x", Secret: "y", Scopes: []string{"email"}},
		"metadata":      {Kind: sso.SAML, Provider: "adfs"},
		"sign_on_url":   {Kind: sso.SAML, Provider: "adfs", Issuer: "urn:x"},
		"roles":         {Kind: sso.OIDC, Provider: sso.Okta, Roles: &[]sso.RoleRule{{Claim: "groups", Role: org.Admin}}},
	} {
		_, err := f.Enterprise.SetConnection(t.Context(), f.runner, f.org.ID, in)
		if got, ok := fault.From(err); !ok || got.Code != fault.FieldInvalid || got.Field != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
	v, err := f.Enterprise.View(t.Context(), f.runner, f.org.ID)
	if err != nil || v.Connection != nil {
		t.Errorf("something was stored: %+v %v", v.Connection, err)
	}
}

// A name that leads inside, or does so the second time that it is asked for, is found out
// when the connection is made, also by whoever reads SAML metadata.
func TestNamesThatLeadInsideAreNotFollowed(t *testing.T) {
	t.Parallel()
	f := newFirm(t, dbtest.SQLite(t))
	reached := false
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	t.Cleanup(s.Close)
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	public := netip.MustParseAddr("192.0.43.8")
	f.Names.Host("inside.example", netip.MustParseAddr("127.0.0.1"))
	f.Names.Host("mapped.example", netip.MustParseAddr("::ffff:127.0.0.1"))
	f.Names.Host("rebind.example", public, netip.MustParseAddr("127.0.0.1"))
	f.Names.Host("both.example", netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("169.254.169.254"))
	outside := *f.Enterprise
	outside.Outbound = nil
	outside.Documents = outbound.NewDocuments(outbound.Options{Timeout: 500 * time.Millisecond, Resolver: f.Names.Net()}, f.Now)
	t.Cleanup(outside.Documents.Close)
	for _, host := range []string{"inside.example", "mapped.example", "both.example", "rebind.example"} {
		for range 2 { // the second time of one that changes
			f.Advance(time.Minute)
			issuer := "https://" + host + ":" + port
			_, err := outside.SetConnection(t.Context(), f.runner, f.org.ID, enterprise.ConnectionIn{Kind: sso.OIDC, Provider: sso.Okta, Issuer: issuer, ClientID: "x", Secret: "y"})
			_, err2 := outside.SetConnection(t.Context(), f.runner, f.org.ID, enterprise.ConnectionIn{Kind: sso.SAML, Provider: "adfs", MetadataURL: issuer + "/metadata"})
			for _, err := range []error{err, err2} {
				if got, ok := fault.From(err); !ok || got.Code != fault.UpstreamUnreachable && (got.Code != fault.IssuerInvalid || got.Params[0] != enterprise.IssuerPrivate && got.Params[0] != enterprise.IssuerUnreachable) {
					t.Errorf("%s: got %v", host, err)
				}
			}
		}
	}
	if reached {
		t.Error("something inside was asked")
	}
	_, err := outside.SetConnection(t.Context(), f.runner, f.org.ID, enterprise.ConnectionIn{Kind: sso.OIDC, Provider: sso.Okta, Issuer: "https://inside.example:" + port, ClientID: "x", Secret: "y"})
	is(t, "told why", err, fault.IssuerInvalid, enterprise.IssuerPrivate)
}

func TestSilentIssuerIsNotTheCallersFault(t *testing.T) {
	t.Parallel()
	f := newFirm(t, dbtest.SQLite(t))
	slow, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slow.Close() })
	short := *f.Enterprise
	short.Documents = outbound.NewDocuments(outbound.Options{Timeout: 50 * time.Millisecond, Allow: f.Enterprise.Outbound}, f.Now)
	t.Cleanup(short.Documents.Close)
	_, err = short.SetConnection(t.Context(), f.owner, f.org.ID, enterprise.ConnectionIn{Kind: sso.OIDC, Provider: sso.Okta, Issuer: "http://" + slow.Addr().String(), ClientID: "x", Secret: "y"})
	is(t, "silent", err, fault.UpstreamUnreachable)
}

// Rules that give roles in a client are the operator's: an organization's own people
// could make themselves its administrators, or the installation's.
func TestClientRolesAreTheOperatorsToGive(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		console := f.Client("Console", nil)
		_, in := f.provider()
		with := func(rules ...sso.RoleRule) enterprise.ConnectionIn { c := in; c.Roles = &rules; return c }
		grab := sso.RoleRule{Claim: "groups", Value: "us", Client: console.ID, ClientRole: "admin"}
		own := sso.RoleRule{Claim: "groups", Value: "it", Role: org.Admin}
		for _, who := range []enterprise.Actor{f.owner, f.link} {
			_, err := f.Enterprise.SetConnection(t.Context(), who, f.org.ID, with(grab))
			is(t, "an admin of the console", err, fault.Forbidden)
			half := grab
			half.Client, half.Role = "", org.Viewer
			_, err = f.Enterprise.SetConnection(t.Context(), who, f.org.ID, with(half))
			is(t, "of some client", err, fault.Forbidden)
			f.connect(who, with(own))
		}
		_, err := f.Enterprise.SetConnection(t.Context(), f.runner, f.org.ID, with(sso.RoleRule{Claim: "groups", Value: "it", Role: org.Owner}))
		is(t, "an owner", err, fault.RoleInvalid)
		f.connect(f.runner, with(grab, own))
		for _, rules := range [][]sso.RoleRule{{}, {own}, {grab, own}, {own, grab, own}} {
			v := f.connect(f.owner, with(rules...))
			if len(v.Connection.Roles) == 0 || v.Connection.Roles[0] != grab {
				t.Errorf("%v: the operator's rule is gone: %v", rules, v.Connection.Roles)
			}
		}
		if v := f.connect(f.owner, in); len(v.Connection.Roles) < 2 {
			t.Errorf("rules that were not spoken of: %v", v.Connection.Roles)
		}
		if v := f.connect(f.runner, with()); len(v.Connection.Roles) != 0 {
			t.Errorf("the operator's own to remove: %v", v.Connection.Roles)
		}
	})
}

// What was read of a provider is not stored over what somebody else set meanwhile.
func TestConnectionsSetAtOnceTakeTurns(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		_, in := f.provider()
		var mu sync.Mutex
		stored, changed := 0, 0
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				_, err := f.Enterprise.SetConnection(t.Context(), f.owner, f.org.ID, in)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					stored++
				case fault.Is(err, fault.ConnectionChanged):
					changed++
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if stored == 0 || stored+changed != 4 {
			t.Errorf("%d stored, %d refused", stored, changed)
		}
	})
}

func TestOrganizationWithoutASlugGetsOne(t *testing.T) {
	t.Parallel()
	f := newFirm(t, dbtest.SQLite(t))
	bare := f.Org("gone")
	f.Write(func(ctx context.Context, tx *db.Tx) error {
		bare.Slug = ""
		return org.Update(ctx, tx, bare, f.Now())
	})
	_, in := f.provider()
	v, err := f.Enterprise.SetConnection(t.Context(), f.runner, bare.ID, in)
	if err != nil || !org.Slug(v.Org.Slug) {
		t.Errorf("got %q %v", v.Org.Slug, err)
	}
}

// An upstream of the operator's cannot take the name of a connection, nor the links of
// one be another's.
func TestCutTouchesOneOrganization(t *testing.T) {
	t.Parallel()
	f := newFirm(t, dbtest.SQLite(t))
	_, in := f.provider()
	f.connect(f.owner, in)
	ann := f.linkTo(f.admin.UserID, "1")
	f.Write(func(ctx context.Context, tx *db.Tx) error {
		for i, l := range []identity.Link{{Issuer: "https://accounts.google.com", Upstream: "google"}, {Issuer: sso.LinkIssuer(f.other.ID, in.Issuer), Upstream: sso.Key(f.other.ID)}} {
			l.Subject, l.UserID, l.CreatedAt = fmt.Sprint(i), f.admin.UserID, f.Now()
			if err := identity.AddLink(ctx, tx, l); err != nil {
				return err
			}
		}
		return nil
	})
	is(t, "remove", f.Enterprise.RemoveConnection(t.Context(), f.owner, f.org.ID), "")
	if n := f.links(f.admin.UserID); n != 2 || f.alive(ann) {
		t.Errorf("%d links are left, want the two of others", n)
	}
}
