package keymaster_test

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/rig"
	"sallyport/internal/token"
)

// office is who and what the transcripts of the admin API are about: the
// platform with its console, two tenants with theirs, and an app of none.
type office struct {
	console, acmeConsole, globexConsole client.Client
	shop, depot, board                  client.Client // of acme, of globex, of nobody
}

func tenant(r *rig.Rig, name, slug string) client.Tenant {
	t := client.Tenant{ID: client.TenantID(identity.NewID()), Name: name, Slug: slug, CreatedAt: r.Now()}
	r.Write(func(ctx context.Context, tx *db.Tx) error { return client.CreateTenant(ctx, tx, t) })
	return t
}

// newOffice adds the office to a rig, and what it is called to vars.
func newOffice(r *rig.Rig, vars map[string]string) office {
	of := func(t client.Tenant, console bool) func(*client.Client) {
		return func(c *client.Client) {
			c.Tenant, c.Console = t, console
			c.SecretHash = client.HashSecret(r.Key, "machine-secret")
			c.Policy.Registration = client.Invite
		}
	}
	acme, globex := tenant(r, "Acme", "acme"), tenant(r, "Globex", "globex")
	o := office{
		console:     r.Client("Console", of(client.Tenant{}, false)),
		acmeConsole: r.Client("Acme Console", of(acme, true)), globexConsole: r.Client("Globex Console", of(globex, true)),
		shop: r.Client("Shop", of(acme, false)), depot: r.Client("Depot", of(globex, false)),
		board: r.Client("Board", of(client.Tenant{}, false)),
	}
	r.Write(func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO settings (name, value, updated_at) VALUES ('surface:keymaster', $1, 0)`,
			`{"console_client":"`+string(o.console.ID)+`"}`)
		return err
	})
	for name, c := range map[string]client.Client{
		"console": o.console, "acme_console": o.acmeConsole, "globex_console": o.globexConsole,
		"shop": o.shop, "depot": o.depot, "board": o.board,
	} {
		vars[name] = string(c.ID)
	}
	vars["acme"], vars["globex"] = string(acme.ID), string(globex.ID)
	for _, p := range []struct {
		name, full string
		in         client.Client
		status     client.Status
		roles      []string
	}{
		{"root", "Rita Root", o.console, client.Active, []string{"user", "admin"}},
		{"tess", "Tess Tenant", o.acmeConsole, client.Active, []string{"admin"}},
		{"amy", "Amy Admin", o.board, client.Active, []string{"admin"}},
		{"max", "Max Manager", o.board, client.Active, []string{"user", "manager"}},
		{"uma", "Uma User", o.board, client.Active, []string{"user"}},
		{"pia", "Pia Pending", o.board, client.Pending, []string{"user"}},
		{"sal", "Sal Shopper", o.shop, client.Active, []string{"user"}},
	} {
		u := r.User(p.name+"@example.com", p.full, password)
		r.Enrol(u, p.in, p.status, p.roles...)
		vars[p.name] = string(u.ID)
	}
	return o
}

// adminHooks are the steps of the admin API's transcripts.
func adminHooks(r *rig.Rig, o office) map[string]func(t *testing.T, vars map[string]string) {
	type vars = map[string]string
	enrol := func(name string, c client.Client, s client.Status, roles ...string) func(*testing.T, vars) {
		return func(_ *testing.T, v vars) { r.Enrol(identity.User{ID: identity.UserID(v[name])}, c, s, roles...) }
	}
	return map[string]func(*testing.T, vars){
		"demote-amy":    enrol("amy", o.board, client.Active, "user"),
		"suspend-amy":   enrol("amy", o.board, client.Suspended, "admin"),
		"demote-root":   enrol("root", o.console, client.Active, "user"),
		"uma-in-shop":   enrol("uma", o.shop, client.Active, "user"),
		"pia-as-admin":  enrol("pia", o.board, client.Pending, "admin"),
		"tess-in-board": enrol("tess", o.board, client.Suspended, "user"),
		"tess-promoted": enrol("tess", o.console, client.Active, "admin"),
		"suspend-root-everywhere": func(_ *testing.T, v vars) {
			r.Write(func(ctx context.Context, tx *db.Tx) error {
				return identity.SetStatus(ctx, tx, identity.UserID(v["root"]), identity.Suspended, r.Now())
			})
		},
		"pictures": func(t *testing.T, v vars) {
			v["png"], v["jpeg"] = pictures(t)
			v["scripted"] = `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`
			v["page"] = `<!doctype html><html><script>alert(1)</script></html>`
		},
		"big-file":  func(_ *testing.T, v vars) { v["big"] = strings.Repeat("x", 2<<20+1) },
		"huge-file": func(_ *testing.T, v vars) { v["huge"] = strings.Repeat("x", 3<<20) },
		"forgeries": func(t *testing.T, v vars) { forge(t, r, o, v) },
	}
}

// pictures are a picture as PNG and as JPEG, larger than a logo may be.
func pictures(t *testing.T) (asPNG, asJPEG string) {
	m := image.NewNRGBA(image.Rect(0, 0, 600, 300))
	for i := range 300 {
		m.Set(i*2, i, color.NRGBA{R: 0x93, G: 0x92, B: 0xc7, A: 0xff})
	}
	var p, j bytes.Buffer
	if err := png.Encode(&p, m); err != nil {
		t.Fatal(err)
	}
	if err := jpeg.Encode(&j, m, nil); err != nil {
		t.Fatal(err)
	}
	return p.String(), j.String()
}

// forge signs tokens with the real key that no route would have made.
func forge(t *testing.T, r *rig.Rig, o office, v map[string]string) {
	key, err := r.Keys.Active("RS256", "")
	if err != nil {
		t.Fatal(err)
	}
	claims := func(change map[string]any) map[string]any {
		c := map[string]any{
			"sub": v["root"], "email": "root@example.com", "name": nil, "aud": string(o.console.ID), "iss": rig.Base,
			"iat": r.Now().Unix(), "exp": r.Now().Add(15 * time.Minute).Unix(), "roles": []string{"admin"}, "jti": identity.NewID(),
		}
		for k, val := range change {
			if c[k] = val; val == nil {
				delete(c, k)
			}
		}
		return c
	}
	for name, f := range map[string]struct {
		typ    string
		change map[string]any
	}{
		"expired":       {"JWT", map[string]any{"exp": r.Now().Unix()}},
		"endless":       {"JWT", map[string]any{"exp": nil}},
		"elsewhere":     {"JWT", map[string]any{"iss": "https://evil.example"}},
		"id_token":      {"JWT", map[string]any{"roles": nil, "nonce": "n"}},
		"api_token":     {"at+jwt", nil},
		"typed":         {"JWT", map[string]any{"token_type": "totp_session"}},
		"nobody":        {"JWT", map[string]any{"sub": identity.NewID()}},
		"amy_platform":  {"JWT", map[string]any{"sub": v["amy"]}},
		"amy_in_shop":   {"JWT", map[string]any{"sub": v["amy"], "aud": string(o.shop.ID)}},
		"root_nowhere":  {"JWT", map[string]any{"aud": "https://api.example.com"}},
		"service_admin": {"JWT", map[string]any{"token_type": "service", "sub": string(o.console.ID), "aud": nil, "scope": "users:read"}},
	} {
		if v[name], err = token.Sign(key, f.typ, claims(f.change)); err != nil {
			t.Fatal(err)
		}
	}
	good, err := token.Sign(key, "JWT", claims(nil))
	if err != nil {
		t.Fatal(err)
	}
	v["tampered"] = good[:len(good)-8] + "AAAAAAAA"
}
