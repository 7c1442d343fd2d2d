package client

import (
	"slices"
	"strings"
)

// RedirectAnyQuery reports whether uri is a registered redirect URI but for its
// query, which may be any: for an API whose clients put into it where they go on.
// The rest is compared byte for byte, so that there is no other spelling of a
// host to be found. A fragment, user information, a backslash and control
// characters are in no case taken, not in the query either.
func (c Client) RedirectAnyQuery(uri string) bool {
	page, query, _ := strings.Cut(uri, "?")
	if CheckRedirectURI(page) != nil || strings.ContainsFunc(query, unsafe) || strings.Contains(page, `\`) {
		return false
	}
	return slices.ContainsFunc(c.Policy.RedirectURIs, func(known string) bool {
		before, _, _ := strings.Cut(known, "?")
		return before == page
	})
}

func unsafe(r rune) bool { return r < ' ' || r == 0x7f || r == '#' || r == '\\' || r == '\uFFFD' }
