package mail

import (
	"embed"
	"fmt"
	htmltemplate "html/template"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	texttemplate "text/template"
	"unicode"
)

// Template names what a mail says. The texts are stored in queued mails.
type Template string

// The templates, and the fields of Data each one uses beyond ClientName and
// Color.
const (
	MagicLink       Template = "magic_link"       // Link, Code or both; Minutes
	ResetPassword   Template = "reset_password"   // Link; Minutes
	PasswordChanged Template = "password_changed" // Link, optional: where to undo it
	VerifyEmail     Template = "verify_email"     // Link, Code or both; Minutes
	Invite          Template = "invite"           // Link; Code, Inviter, optional; Minutes
	Approved        Template = "approved"         // Link, optional
	FactorChanged   Template = "factor_changed"   // Change; Link, optional
	OperatorSetup   Template = "operator_setup"   // Link; Minutes
	AccountExists   Template = "account_exists"   // Link, optional: where to sign in
	Waiting         Template = "waiting"          // Feature, optional
	FeatureReady    Template = "feature_ready"    // Feature
	AccountInvite   Template = "account_invite"   // Link; Org, Inviter, optional; Minutes
	LinkChanged     Template = "link_changed"     // Change; Upstream; Link, optional

	// To the owners of an organization, and SetupLink to whom they choose.
	SetupLink           Template = "setup_link"           // Link; Org, Inviter, optional; Minutes
	ConnectionChanged   Template = "connection_changed"   // Org; Upstream, "" if it was removed; Inviter, "" by a set-up link
	ConnectionFailing   Template = "connection_failing"   // Org; Upstream; Days
	CertificateExpiring Template = "certificate_expiring" // Org; Upstream; Change; Days
	DomainUnproven      Template = "domain_unproven"      // Org; Domain; Record; Change; Days
)

// Templates is every template there is.
var Templates = []Template{MagicLink, ResetPassword, PasswordChanged, VerifyEmail, Invite, Approved, FactorChanged, OperatorSetup, AccountExists, AccountInvite, Waiting, FeatureReady, LinkChanged,
	SetupLink, ConnectionChanged, ConnectionFailing, CertificateExpiring, DomainUnproven}

// Change says what happened to a second factor or another way in, or to a link.
type Change string

// The changes that FactorChanged tells of.
const (
	TOTPEnabled     Change = "totp_enabled"
	TOTPDisabled    Change = "totp_disabled"
	BackupCodesMade Change = "backup_codes_made"
	PasskeyAdded    Change = "passkey_added"
	PasskeyRemoved  Change = "passkey_removed"
	APIKeyMade      Change = "api_key_made"
)

// The changes that LinkChanged tells of.
const (
	LinkAdded   Change = "link_added"
	LinkRemoved Change = "link_removed"
)

// The changes that CertificateExpiring and DomainUnproven tell of.
const (
	CertificateEnding Change = "certificate_ending"
	CertificateEnded  Change = "certificate_ended"
	ProofMissing      Change = "proof_missing" // but the domain counts yet
	ProofLapsed       Change = "proof_lapsed"  // and the domain counts no more
)

// Data is what goes into a template. Names are shown as plain words on one
// line whatever they hold; a Link is http, https or of an application's own
// scheme, which has a dot.
type Data struct {
	ClientName string `json:"client_name,omitempty"` // empty: Sallyport
	Color      string `json:"color,omitempty"`       // of the button, "#rrggbb"; anything else: ours
	Link       string `json:"link,omitempty"`
	Code       string `json:"code,omitempty"`
	Name       string `json:"name,omitempty"`    // of the recipient
	Inviter    string `json:"inviter,omitempty"` // name or address
	Org        string `json:"org,omitempty"`     // name of an organization
	Feature    string `json:"feature,omitempty"` // that somebody waits for
	Minutes    int    `json:"minutes,omitempty"` // how long link and code work; 0: not said
	Change     Change `json:"change,omitempty"`
	Upstream   string `json:"upstream,omitempty"` // title of an upstream
	Domain     string `json:"domain,omitempty"`
	Record     string `json:"record,omitempty"` // text that proves the domain
	Days       int    `json:"days,omitempty"`
}

//go:embed templates
var files embed.FS

// set is the parsed templates. A template's file holds its words once: the
// blocks subject, before, action and after, in plain text. The two layouts take
// them as data, so that HTML escaping does not depend on who wrote the words.
type set struct {
	words map[Template]*texttemplate.Template
	text  *texttemplate.Template
	html  *htmltemplate.Template
}

var parsed = sync.OnceValue(func() set {
	s := set{
		words: map[Template]*texttemplate.Template{},
		text:  texttemplate.Must(texttemplate.ParseFS(files, "templates/layout.txt")),
		html:  htmltemplate.Must(htmltemplate.ParseFS(files, "templates/layout.html")),
	}
	for _, t := range Templates {
		s.words[t] = texttemplate.Must(texttemplate.New("").Funcs(texttemplate.FuncMap{"lasts": lasts}).
			ParseFS(files, "templates/"+string(t)+".txt"))
	}
	return s
})

// page is what the layouts show.
type page struct {
	Subject       string
	Before, After []string // paragraphs
	Action        string   // text of the button
	Link          htmltemplate.URL
	Code          string
	ClientName    string
	Color, Ink    htmltemplate.CSS
}

// Render makes the message of t about d, without ID and recipient. It fails
// for an unknown template and for a link that must not be in a mail.
func Render(t Template, d Data) (Message, error) {
	words, ok := parsed().words[t]
	if !ok {
		return Message{}, fmt.Errorf("mail: no template %q", t)
	}
	if err := checkLink(d.Link); err != nil {
		return Message{}, err
	}
	d.ClientName = oneLine(d.ClientName)
	if d.ClientName == "" {
		d.ClientName = "Sallyport"
	}
	d.Name, d.Inviter, d.Code = person(d.Name), inviter(d.Inviter), oneLine(d.Code)
	d.Domain, d.Record = oneLine(d.Domain), oneLine(d.Record)
	d.Upstream, d.Org, d.Feature = oneLine(d.Upstream), person(d.Org), person(d.Feature)

	p := page{Link: htmltemplate.URL(d.Link), //nolint:gosec // checkLink has taken its scheme; the template still escapes the rest
		Code: d.Code, ClientName: d.ClientName}
	p.Color, p.Ink = colors(d.Color)
	blocks := map[string]string{}
	for _, name := range []string{"subject", "before", "action", "after"} {
		var b strings.Builder
		if err := words.ExecuteTemplate(&b, name, d); err != nil {
			return Message{}, fmt.Errorf("mail: %s: %w", t, err)
		}
		blocks[name] = b.String()
	}
	p.Subject, p.Action = oneLine(blocks["subject"]), oneLine(blocks["action"])
	p.Before, p.After = paragraphs(blocks["before"]), paragraphs(blocks["after"])

	var text, html strings.Builder
	if err := parsed().text.Execute(&text, p); err != nil {
		return Message{}, fmt.Errorf("mail: %s: %w", t, err)
	}
	if err := parsed().html.Execute(&html, p); err != nil {
		return Message{}, fmt.Errorf("mail: %s: %w", t, err)
	}
	return Message{Subject: p.Subject, Text: text.String(), HTML: html.String()}, nil
}

// checkLink takes no link, http, https, and schemes with a dot, which only an
// application of that name handles; never one that runs in a mail program.
func checkLink(link string) error {
	if link == "" {
		return nil
	}
	u, err := url.Parse(link)
	if err != nil || strings.ContainsFunc(link, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return fmt.Errorf("mail: link is not a URL")
	}
	if web := u.Scheme == "http" || u.Scheme == "https"; web && u.Host == "" || !web && !strings.Contains(u.Scheme, ".") {
		return fmt.Errorf("mail: link of scheme %q is refused", u.Scheme)
	}
	return nil
}

// maxLine is the greatest length of a name or subject in characters.
const maxLine = 120

// oneLine makes any text a single line of printable characters: controls, line
// separators and the marks that reorder text become spaces.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > maxLine {
		s = strings.TrimSpace(string(r[:maxLine-1])) + "…"
	}
	return s
}

// address finds what a mail program may turn into a link.
var address = regexp.MustCompile(`[/@\\。．｡]|[^\s.]\.\pL{2,}`)

// person is a name that somebody gave themselves. Who signs up with another
// person's address must not send them a link of their own choice by our mail,
// so a name with something like an address in it is left out.
func person(s string) string {
	if s = oneLine(s); address.MatchString(s) {
		return ""
	}
	return s
}

// mailAddress is a bare address and nothing beside it.
var mailAddress = regexp.MustCompile(`^[^\s@/\\<>"]+@[^\s@/\\<>"]+$`)

// inviter is a person, or their mail address.
func inviter(s string) string {
	if s = oneLine(s); mailAddress.MatchString(s) {
		return s
	}
	return person(s)
}

// lasts says how long something works, from minutes.
func lasts(minutes int) string {
	n, unit := minutes, "minute"
	switch {
	case minutes >= 2*24*60 && minutes%(24*60) == 0:
		n, unit = minutes/(24*60), "day"
	case minutes >= 60 && minutes%60 == 0:
		n, unit = minutes/60, "hour"
	}
	if n != 1 {
		unit += "s"
	}
	return strconv.Itoa(n) + " " + unit
}

// paragraphs splits at empty lines; a line break within one is a space.
func paragraphs(s string) []string {
	var ps []string
	for p := range strings.SplitSeq(s, "\n\n") {
		if p = strings.Join(strings.Fields(p), " "); p != "" {
			ps = append(ps, p)
		}
	}
	return ps
}

var hexColor = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

// colors is the colour of a button and of the letters on it, black or white,
// whichever differs more (WCAG 2.2 relative luminance, without its gamma).
func colors(s string) (button, ink htmltemplate.CSS) {
	if !hexColor.MatchString(s) {
		s = "#2d5bff"
	}
	n, _ := strconv.ParseUint(s[1:], 16, 32)
	if luminance := 2126*(n>>16) + 7152*(n>>8&0xff) + 722*(n&0xff); luminance > 10000*140 {
		return htmltemplate.CSS(s), "#111111" //nolint:gosec // six hexadecimal digits
	}
	return htmltemplate.CSS(s), "#ffffff" //nolint:gosec // six hexadecimal digits
}
