package sso

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/openid"
	"sallyport/internal/org"
	"sallyport/internal/saml"
	"sallyport/internal/upstream"
)

// Test is what came of trying a connection out: a sign-in that signs nobody in. What
// the provider said is kept as it said it, for its administrator to look at, until the
// next test. Revision is that of the connection that was tried. It worked if none of
// the Problems is more than a warning.
type Test struct {
	OrgID    org.ID    `json:"-"`
	Revision int64     `json:"-"`
	At       time.Time `json:"-"`
	OK       bool      `json:"ok"`
	Issuer   string    `json:"issuer,omitempty"`
	Subject  string    `json:"subject,omitempty"`
	Email    string    `json:"email,omitempty"`
	Name     string    `json:"name,omitempty"`
	Groups   []string  `json:"groups,omitempty"`
	Role     org.Role  `json:"role,omitempty"` // that the rules give
	Factors  bool      `json:"factors,omitempty"`
	Claims   []Claim   `json:"claims,omitempty"`
	Problems []Problem `json:"problems,omitempty"`
}

// Claim is something that the provider said, in its own name and words.
type Claim struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
}

// Problem is something that is wrong, or with Warning only not as it could be.
type Problem struct {
	Code    ProblemCode `json:"code"`
	Params  []string    `json:"params,omitempty"`
	Warning bool        `json:"warning,omitempty"`
}

// ProblemCode names what is wrong: one of the list.
type ProblemCode string

// The problems. Of those up to ProblemAnswer Params[0] is the provider's error code or
// what was wrong with the answer, for whoever administers it; of ProblemSAML it is the
// saml.Reason, and Params[1] the sentence for it.
const (
	ProblemDenied      ProblemCode = "denied"        // the person, or the provider, said no
	ProblemUnreachable ProblemCode = "unreachable"   // the provider did not answer
	ProblemSpent       ProblemCode = "code"          // it did not take the code that it had given
	ProblemClient      ProblemCode = "client"        // it refuses our client id, secret, address or scopes
	ProblemAudience    ProblemCode = "audience"      // the token is for another application
	ProblemOutsider    ProblemCode = "outsider"      // the account is of another organization
	ProblemAnswer      ProblemCode = "answer"        // wrong issuer, nonce, signature or time, or no answer at all
	ProblemSAML        ProblemCode = "saml"          // the assertion was refused
	ProblemNoEmail     ProblemCode = "no_email"      // no address was sent
	ProblemUnverified  ProblemCode = "unverified"    // the provider says that the address is not verified
	ProblemDomain      ProblemCode = "domain"        // Params[0]: the domain of the address, which the organization has not proved
	ProblemNoDomain    ProblemCode = "no_domain"     // the organization has proved none
	ProblemHosted      ProblemCode = "hosted_domain" // Params[0]: the Google Workspace that the account is in, "" for none, which is not the organization's
	ProblemNoName      ProblemCode = "no_name"       // no name was sent
	ProblemNoGroups    ProblemCode = "no_groups"     // there are rules about groups, and none were sent
	ProblemNoRole      ProblemCode = "no_role"       // no rule holds
	ProblemOff         ProblemCode = "off"           // the connection is switched off
	ProblemNoFactors   ProblemCode = "no_two_factor" // two factors are demanded, and the provider does not say that there were
)

// Bounds of what is kept of the provider's words.
const (
	maxClaims = 60
	maxValues = 30
	maxText   = 300
)

// JudgeTest says what came of a test: p is who the broker says it was, or err why
// nobody. domains are those that the organization has proved.
func JudgeTest(o org.Org, c Connection, domains []string, p upstream.Profile, err error, now time.Time) Test {
	t := Test{OrgID: c.OrgID, Revision: c.Revision, At: now, Claims: claimsOf(p)}
	if err != nil {
		t.Problems = []Problem{problemOf(err)}
		return t
	}
	t.Issuer, t.Subject = short(p.Issuer), short(p.Subject)
	p = c.Read(p)
	t.Email, t.Name, t.Factors = short(p.Email), short(p.Name), c.TwoFactors(p)
	for _, g := range p.Groups[:min(len(p.Groups), maxValues)] {
		t.Groups = append(t.Groups, short(g))
	}
	t.Role, _ = c.RolesOf(p, "")
	t.judge(o, c, domains, p)
	t.OK = !slices.ContainsFunc(t.Problems, func(p Problem) bool { return !p.Warning })
	return t
}

func (t *Test) judge(o org.Org, c Connection, domains []string, p upstream.Profile) {
	wrong := func(code ProblemCode, params ...string) {
		t.Problems = append(t.Problems, Problem{Code: code, Params: params})
	}
	warn := func(code ProblemCode) { t.Problems = append(t.Problems, Problem{Code: code, Warning: true}) }
	_, domain, _ := strings.Cut(p.Email, "@")
	switch {
	case p.Email == "":
		wrong(ProblemNoEmail)
	case !p.EmailVerified:
		wrong(ProblemUnverified)
	case len(domains) == 0:
		wrong(ProblemNoDomain)
	case !slices.Contains(domains, domain):
		wrong(ProblemDomain, short(domain))
	case c.Provider == Google && !slices.Contains(domains, p.Organization):
		wrong(ProblemHosted, short(p.Organization))
	}
	if p.Name == "" {
		warn(ProblemNoName)
	}
	byGroup := slices.ContainsFunc(c.Roles, func(r RoleRule) bool { return r.Claim == GroupsClaim })
	switch {
	case byGroup && len(p.Groups) == 0:
		warn(ProblemNoGroups)
	case len(c.Roles) > 0 && !slices.ContainsFunc(c.Roles, func(r RoleRule) bool { return r.Gives(p) }):
		warn(ProblemNoRole)
	}
	if o.SignIn == org.SignInMFA && !t.Factors {
		warn(ProblemNoFactors)
	}
	if !c.Enabled {
		warn(ProblemOff)
	}
}

// problemOf says why there is no profile.
func problemOf(err error) Problem {
	if f, ok := errors.AsType[*saml.Failure](err); ok {
		return Problem{Code: ProblemSAML, Params: []string{string(f.Reason), short(f.Words())}}
	}
	p := Problem{Code: ProblemAnswer}
	for _, one := range []struct {
		is   error
		code ProblemCode
	}{
		{openid.ErrDenied, ProblemDenied}, {openid.ErrUnreachable, ProblemUnreachable}, {openid.ErrThrottled, ProblemUnreachable},
		{openid.ErrInvalidGrant, ProblemSpent}, {openid.ErrClient, ProblemClient}, {openid.ErrAudience, ProblemAudience},
		{openid.ErrOutsider, ProblemOutsider}, {openid.ErrUnverified, ProblemNoEmail},
	} {
		if errors.Is(err, one.is) {
			p.Code = one.code
		}
	}
	if f, ok := errors.AsType[*openid.Failure](err); ok {
		if word := strings.TrimSpace(f.Code + " " + f.Detail); word != "" {
			p.Params = []string{short(word)}
		}
	}
	return p
}

func claimsOf(p upstream.Profile) []Claim {
	var all []Claim
	for _, name := range slices.Sorted(maps.Keys(p.Attributes)) {
		if len(all) == maxClaims {
			break
		}
		c := Claim{Name: short(name)}
		values := p.Attributes[name]
		for _, v := range values[:min(len(values), maxValues)] {
			c.Values = append(c.Values, short(v))
		}
		all = append(all, c)
	}
	return all
}

// short is a text on one line that a page can show.
func short(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
	if r := []rune(s); len(r) > maxText {
		return string(r[:maxText]) + "…"
	}
	return s
}

// PutTest keeps what came of a test, in place of what was kept of the one before.
func PutTest(ctx context.Context, tx *db.Tx, t Test) error {
	_, err := tx.Exec(ctx, `INSERT INTO sso_tests (org_id, revision, at, result) VALUES ($1, $2, $3, $4)
		ON CONFLICT (org_id) DO UPDATE SET revision = $2, at = $3, result = $4`, t.OrgID, t.Revision, db.At(t.At), db.JSON(t))
	return err
}

// TestOf returns what came of the newest test of an organization's connection, or
// db.ErrNotFound.
func TestOf(ctx context.Context, tx *db.Tx, id org.ID) (Test, error) {
	return db.One(ctx, tx, func(r db.Row) (t Test, err error) {
		var at db.Time
		var revision int64
		err = r.Scan(&revision, &at, db.JSON(&t))
		t.OrgID, t.Revision, t.At = id, revision, at.Time
		return t, err
	}, `SELECT revision, at, result FROM sso_tests WHERE org_id = $1`, id)
}
