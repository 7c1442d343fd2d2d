package admin

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sallyport/internal/client"
	"sallyport/internal/fault"
)

// ClientChange says what a client is to be; what is nil stays, or has its
// default in a new client. An empty list empties.
//
// Methods are the sign-in methods, as far as they are among MethodsAmong: a
// surface that knows only some of them leaves the others as they are. Tenant is
// for a new client: the tenant of another cannot be changed. Lifetimes
// are whole minutes and days; the number that AccessMinutes or RefreshDays shows
// changes nothing, though it may be rounded. LogoURL "" shows no logo, or the
// uploaded one, which is served at LogoAt, if there is one; DropLogo deletes it.
type ClientChange struct {
	Tenant        *client.TenantID
	Name          *string
	BundleID      *string
	Registration  *client.Registration
	Active        *bool
	Methods       []string
	MethodsAmong  []string
	RedirectURIs  []string
	Roles         []string // available
	DefaultRoles  []string
	AccessMinutes *int
	RefreshDays   *int
	RequireFactor *bool
	Notifications *bool
	Color         *string
	LogoURL       *string
	LogoHeight    *int
	LogoAt        func(client.ID) string
	DropLogo      bool
}

// The words of fault.FieldInvalid from this core: what a field should have been.
const (
	WantLine        = "line"         // printable text on one line, of a length
	WantRedirectURI = "redirect_uri" // what client.CheckRedirectURI takes
	WantFewer       = "fewer"        // a shorter list
	WantAvailable   = "available"    // roles that are available
	WantAdmin       = "admin"        // the role admin, in a console client
	WantColor       = "color"        // #rgb or #rrggbb
	WantWebURL      = "web_url"      // https, or http on a loopback host
	WantRange       = "range"        // another number
	WantSame        = "same"         // what it is: it cannot be changed
	WantSlug        = "slug"         // lower-case letters, digits and hyphens
)

// The bounds of what is stored of a client.
const (
	maxName      = 200
	maxBundleID  = 255
	maxRole      = 64
	maxRoles     = 100
	maxURIs      = 100
	maxURI       = 2048
	maxMinutes   = 24 * 60
	maxDays      = 365
	maxLogoPixel = 1000
)

var colorShape = regexp.MustCompile(`^#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$`)

// AccessMinutes is the life of a client's access tokens in minutes, rounded up.
func AccessMinutes(p client.Policy) int { return roundUp(p.AccessToken.Lifetime.D(), time.Minute) }

// RefreshDays is the life of a client's refresh tokens in days, rounded up.
func RefreshDays(p client.Policy) int { return roundUp(p.RefreshToken.Lifetime.D(), 24*time.Hour) }

func roundUp(d, unit time.Duration) int { return int((d + unit - 1) / unit) }

func invalid(field, want string) error {
	return &fault.Error{Code: fault.FieldInvalid, Field: field, Params: []string{want}}
}

// line is a name as it is stored, refused unless it is printable, on one line,
// and of least to most characters.
func line(field, s string, least, most int) (string, error) {
	s = strings.TrimSpace(s)
	if n := utf8.RuneCountInString(s); n < least || n > most || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "", invalid(field, WantLine)
	}
	return s, nil
}

// edit collects what a ClientChange or TenantChange did.
type edit struct {
	fields []string
	err    error
}

// set stores a value and notes the field if it was another.
func set[T comparable](c *edit, field string, at *T, to T) {
	if c.err == nil && *at != to {
		*at = to
		c.fields = append(c.fields, field)
	}
}

func setList(c *edit, field string, at *[]string, to []string) {
	if c.err == nil && to != nil && !slices.Equal(*at, to) {
		*at = to
		c.fields = append(c.fields, field)
	}
}

func (c *edit) refuse(field, want string) {
	if c.err == nil {
		c.err = invalid(field, want)
	}
}

// apply changes cl, judges what it then is, and returns the names of the fields
// that are different now.
func (ch ClientChange) apply(cl *client.Client, console, uploaded bool) ([]string, error) {
	var c edit
	ch.names(&c, cl)
	p := &cl.Policy
	if ch.Registration != nil {
		set(&c, "registration", &p.Registration, *ch.Registration)
	}
	if ch.Methods != nil {
		others := slices.DeleteFunc(slices.Clone(p.Methods), func(m string) bool { return slices.Contains(ch.MethodsAmong, m) })
		setList(&c, "methods", &p.Methods, append(unique(ch.Methods), others...))
	}
	ch.redirects(&c, p)
	ch.roles(&c, p, console)
	ch.lifetimes(&c, p)
	if ch.RequireFactor != nil {
		factor := client.FactorOptional
		if *ch.RequireFactor {
			factor = client.FactorRequired
		}
		set(&c, "second_factor", &p.SecondFactor, factor)
	}
	if ch.Notifications != nil {
		set(&c, "notifications", &p.Notifications, *ch.Notifications)
	}
	ch.branding(&c, cl, uploaded)
	return c.fields, c.err
}

func (ch ClientChange) names(c *edit, cl *client.Client) {
	if ch.Name != nil {
		s, err := line("name", *ch.Name, 1, maxName)
		if err != nil {
			c.refuse("name", WantLine)
		}
		set(c, "name", &cl.Name, s)
	}
	if ch.BundleID != nil {
		s, err := line("bundle_id", *ch.BundleID, 0, maxBundleID)
		if err != nil {
			c.refuse("bundle_id", WantLine)
		}
		set(c, "bundle_id", &cl.BundleID, s)
	}
	if ch.Active != nil {
		set(c, "active", &cl.Active, *ch.Active)
	}
}

// redirects judges only new URIs: an old one stays good.
func (ch ClientChange) redirects(c *edit, p *client.Policy) {
	if len(ch.RedirectURIs) > maxURIs {
		c.refuse("redirect_uris", WantFewer)
	}
	for _, u := range ch.RedirectURIs {
		if !slices.Contains(p.RedirectURIs, u) && (len(u) > maxURI || client.CheckRedirectURI(u) != nil) {
			c.refuse("redirect_uris", WantRedirectURI)
		}
	}
	setList(c, "redirect_uris", &p.RedirectURIs, unique(ch.RedirectURIs))
}

// roles judges new roles by themselves, and what comes out: the available ones
// must hold those that every enrolment gets.
func (ch ClientChange) roles(c *edit, p *client.Policy, console bool) {
	if len(ch.Roles) > maxRoles {
		c.refuse("roles", WantFewer)
	}
	for _, r := range ch.Roles {
		if s, err := line("roles", r, 1, maxRole); !slices.Contains(p.Roles.Available, r) && (err != nil || s != r) {
			c.refuse("roles", WantLine)
		}
	}
	setList(c, "roles", &p.Roles.Available, unique(ch.Roles))
	setList(c, "default_roles", &p.Roles.Default, unique(ch.DefaultRoles))
	for _, r := range p.Roles.Default {
		if !slices.Contains(p.Roles.Available, r) && (ch.Roles != nil || ch.DefaultRoles != nil) {
			c.refuse("default_roles", WantAvailable)
		}
	}
	// Else nobody could be made an administrator again.
	if console && ch.Roles != nil && !slices.Contains(p.Roles.Available, roleAdmin) {
		c.refuse("roles", WantAdmin)
	}
}

func (ch ClientChange) lifetimes(c *edit, p *client.Policy) {
	if n := ch.AccessMinutes; n != nil && *n != AccessMinutes(*p) {
		if *n < 1 || *n > maxMinutes {
			c.refuse("access_minutes", WantRange)
		}
		set(c, "access_minutes", &p.AccessToken.Lifetime, client.Duration(time.Duration(*n)*time.Minute))
	}
	if n := ch.RefreshDays; n != nil && *n != RefreshDays(*p) {
		if *n < 1 || *n > maxDays {
			c.refuse("refresh_days", WantRange)
		}
		set(c, "refresh_days", &p.RefreshToken.Lifetime, client.Duration(time.Duration(*n)*24*time.Hour))
	}
}

func (ch ClientChange) branding(c *edit, cl *client.Client, uploaded bool) {
	b := &cl.Policy.Branding
	if ch.Color != nil {
		if !colorShape.MatchString(*ch.Color) {
			c.refuse("color", WantColor)
		}
		set(c, "color", &b.Color, *ch.Color)
	}
	if ch.LogoHeight != nil {
		if *ch.LogoHeight < 1 || *ch.LogoHeight > maxLogoPixel {
			c.refuse("logo_height", WantRange)
		}
		set(c, "logo_height", &b.LogoHeight, *ch.LogoHeight)
	}
	own := ""
	if ch.LogoAt != nil {
		own = ch.LogoAt(cl.ID)
	}
	show := uploaded && !ch.DropLogo
	switch {
	case ch.LogoURL != nil && *ch.LogoURL != "" && *ch.LogoURL != b.LogoURL && *ch.LogoURL != own && !webURL(*ch.LogoURL):
		c.refuse("logo_url", WantWebURL)
	case ch.LogoURL != nil && *ch.LogoURL != "" && (*ch.LogoURL != own || show):
		set(c, "logo_url", &b.LogoURL, *ch.LogoURL)
	case ch.LogoURL != nil && show:
		set(c, "logo_url", &b.LogoURL, own)
	case ch.LogoURL != nil, ch.DropLogo && b.LogoURL == own:
		set(c, "logo_url", &b.LogoURL, "")
	}
}

// webURL reports whether a browser may be told to load a picture from s.
func webURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= maxURI && client.CheckRedirectURI(s) == nil && (u.Scheme == "https" || u.Scheme == "http")
}

// unique is list without repetitions, nil if it is nil.
func unique(list []string) []string {
	if list == nil {
		return nil
	}
	out := []string{}
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
