package resource

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
	"sallyport/internal/org"
	"sallyport/internal/secret"
	"sallyport/internal/yaml"
)

// Pull returns a resource file that Plan says no changes to: all tenants,
// surface settings and clients but those that registered themselves, and the
// users and pending invitations that a file brought. A secret is written as the reference it was given by; one that
// is not known to have any is left out, or said to be the stored one, and
// listed in a comment. Equal databases give equal bytes.
func (c *Core) Pull(ctx context.Context) ([]byte, error) {
	var s *state
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		s, err = load(ctx, tx, c.Key, nil, c.Now())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("pull resources: %w", err)
	}
	p := &puller{key: c.Key, s: s}
	f, err := p.file()
	if err != nil {
		return nil, fmt.Errorf("pull resources: %w", err)
	}
	text, err := yaml.Encode(f)
	if err != nil {
		return nil, fmt.Errorf("pull resources: %w", err)
	}
	var b bytes.Buffer
	if len(p.notes) > 0 {
		b.WriteString("# Not written here, because no env:NAME or file:PATH is known for what is stored:\n")
		for _, n := range p.notes {
			b.WriteString("#   " + n + "\n")
		}
	}
	if string(text) != "{}\n" {
		b.Write(text)
	}
	return b.Bytes(), nil
}

// puller writes a file from a state.
type puller struct {
	key   *secret.Key
	s     *state
	notes []string
}

func (p *puller) file() (*File, error) {
	f := &File{}
	for _, slug := range inOrder(p.s.tenants) {
		t := p.s.tenants[slug]
		f.Tenants = append(f.Tenants, Tenant{Slug: slug, Name: t.Name, Password: PasswordPolicy(t.Password.Stricter(client.PasswordPolicy{}))})
	}
	for _, key := range inOrder(p.s.upstreams) {
		f.Upstreams = append(f.Upstreams, p.upstream(p.s.upstreams[key]))
	}
	for _, cl := range p.s.clients {
		if cl.Source == client.Operator { // others look after themselves
			f.Clients = append(f.Clients, p.client(cl))
		}
	}
	slices.SortFunc(f.Clients, func(a, b Client) int { return strings.Compare(a.Key, b.Key) })
	for _, slug := range inOrder(p.s.orgs) {
		if o := p.s.orgs[slug]; o.Slug != "" {
			f.Orgs = append(f.Orgs, p.org(o))
		}
	}
	for _, id := range inOrder(p.s.owned.Users) {
		if u, there := p.s.users[id]; there {
			f.Users = append(f.Users, p.user(u.User, p.s.owned.Users[id]))
		}
	}
	slices.SortFunc(f.Users, func(a, b User) int { return strings.Compare(a.Email, b.Email) })
	for _, key := range inOrder(p.s.owned.Invites) {
		if i, there := p.s.made[p.s.owned.Invites[key]]; there && i.Status == invite.Pending && (i.OrgID == "" || p.s.orgByID(i.OrgID).Slug != "") {
			f.Invites = append(f.Invites, p.invite(i))
		}
	}
	slices.SortFunc(f.Invites, func(a, b Invite) int {
		return strings.Compare(a.Org+" "+a.Client+" "+a.Email, b.Org+" "+b.Client+" "+b.Email)
	})
	return f, p.surfaces(f)
}

func (p *puller) note(format string, args ...any) {
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

func (p *puller) client(cl client.Client) Client {
	c := describe(cl)
	c.Org = p.s.orgByID(p.s.holders[cl.ID]).Slug
	o := p.s.owned.Clients[cl.ID]
	if cl.Confidential() {
		c.Secret = p.secret(o.Secret.ref(fingerprint(string(cl.SecretHash))), "client %s: secret", c.Key)
	}
	if shared, there := p.s.shared[cl.ID].Private().([]byte); there && c.AccessToken.Alg == p.s.shared[cl.ID].Alg {
		c.AccessToken.Secret = p.secret(o.Shared.ref(mark(p.key, string(cl.ID), shared)), "client %s: access_token.secret", c.Key)
	}
	if previous, there := p.s.previous[cl.ID].Private().([]byte); there && !c.AccessToken.Secret.IsZero() {
		c.AccessToken.PreviousSecret = p.secret(o.Previous.ref(mark(p.key, string(cl.ID), previous)), "client %s: access_token.previous_secret", c.Key)
	}
	return c
}

// secret is the reference to a secret if there is one, else "stored".
func (p *puller) secret(ref, format string, args ...any) Secret {
	if ref == "" {
		p.note(format, args...)
		ref = stored
	}
	return referTo(ref)
}

func (p *puller) user(is identity.User, o ownedUser) User {
	u := User{Email: is.Email, EmailVerified: is.EmailVerified, Status: string(is.Status)}
	p.name(&u, is)
	if is.HasPassword() {
		switch ref := o.Password.ref(fingerprint(is.PasswordHash)); {
		case ref != "":
			u.Password = referTo(ref)
		case o.PasswordHash != nil && o.PasswordHash.Ref != "":
			u.PasswordHash = referTo(o.PasswordHash.Ref)
		default:
			p.note("user %s: password", is.Email)
		}
	}
	if base32 := p.s.totp[is.ID]; base32 != "" {
		plain, _ := totpBytes(base32)
		if m := mark(p.key, string(is.ID), plain); o.TOTP.is(m) {
			u.TOTPSecret = p.secret(o.TOTP.ref(m), "user %s: totp_secret", is.Email)
		}
	}
	for _, cl := range p.s.clients {
		if e, there := p.s.enrolments[is.ID][cl.ID]; there && cl.Source == client.Operator {
			one := Enrolment{Client: fileKey(cl), Status: string(e.Status), Alias: p.s.aliases[cl.ID][is.ID]}
			if !slices.ContainsFunc(e.Roles, func(r string) bool { return !slices.Contains(cl.Policy.Roles.Available, r) }) {
				one.Roles = new(nonNil(e.Roles))
			}
			u.Enrolments = append(u.Enrolments, one)
		}
	}
	for _, slug := range inOrder(p.s.orgs) {
		if m, there := p.s.memberships[is.ID][p.s.orgs[slug].ID]; there && p.s.orgs[slug].Slug != "" {
			u.Memberships = append(u.Memberships, Membership{Org: slug, Role: string(m.Role)})
		}
	}
	return u
}

func (p *puller) org(o storedOrg) Org {
	out := Org{Slug: o.Slug, Name: o.Name, Picture: o.Picture, Status: string(o.Status), Parent: p.s.orgByID(o.Parent).Slug}
	for slug, t := range p.s.tenants {
		if o.Tenant != "" && t.ID == o.Tenant {
			out.Tenant = slug
		}
	}
	out.SSO = p.sso(o)
	if o.SignIn != org.SignInAny {
		out.Policy.SignIn = string(o.SignIn)
	}
	out.Policy.BreakGlass = onOrUnsaidOff(o.BreakGlass)
	for _, name := range inOrder(o.domains) {
		d := OrgDomain{Name: name, Verified: !o.domains[name].VerifiedAt.IsZero()}
		if cl := p.s.byID[o.domains[name].Client]; cl.Source == client.Operator {
			d.Client = fileKey(cl)
		}
		out.Domains = append(out.Domains, d)
	}
	return out
}

// name writes a user's names, given and family name only where they are not
// what the display name reads as. Names that no file may hold stay unsaid.
func (p *puller) name(u *User, is identity.User) {
	for _, name := range []string{is.DisplayName, is.GivenName, is.FamilyName} {
		if badText(name) != "" {
			return
		}
	}
	u.DisplayName = is.DisplayName
	if given, family := identity.Names(is.DisplayName); given != is.GivenName || family != is.FamilyName {
		u.GivenName, u.FamilyName = &is.GivenName, &is.FamilyName
	}
}

func (p *puller) invite(i invite.Invite) Invite {
	if i.OrgID != "" {
		in := Invite{Org: p.s.orgByID(i.OrgID).Slug, Email: i.Email, Role: string(i.OrgRole)}
		if i.ClientID != "" {
			in.Client = fileKey(p.s.byID[i.ClientID])
		}
		return in
	}
	cl := p.s.byID[i.ClientID]
	in := Invite{Client: fileKey(cl), Email: i.Email}
	if len(i.Roles) == 1 && slices.Contains(cl.Policy.Roles.Available, i.Roles[0]) {
		in.Role = i.Roles[0]
	}
	return in
}

func (p *puller) surfaces(f *File) (err error) {
	if f.Surfaces, err = surfacesFrom(p.s.surfaces); err != nil {
		return err
	}
	for _, one := range f.Surfaces.all() {
		if one.client == nil {
			continue
		}
		cl, there := p.s.byID[client.ID(*one.client)]
		if !there {
			return fmt.Errorf("surface %s is bound to the client %s, which is not there", one.name, *one.client)
		}
		if one.name == "accountmaker" || one.name == "snooplytics" {
			i := slices.IndexFunc(f.Clients, func(c Client) bool { return c.Key == fileKey(cl) })
			f.Clients[i].say()
		}
		*one.client = fileKey(cl)
	}
	return nil
}
