package resource

import (
	"encoding/base32"
	"errors"
	"strings"

	"sallyport/internal/client"
	"sallyport/internal/identity"
	"sallyport/internal/password"
	"sallyport/internal/yaml"
)

func (c *checker) user(path string, u *User, emails map[string]string) {
	u.Email = c.email(path+".email", u.Email)
	c.unique(path+".email", u.Email, emails)
	c.text(path+".display_name", u.DisplayName)
	if u.GivenName != nil {
		c.text(path+".given_name", *u.GivenName)
	}
	if u.FamilyName != nil {
		c.text(path+".family_name", *u.FamilyName)
	}
	c.oneOf(path+".status", u.Status, string(identity.Active), string(identity.Suspended), string(identity.Disabled))
	c.memberships(path+".memberships", u)
	enrolled := map[string]string{}
	for i := range u.Enrolments {
		c.enrolment(yaml.Index(path+".enrolments", i), &u.Enrolments[i], enrolled)
	}
	c.userSecrets(path, u)
}

// email returns the address in the form it is kept in.
func (c *checker) email(path, v string) string {
	if !c.required(path, v) {
		return ""
	}
	email, err := identity.NormalizeEmail(v)
	if err != nil {
		c.wrong(path, "%q is not an e-mail address", v)
		return ""
	}
	return email
}

func (c *checker) enrolment(path string, e *Enrolment, enrolled map[string]string) {
	c.oneOf(path+".status", e.Status, string(client.Active), string(client.Pending), string(client.Suspended))
	cl := c.named(path+".client", e.Client)
	if cl == nil {
		return
	}
	c.unique(path+".client", e.Client, enrolled)
	c.alias(path+".alias", e)
	if e.Roles == nil {
		return
	}
	c.list(path+".roles", *e.Roles, func(p, v string) { c.role(p, v, &cl.Roles) })
}

// named is the client of the file that a key names, or nil.
func (c *checker) named(path, key string) *Client {
	if !c.required(path, key) {
		return nil
	}
	cl := c.clients[key]
	if cl == nil {
		c.wrong(path, "no client in this file has the key %q", key)
	}
	return cl
}

func (c *checker) userSecrets(path string, u *User) {
	if !u.Password.IsZero() && !u.PasswordHash.IsZero() {
		c.wrong(path+".password_hash", "stands beside password; leave one of them out")
	}
	if c.secret(path+".password", &u.Password) {
		c.newPassword(path+".password", u)
	}
	if c.secret(path+".password_hash", &u.PasswordHash) {
		switch hash := u.PasswordHash.Reveal(); {
		case !strings.HasPrefix(hash, "!") && !password.Known(hash):
			c.wrong(path+".password_hash", "is of no known format, or costs more than is taken")
		case len(hash) > maxHash:
			c.wrong(path+".password_hash", "is longer than %d bytes", maxHash)
		}
	}
	if c.secret(path+".totp_secret", &u.TOTPSecret) {
		if _, ok := totpBytes(u.TOTPSecret.Reveal()); !ok {
			c.wrong(path+".totp_secret", "must be base32 (A to Z and 2 to 7) of 10 to 64 bytes")
		}
	}
}

// maxHash is far above any password hash.
const maxHash = 1024

// newPassword refuses what no policy takes, and warns of what the strictest
// policy of the user's clients would not take from themselves: an operator may
// set a password to be changed soon.
func (c *checker) newPassword(path string, u *User) {
	policy := PasswordPolicy{}.policy().Stricter(client.PasswordPolicy{})
	for _, e := range u.Enrolments {
		if cl := c.clients[e.Client]; cl != nil {
			policy = policy.Stricter(cl.Password.policy())
			if t := c.tenants[cl.Tenant]; t != nil {
				policy = policy.Stricter(t.Password.policy())
			}
		}
	}
	err := password.Policy(policy).Check(u.Password.Reveal(), u.Email, u.DisplayName)
	weak, ok := errors.AsType[*password.Weak](err)
	if !ok {
		return
	}
	switch weak.Rule {
	case password.TooShort:
		c.wrong(path, "must have at least %d characters", policy.MinLength)
	case password.TooLong:
		c.wrong(path, "is longer than a password may be")
	case password.Common:
		c.warn(path, "is a common or breached password, or the user's own name or address")
	default:
		c.warn(path, "does not meet the password policy of the user's clients")
	}
}

// totpBytes decodes an authenticator's secret as people write it: in groups,
// in either case, padded or not.
func totpBytes(s string) ([]byte, bool) {
	s = strings.ToUpper(strings.NewReplacer(" ", "", "-", "", "=", "").Replace(s))
	b, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(s)
	return b, err == nil && len(b) >= 10 && len(b) <= 64
}

func (c *checker) invite(path string, in *Invite, invited map[string]string) {
	in.Email = c.email(path+".email", in.Email)
	if in.Org != "" {
		c.orgInvite(path, in, invited)
		return
	}
	cl := c.named(path+".client", in.Client)
	if cl == nil || in.Email == "" {
		return
	}
	if in.Role != "" {
		c.role(path+".role", in.Role, &cl.Roles)
	}
	c.unique(path, in.Client+" "+in.Email, invited)
}
