package transcript

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// slot is a placeholder: <name>, <name:kind>, <name:/pattern/> or <name|query>.
var slot = regexp.MustCompile(`<([a-z_][a-z0-9_]*)(?::([a-z][a-z0-9]*)|:/((?:[^/\\]|\\.)+)/|\|(query))?>`)

// kinds are what a capture may be narrowed to.
var kinds = map[string]string{
	"":       `[^"\s&;<>]+`,
	"any":    `.*`,
	"base32": `[A-Z2-7]+`,
	"hex":    `[0-9a-f]+`,
	"hex64":  `[0-9a-f]{64}`,
	"int":    `-?[0-9]+`,
	"jwt":    `[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+`,
	"time":   `[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?Z`,
	"uuid":   `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`,
}

// vars are the values known so far.
type vars map[string]string

// fill puts known values into a text that is sent.
func (v vars) fill(text string) (string, error) {
	var err error
	out := slot.ReplaceAllStringFunc(text, func(s string) string {
		m := slot.FindStringSubmatch(s)
		val, ok := v[m[1]]
		switch {
		case !ok:
			err = fmt.Errorf("%s is not known", s)
		case m[2] != "" || m[3] != "":
			err = fmt.Errorf("%s: a kind is for responses", s)
		case m[4] == "query":
			return url.QueryEscape(val)
		}
		return val
	})
	return out, err
}

// match compares a text with what is wanted, and captures. Nothing is captured
// unless all fits.
func (v vars) match(want, got string) error {
	var pat strings.Builder
	var names []string
	pat.WriteString(`(?s)\A`)
	last := 0
	for _, at := range slot.FindAllStringSubmatchIndex(want, -1) {
		pat.WriteString(regexp.QuoteMeta(want[last:at[0]]))
		last = at[1]
		name, kind := want[at[2]:at[3]], ""
		if at[4] >= 0 {
			kind = want[at[4]:at[5]]
		}
		p, ok := kinds[kind]
		if !ok {
			return fmt.Errorf("%s: no such kind", want[at[0]:at[1]])
		}
		if at[6] >= 0 {
			p = want[at[6]:at[7]]
		}
		val, known := v[name]
		switch {
		case known && name != "_" && at[8] >= 0:
			pat.WriteString(regexp.QuoteMeta(url.QueryEscape(val)))
		case known && name != "_":
			pat.WriteString(regexp.QuoteMeta(val))
		case at[8] >= 0:
			return fmt.Errorf("%s is not known", want[at[0]:at[1]])
		default:
			names = append(names, name)
			fmt.Fprintf(&pat, "(?P<c%d>%s)", len(names)-1, p)
		}
	}
	pat.WriteString(regexp.QuoteMeta(want[last:]) + `\z`)
	re, err := regexp.Compile(pat.String())
	if err != nil {
		return err
	}
	m := re.FindStringSubmatch(got)
	if m == nil {
		return fmt.Errorf("got  %s\nwant %s", got, v.known(want))
	}
	found := vars{}
	for i, name := range names {
		val := m[re.SubexpIndex(fmt.Sprintf("c%d", i))]
		if old, ok := found[name]; ok && old != val && name != "_" {
			return fmt.Errorf("<%s> is both %q and %q in\ngot  %s", name, old, val, got)
		}
		found[name] = val
	}
	v.add(found)
	return nil
}

// holds finds a pattern anywhere in a text, and captures its named groups.
func (v vars) holds(pattern, got string) error {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return err
	}
	m := re.FindStringSubmatch(got)
	if m == nil {
		return fmt.Errorf("got  %s\nwant it to hold /%s/", got, pattern)
	}
	found := vars{}
	for i, name := range re.SubexpNames() {
		if name == "" {
			continue
		}
		if old, ok := v[name]; ok && old != m[i] {
			return fmt.Errorf("<%s> is %q, got %q", name, old, m[i])
		}
		found[name] = m[i]
	}
	v.add(found)
	return nil
}

func (v vars) add(found vars) {
	for name, val := range found {
		if name != "_" {
			v[name] = val
		}
	}
}

// known shows a wanted text with the values that are known.
func (v vars) known(want string) string {
	return slot.ReplaceAllStringFunc(want, func(s string) string {
		m := slot.FindStringSubmatch(s)
		val, ok := v[m[1]]
		switch {
		case !ok:
			return s
		case m[4] == "query":
			return url.QueryEscape(val)
		}
		return val
	})
}
