package resource

import (
	"strings"

	"sallyport/internal/client"
)

// Conduct is the part of a client.Policy that APIs differ in: who a mailed link
// is for, what an unproved address may do, whether people have accounts. What is
// left out is off, but for a client whose API has it.
type Conduct struct {
	MagicLinkExisting *bool `yaml:"magic_link_existing,omitempty"`
	MagicLinkNewest   *bool `yaml:"magic_link_newest,omitempty"`
	Accounts          *bool `yaml:"accounts,omitempty"`
	VerifiedEmail     *bool `yaml:"verified_email,omitempty"`
	VerifyLater       bool  `yaml:"verify_later,omitempty"`
	ResetVerified     bool  `yaml:"reset_verified,omitempty"`
	StrictCSRF        bool  `yaml:"strict_csrf,omitempty"`
}

// Cookie is client.Cookie as the file writes it.
type Cookie struct {
	Name     string `yaml:"name,omitempty"`
	SameSite string `yaml:"same_site,omitempty"`
	Open     bool   `yaml:"open,omitempty"`
	Plain    bool   `yaml:"plain,omitempty"`
}

func (c Conduct) fill(p *client.Policy) {
	p.MagicLinkExisting, p.MagicLinkNewest, p.Accounts = isOn(c.MagicLinkExisting), isOn(c.MagicLinkNewest), isOn(c.Accounts)
	p.VerifiedEmail, p.VerifyLater = isOn(c.VerifiedEmail), c.VerifyLater
	p.ResetVerified, p.StrictCSRF = c.ResetVerified, c.StrictCSRF
}

// describeConduct is the reverse of fill.
func describeConduct(p client.Policy) Conduct {
	return Conduct{
		MagicLinkExisting: onOrUnsaid(p.MagicLinkExisting), MagicLinkNewest: onOrUnsaid(p.MagicLinkNewest),
		Accounts: onOrUnsaid(p.Accounts), VerifiedEmail: onOrUnsaid(p.VerifiedEmail), VerifyLater: p.VerifyLater,
		ResetVerified: p.ResetVerified, StrictCSRF: p.StrictCSRF,
	}
}

func isOn(b *bool) bool { return b != nil && *b }

func onOrUnsaid(b bool) *bool {
	if b {
		return &b
	}
	return nil
}

// say writes out what is off, for a client whose API would have it on.
func (c *Conduct) say() {
	for _, b := range []**bool{&c.MagicLinkExisting, &c.MagicLinkNewest, &c.Accounts, &c.VerifiedEmail} {
		if *b == nil {
			*b = new(false)
		}
	}
}

func (c Conduct) attrs() []attr {
	return []attr{
		{"magic_link_existing", yesNo(isOn(c.MagicLinkExisting))},
		{"magic_link_newest", yesNo(isOn(c.MagicLinkNewest))},
		{"accounts", yesNo(isOn(c.Accounts))},
		{"verified_email", yesNo(isOn(c.VerifiedEmail))},
		{"verify_later", yesNo(c.VerifyLater)},
		{"reset_verified", yesNo(c.ResetVerified)},
		{"strict_csrf", yesNo(c.StrictCSRF)},
	}
}

func (k *Cookie) policy() *client.Cookie {
	if k == nil {
		return nil
	}
	return new(client.Cookie(*k))
}

func describeCookie(k *client.Cookie) *Cookie {
	if k == nil {
		return nil
	}
	return new(Cookie(*k))
}

// text is what a plan shows of a cookie.
func (k *Cookie) text() string {
	if k == nil {
		return ""
	}
	words := []string{or(k.Name, "default name"), "SameSite=" + or(k.SameSite, "lax")}
	if k.Open {
		words = append(words, "open to scripts")
	}
	if k.Plain {
		words = append(words, "not Secure")
	}
	return strings.Join(words, ", ")
}

func (r RefreshToken) policy() client.RefreshToken {
	return client.RefreshToken{Lifetime: r.Lifetime, Idle: r.Idle, ReuseGrace: r.ReuseGrace, MaxAge: r.MaxAge, Cookie: r.Cookie.policy()}
}

func describeRefresh(r client.RefreshToken) RefreshToken {
	return RefreshToken{Lifetime: r.Lifetime, Idle: r.Idle, ReuseGrace: r.ReuseGrace, MaxAge: r.MaxAge, Cookie: describeCookie(r.Cookie)}
}

// cookie judges how a token's cookie is set. SameSite=None without Secure is
// taken by no browser (RFC 6265bis §5.7).
func (c *checker) cookie(path string, k *Cookie) {
	if k == nil {
		return
	}
	c.oneOf(path+".same_site", k.SameSite, "lax", "strict", "none")
	if k.SameSite == "none" && k.Plain {
		c.wrong(path+".plain", "a cookie for other sites must be Secure")
	}
	if k.Name != "" && strings.ContainsFunc(k.Name, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"(),/:;<=>?@[]\\{}", r) }) {
		c.wrong(path+".name", "must be a cookie's name: letters, digits, - and _")
	}
}

// greatest judges the greatest length of a password.
func (c *checker) greatest(path string, p *PasswordPolicy) {
	if c.doc.Has(path) && p.MaxLength < max(p.MinLength, leastMaxLength) {
		c.wrong(path, "must be at least %d, and not less than min_length", leastMaxLength)
	}
}

// leastMaxLength is the greatest length that every policy takes (NIST SP
// 800-63B §5.1.1.2).
const leastMaxLength = 64
