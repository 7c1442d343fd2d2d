package wire

import (
	"net/url"
	"strings"
)

// WithQuery appends query parameters, given as name, value, name, value, to an
// absolute URL. A query that is there already stays as it is, byte for byte:
// a redirect URI is compared exactly by some clients.
func WithQuery(page string, pairs ...string) string {
	var b strings.Builder
	rest, fragment, hasFragment := strings.Cut(page, "#")
	b.WriteString(rest)
	sep := byte('?')
	if strings.Contains(rest, "?") {
		sep = '&'
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if !(sep == '&' && (strings.HasSuffix(b.String(), "?") || strings.HasSuffix(b.String(), "&"))) {
			b.WriteByte(sep)
		}
		b.WriteString(url.QueryEscape(pairs[i]))
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(pairs[i+1]))
		sep = '&'
	}
	if hasFragment {
		b.WriteByte('#')
		b.WriteString(fragment)
	}
	return b.String()
}
