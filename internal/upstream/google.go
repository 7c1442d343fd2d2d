package upstream

import (
	"net/url"
	"slices"
	"strings"

	"sallyport/internal/openid"
)

// google believes an address where Google is the one who hands it out: Gmail's
// own, and those of a Workspace, which hd names. Any other it once sent a mail to.
func (u Upstream) google(p *Profile, c openid.Claims) error {
	var more struct {
		HostedDomain openid.Word `json:"hd"`
	}
	if err := own(c, &more); err != nil {
		return err
	}
	hd := strings.ToLower(string(more.HostedDomain))
	p.Organization = hd
	if allowed := u.Settings.HostedDomains; len(allowed) > 0 && !slices.Contains(allowed, hd) {
		return openid.Fail(openid.ErrOutsider, "hosted domain")
	}
	p.setEmail(u.Settings, string(c.Email), c.EmailVerified.Is, c.EmailVerified.Known, func(domain string) bool {
		return domain == "gmail.com" || domain == "googlemail.com" || hd != ""
	})
	return nil
}

// unescaped is a code as Google meant it: pages pass it on as it stands in their
// address, where its slash is escaped.
func unescaped(code string) string {
	if !strings.Contains(strings.ToLower(code), "%2f") {
		return code
	}
	if plain, err := url.PathUnescape(code); err == nil {
		return plain
	}
	return code
}
