package admin

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/fault"
)

func plain() client.Client {
	return client.Client{ID: "id", Name: "App", Active: true, Policy: client.Policy{
		Methods:      []string{"password", "passkey", "corp"},
		RedirectURIs: []string{"https://app.example/cb"},
		Roles:        client.Roles{Available: []string{"user", "admin"}, Default: []string{"user"}},
		AccessToken:  client.AccessToken{Lifetime: client.Duration(90 * time.Second)},
		RefreshToken: client.RefreshToken{Lifetime: client.Duration(36 * time.Hour), Idle: client.Duration(time.Hour)},
	}.WithDefaults()}
}

func TestNoChangeChangesNothing(t *testing.T) {
	t.Parallel()
	c := plain()
	same := ClientChange{
		Name: new(" App "), Active: new(true), Registration: new(c.Policy.Registration), Methods: []string{"password"}, MethodsAmong: []string{"password", "google"},
		RedirectURIs: []string{"https://app.example/cb", "https://app.example/cb"}, Roles: []string{"user", "admin"}, DefaultRoles: []string{"user"},
		// What is shown is rounded up; saying it back does not round what is stored.
		AccessMinutes: new(2), RefreshDays: new(2), RequireFactor: new(false), Color: new(c.Policy.Branding.Color), LogoURL: new(""),
	}
	for _, ch := range []ClientChange{{}, same} {
		fields, err := ch.apply(&c, false, false)
		if err != nil || fields != nil {
			t.Errorf("changed %v, %v; want nothing", fields, err)
		}
	}
	if c.Policy.AccessToken.Lifetime.D() != 90*time.Second || c.Policy.RefreshToken.Lifetime.D() != 36*time.Hour {
		t.Errorf("lifetimes were rounded: %+v", c.Policy)
	}
}

func TestChangeLeavesTheRestOfThePolicy(t *testing.T) {
	t.Parallel()
	c := plain()
	ch := ClientChange{Methods: []string{"google", "google"}, MethodsAmong: []string{"password", "google"}, RefreshDays: new(1)}
	fields, err := ch.apply(&c, false, false)
	if err != nil || !slices.Equal(fields, []string{"methods", "refresh_days"}) {
		t.Errorf("changed %v, %v", fields, err)
	}
	if want := []string{"google", "passkey", "corp"}; !slices.Equal(c.Policy.Methods, want) {
		t.Errorf("methods %v, want %v", c.Policy.Methods, want)
	}
	if c.Policy.RefreshToken.Idle.D() != time.Hour {
		t.Errorf("idle is %v", c.Policy.RefreshToken.Idle.D())
	}
}

func TestChangesThatAreRefused(t *testing.T) {
	t.Parallel()
	many := make([]string, 101)
	for i := range many {
		many[i] = strings.Repeat("x", i+1)
	}
	for name, c := range map[string]struct {
		ch      ClientChange
		console bool
		field   string
		want    string
	}{
		"no name":              {ch: ClientChange{Name: new(" ")}, field: "name", want: WantLine},
		"long name":            {ch: ClientChange{Name: new(strings.Repeat("x", 201))}, field: "name", want: WantLine},
		"name of two lines":    {ch: ClientChange{Name: new("a\nb")}, field: "name", want: WantLine},
		"long bundle":          {ch: ClientChange{BundleID: new(strings.Repeat("x", 256))}, field: "bundle_id", want: WantLine},
		"redirect to script":   {ch: ClientChange{RedirectURIs: []string{"javascript:x.y"}}, field: "redirect_uris", want: WantRedirectURI},
		"redirect too long":    {ch: ClientChange{RedirectURIs: []string{"https://a.example/" + strings.Repeat("x", 2048)}}, field: "redirect_uris", want: WantRedirectURI},
		"many redirects":       {ch: ClientChange{RedirectURIs: many}, field: "redirect_uris", want: WantFewer},
		"many roles":           {ch: ClientChange{Roles: many}, field: "roles", want: WantFewer},
		"role with a space":    {ch: ClientChange{Roles: []string{"user", "a "}}, field: "roles", want: WantLine},
		"default gone":         {ch: ClientChange{Roles: []string{"admin"}}, field: "default_roles", want: WantAvailable},
		"default not there":    {ch: ClientChange{DefaultRoles: []string{"x"}}, field: "default_roles", want: WantAvailable},
		"console without":      {ch: ClientChange{Roles: []string{"user"}}, console: true, field: "roles", want: WantAdmin},
		"no minutes":           {ch: ClientChange{AccessMinutes: new(0)}, field: "access_minutes", want: WantRange},
		"many minutes":         {ch: ClientChange{AccessMinutes: new(1441)}, field: "access_minutes", want: WantRange},
		"many days":            {ch: ClientChange{RefreshDays: new(366)}, field: "refresh_days", want: WantRange},
		"colour":               {ch: ClientChange{Color: new("#12345")}, field: "color", want: WantColor},
		"colour and more":      {ch: ClientChange{Color: new("#123456;x")}, field: "color", want: WantColor},
		"logo of script":       {ch: ClientChange{LogoURL: new("javascript:alert(1)")}, field: "logo_url", want: WantWebURL},
		"logo of data":         {ch: ClientChange{LogoURL: new("data:image/png;base64,AA")}, field: "logo_url", want: WantWebURL},
		"logo over http":       {ch: ClientChange{LogoURL: new("http://a.example/l.png")}, field: "logo_url", want: WantWebURL},
		"logo of another app":  {ch: ClientChange{LogoURL: new("/logo/other"), LogoAt: at}, field: "logo_url", want: WantWebURL},
		"logo of custom kind":  {ch: ClientChange{LogoURL: new("com.example:/l")}, field: "logo_url", want: WantWebURL},
		"logo of no height":    {ch: ClientChange{LogoHeight: new(0)}, field: "logo_height", want: WantRange},
		"logo of great height": {ch: ClientChange{LogoHeight: new(1001)}, field: "logo_height", want: WantRange},
		"the first is told":    {ch: ClientChange{Name: new(""), Color: new("")}, field: "name", want: WantLine},
	} {
		cl := plain()
		_, err := c.ch.apply(&cl, c.console, false)
		f, ok := fault.From(err)
		if !ok || f.Code != fault.FieldInvalid || f.Field != c.field || f.Params[0] != c.want {
			t.Errorf("%s: %v, want %s %s", name, err, c.field, c.want)
		}
	}
}

func at(id client.ID) string { return "/logo/" + string(id) }

func TestWhichLogoIsShown(t *testing.T) {
	t.Parallel()
	const own, cdn = "/logo/id", "https://cdn.example/l.png"
	for name, c := range map[string]struct {
		was      string
		uploaded bool
		url      *string
		drop     bool
		want     string
	}{
		"none":                           {},
		"named":                          {url: new(cdn), want: cdn},
		"named over the upload":          {was: own, uploaded: true, url: new(cdn), want: cdn},
		"taken back":                     {was: cdn, url: new("")},
		"taken back, upload is shown":    {was: cdn, uploaded: true, url: new(""), want: own},
		"upload stays when null is said": {was: own, uploaded: true, url: new(""), want: own},
		"upload stays when it is named":  {was: own, uploaded: true, url: new(own), want: own},
		"upload that is not there":       {url: new(own)},
		"upload dropped":                 {was: own, uploaded: true, drop: true},
		"upload dropped behind another":  {was: cdn, uploaded: true, drop: true, want: cdn},
		"dropped and named":              {was: own, uploaded: true, drop: true, url: new(cdn), want: cdn},
		"dropped and null":               {was: own, uploaded: true, drop: true, url: new("")},
		"old address stays good":         {was: "http://old.example/l.png", url: new("http://old.example/l.png"), want: "http://old.example/l.png"},
	} {
		cl := plain()
		cl.Policy.Branding.LogoURL = c.was
		_, err := ClientChange{LogoURL: c.url, DropLogo: c.drop, LogoAt: at}.apply(&cl, false, c.uploaded)
		if got := cl.Policy.Branding.LogoURL; err != nil || got != c.want {
			t.Errorf("%s: shows %q, %v; want %q", name, got, err, c.want)
		}
	}
}

func TestSlugOf(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Acme": "acme", "Smith & Sons, Ltd.": "smith-sons-ltd", "--x--": "x", "Ünïcode": "n-code", "!!!": "", "": "",
		strings.Repeat("ab ", 40): strings.Repeat("ab-", 20) + "ab-"[:2],
	} {
		got := slugOf(name)
		if got != want || len(got) > maxSlug || got != "" && !slugShape.MatchString(got) {
			t.Errorf("slugOf(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestLink(t *testing.T) {
	t.Parallel()
	for page, want := range map[string]string{
		"https://a.example/invite":     "https://a.example/invite?code=A%26B",
		"https://a.example/i?x=1&y=2":  "https://a.example/i?code=A%26B&x=1&y=2",
		"https://a.example/i#/invite":  "https://a.example/i?code=A%26B#/invite",
		"com.example.app:/invite":      "com.example.app:/invite?code=A%26B",
		"https://a.example/\x7finvite": "",
	} {
		if got := link(page, "code", "A&B"); got != want {
			t.Errorf("link(%q) = %q, want %q", page, got, want)
		}
	}
}
