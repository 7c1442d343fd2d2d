package resource

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"sallyport/internal/reference"
	"sallyport/internal/secret"
	"sallyport/internal/upstream"
	"sallyport/internal/yaml"
)

// MaxFile is the greatest length of a resource file in bytes.
const MaxFile = 32 << 20

// ParseOptions are what a file's text is judged by beyond itself.
type ParseOptions struct {
	// Secrets is where references are looked up; the zero value is the process.
	Secrets reference.Source
	// Outbound are the private networks that endpoints of others may be in.
	Outbound []netip.Prefix
	// Dev says that literal secrets are nothing to warn of.
	Dev bool
}

// Parse reads the resource file called name (a name for messages; nothing is
// opened) and looks up the secrets it refers to. The error is *yaml.Mistakes
// with everything that is wrong, in order of lines; none of it holds a secret.
func Parse(name string, data []byte, o ParseOptions) (*File, error) {
	if o.Secrets.Getenv == nil || o.Secrets.ReadFile == nil {
		o.Secrets = reference.System
	}
	f := &File{name: name}
	if len(data) > MaxFile {
		return nil, &yaml.Mistakes{List: []yaml.Mistake{{File: name, Msg: fmt.Sprintf("is larger than %d bytes; import many users by `sallyport users import`", MaxFile)}}}
	}
	doc, err := yaml.Decode(name, data, f)
	f.doc = doc
	c := &checker{doc: doc, file: f, o: o, unread: map[string]bool{}, clients: map[string]*Client{}, tenants: map[string]*Tenant{}, orgs: map[string]*Org{}, brokers: map[string]upstream.Kind{}, bound: map[string]string{}, aliases: map[string]map[string]string{}}
	if list, ok := errors.AsType[*yaml.Mistakes](err); ok {
		for _, m := range list.List {
			if m.Path == "" {
				return nil, err // not a mapping, or not YAML: there is nothing to judge
			}
			c.unread[m.Path] = true
		}
	}
	c.all()
	slices.SortStableFunc(f.Warnings, func(a, b yaml.Mistake) int { return cmp.Compare(a.Line, b.Line) })
	if err := doc.Err(); err != nil {
		return nil, err
	}
	return f, nil
}

// checker judges a decoded file and fills in defaults.
type checker struct {
	doc     *yaml.Document
	file    *File
	o       ParseOptions
	unread  map[string]bool // paths whose value could not be decoded
	clients map[string]*Client
	tenants map[string]*Tenant
	orgs    map[string]*Org
	brokers map[string]upstream.Kind // the upstreams, by key
	bound   map[string]string        // the surface that a client is bound to, by the client's key
	aliases map[string]map[string]string
}

func (c *checker) all() {
	c.upstreams()
	c.bind()
	for i := range c.file.Tenants {
		c.tenant(yaml.Index("tenants", i), &c.file.Tenants[i])
	}
	c.allOrgs()
	ids := map[string]string{}
	for i := range c.file.Clients {
		c.client(yaml.Index("clients", i), &c.file.Clients[i], ids)
	}
	c.ssoRoles()
	c.domainClients()
	c.surfaces()
	emails := map[string]string{}
	for i := range c.file.Users {
		c.user(yaml.Index("users", i), &c.file.Users[i], emails)
	}
	invited := map[string]string{}
	for i := range c.file.Invites {
		c.invite(yaml.Index("invites", i), &c.file.Invites[i], invited)
	}
}

// wrong adds a mistake about the value at path, unless it, or what it is in,
// could not even be read: that is said already.
func (c *checker) wrong(path, format string, args ...any) {
	for p := path; p != ""; p = p[:max(0, strings.LastIndexAny(p, ".["))] {
		if c.unread[p] {
			return
		}
	}
	c.doc.Mistake(path, format, args...)
}

func (c *checker) warn(path, format string, args ...any) {
	c.file.Warnings = append(c.file.Warnings, c.file.mistake(path, format, args...))
}

// mistake is a finding about the value at path.
func (f *File) mistake(path, format string, args ...any) yaml.Mistake {
	return yaml.Mistake{File: f.name, Line: f.doc.Line(path), Path: path, Msg: fmt.Sprintf(format, args...)}
}

// required wants a value at path.
func (c *checker) required(path, v string) bool {
	if v == "" {
		c.wrong(path, "is missing")
		return false
	}
	return true
}

// unique wants v once; where says at which path it was first.
func (c *checker) unique(path, v string, where map[string]string) {
	if v == "" {
		return
	}
	if first, dup := where[v]; dup {
		c.wrong(path, "%q is on line %d already", v, c.doc.Line(first))
		return
	}
	where[v] = path
}

// maxText bounds names and other free text in characters.
const maxText = 200

// text wants one line of printable text.
func (c *checker) text(path, v string) {
	if fault := badText(v); fault != "" {
		c.wrong(path, "%s", fault)
	}
}

// badText says what is wrong with a name, or "".
func badText(v string) string {
	switch {
	case utf8.RuneCountInString(v) > maxText:
		return fmt.Sprintf("is longer than %d characters", maxText)
	case strings.ContainsFunc(v, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "must be one line of printable text"
	case v != strings.TrimSpace(v):
		return "has white space at an end"
	}
	return ""
}

// oneOf wants one of the given words; "" is for the default.
func (c *checker) oneOf(path, v string, words ...string) {
	if v != "" && !slices.Contains(words, v) {
		c.wrong(path, "must be %s, not %q", orList(words), v)
	}
}

func orList(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// slug reports whether v can name something in the file: letters, digits and
// "-", "_", "." after the first character.
func slug(v string) bool {
	if len(v) > 64 {
		return false
	}
	for i, r := range []byte(v) {
		alnum := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		if !alnum && (i == 0 || r != '-' && r != '_' && r != '.') {
			return false
		}
	}
	return v != ""
}

const slugRule = "must be 1 to 64 letters, digits, '-', '_' or '.', and begin with a letter or digit"

// list wants the entries of a list to be there once each, and each judged by check.
func (c *checker) list(path string, vs []string, check func(path, v string)) {
	seen := map[string]string{}
	for i, v := range vs {
		p := yaml.Index(path, i)
		if c.required(p, v) {
			check(p, v)
			c.unique(p, v, seen)
		}
	}
}

// secret looks s up; false means that there is none to use.
func (c *checker) secret(path string, s *Secret) bool {
	if !s.Given() {
		return false
	}
	v, kind, err := c.o.Secrets.Resolve(s.text.Reveal())
	if err != nil {
		c.wrong(path, "%v", err)
		return false
	}
	if strings.ContainsRune(v, 0) || !utf8.ValidString(v) {
		c.wrong(path, "holds a character that no secret may have")
		return false
	}
	if kind == reference.Literal && !c.o.Dev {
		c.warn(path, "the secret stands in the file; write env:NAME or file:PATH instead")
	}
	s.value = secret.Value(v)
	return true
}
