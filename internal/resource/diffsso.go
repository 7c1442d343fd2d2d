package resource

import (
	"context"
	"encoding/pem"
	"slices"
	"strings"

	"sallyport/internal/audit"
	"sallyport/internal/db"
	"sallyport/internal/org"
	"sallyport/internal/saml"
	"sallyport/internal/secret"
	"sallyport/internal/sso"
)

// sso compares the connection that the file describes with the one that is there. One
// that the file brought and names no more is removed if pruning.
func (x *orgDiff) sso(path string) {
	was := x.was.sso
	if x.f.SSO == nil {
		if was == nil || !x.differ.o.Prune || x.o.SSO == nil {
			return
		}
		if or(x.f.Policy.SignIn, string(x.was.SignIn)) == string(org.SignInSSO) {
			x.wrong(path+".policy.sign_in", "is sso: without the sso that is pruned nobody could sign in")
		}
		x.o.SSO = nil
		x.c.Fields = append(x.c.Fields, Field{"sso", was.Issuer, ""})
		x.steps = append(x.steps, func(ctx context.Context, tx *db.Tx) error {
			if err := sso.Remove(ctx, tx, x.next.ID); err != nil {
				return err
			}
			return x.say(ctx, tx, audit.ConnectionRemoved, map[string]any{"provider": was.Provider, "issuer": was.Issuer})
		})
		return
	}
	next := x.f.SSO.record(x.next.ID, x.clients)
	var before []attr
	if was != nil {
		before, next.Keys = x.ssoAttrs(*was), was.Keys
	}
	fields := fieldsBetween(before, x.ssoAttrs(next))
	next.Secret = x.ssoSecret(path, was, &fields)
	if next.Kind == sso.SAML && len(next.Keys) == 0 {
		pair, ready := x.memo.pair(x.f.Slug)
		if ready {
			next.Keys = []sso.KeyPair{pair}
		}
		fields = append(fields, Field{"keys", "", secretSet})
	}
	for i := range fields {
		fields[i].Name = "sso." + fields[i].Name
	}
	x.c.Fields = append(x.c.Fields, fields...)
	if len(fields) == 0 {
		return
	}
	x.steps = append(x.steps, func(ctx context.Context, tx *db.Tx) error {
		stored, err := sso.Set(ctx, tx, x.core.Key, next, x.now)
		if err != nil {
			return err
		}
		return x.say(ctx, tx, audit.ConnectionSet, map[string]any{
			"kind": string(stored.Kind), "provider": stored.Provider, "issuer": stored.Issuer, "enabled": stored.Enabled, "fields": names(fields),
		})
	})
}

// ssoSecret is the client secret that a connection is to have. It is sent to the
// provider: one that is stored goes to no other than before.
func (x *orgDiff) ssoSecret(path string, was *sso.Connection, fields *[]Field) secret.Value {
	s := x.f.SSO.ClientSecret
	switch {
	case s.IsZero():
		x.o.SSO = &remembered{}
		return ""
	case s.Stored():
		if was == nil || was.Kind != sso.OIDC || was.Issuer != x.f.SSO.Issuer || was.Secret == "" {
			x.wrong(path+".sso.client_secret", "there is no stored secret for this issuer; name it as in env:NAME")
			return ""
		}
		if x.o.SSO == nil {
			x.o.SSO = &remembered{}
		}
		return was.Secret
	}
	x.o.SSO = remember(s, ssoMark(x.core.Key, x.next.ID, s.value))
	if was == nil || !secret.Equal([]byte(was.Secret.Reveal()), []byte(s.value.Reveal())) {
		*fields = append(*fields, secretField("client_secret", was != nil && was.Secret != ""))
	}
	return s.value
}

// ssoMark is what a secret is recognised by later.
func ssoMark(k *secret.Key, id org.ID, v secret.Value) string {
	return mark(k, "sso "+string(id), []byte(v.Reveal()))
}

// ssoAttrs is everything about a connection but its secrets, by the names that the
// file has for it.
func (d *differ) ssoAttrs(c sso.Connection) []attr {
	var certificates, roles []string
	for _, der := range c.Certificates {
		certificates = append(certificates, fingerprint(string(der)))
	}
	for _, r := range c.Roles {
		roles = append(roles, strings.TrimRight(r.Claim+" "+r.Value+": "+string(r.Role)+" "+d.clientKey(r)+" "+r.ClientRole, " "))
	}
	return []attr{
		{"kind", string(c.Kind)},
		{"provider", c.Provider},
		{"enabled", yesNo(c.Enabled)},
		{"jit", yesNo(c.JIT)},
		{"trust_mfa", yesNo(c.TrustMFA)},
		{"issuer", c.Issuer},
		{"client_id", c.ClientID},
		{"scopes", joined(ssoScopes(c))},
		{"sign_on_url", c.SignOnURL},
		{"sign_on_binding", bindingName(c.SignOnBinding)},
		{"logout_url", c.LogoutURL},
		{"logout_binding", bindingName(c.LogoutBinding)},
		{"metadata_url", c.MetadataURL},
		{"certificates", joined(certificates)},
		{"idp_initiated", yesNo(c.IdPInitiated)},
		{"sign_requests", yesNo(c.SignRequests)},
		{"want_encrypted", yesNo(c.WantEncrypted)},
		{"name_id_format", c.NameIDFormat},
		{"attributes.email", c.Attributes.Email},
		{"attributes.given_name", c.Attributes.GivenName},
		{"attributes.family_name", c.Attributes.FamilyName},
		{"attributes.name", c.Attributes.Name},
		{"attributes.groups", c.Attributes.Groups},
		{"roles", joined(roles)},
	}
}

// clientKey is how the file calls the client of a rule.
func (d *differ) clientKey(r sso.RoleRule) string {
	for key, cl := range d.clients {
		if r.Client != "" && cl.ID == r.Client {
			return key
		}
	}
	return string(r.Client)
}

func bindingName(urn string) string {
	for name, b := range bindings {
		if b == urn {
			return name
		}
	}
	return urn
}

// policy sets what an organization demands, if the file says so. It must be possible
// to meet, or the file would lock everybody out.
func (x *orgDiff) policy(path string) {
	is, glass := org.SignIn(or(string(x.was.SignIn), string(org.SignInAny))), !x.exists || x.was.BreakGlass
	next, nextGlass := org.SignIn(or(x.f.Policy.SignIn, string(is))), glass
	if x.f.Policy.BreakGlass != nil {
		nextGlass = *x.f.Policy.BreakGlass
	}
	if next == org.SignInSSO && (is != next || x.f.SSO != nil) && !x.ready() {
		x.wrong(path+".policy.sign_in", "needs an sso that is on and a domain that is verified: nobody could sign in")
	}
	fields := fieldsBetween([]attr{{"policy.sign_in", string(is)}, {"policy.break_glass", yesNo(glass)}},
		[]attr{{"policy.sign_in", string(next)}, {"policy.break_glass", yesNo(nextGlass)}})
	if len(fields) == 0 {
		return
	}
	x.c.Fields = append(x.c.Fields, fields...)
	x.steps = append(x.steps, func(ctx context.Context, tx *db.Tx) error {
		if err := org.SetPolicy(ctx, tx, x.next.ID, next, nextGlass, x.now); err != nil {
			return err
		}
		return x.say(ctx, tx, audit.PolicyChanged, map[string]any{"sign_in": string(next), "previous_sign_in": string(is), "break_glass": nextGlass})
	})
}

// ready reports whether the organization can sign its people in once the file is
// applied.
func (x *orgDiff) ready() bool {
	on := x.was.sso != nil && x.was.sso.Enabled
	if x.f.SSO != nil {
		on = x.f.SSO.Enabled == nil || *x.f.SSO.Enabled
	}
	proved := slices.ContainsFunc(x.f.Domains, func(d OrgDomain) bool { return d.Verified })
	for _, d := range x.was.domains {
		proved = proved || !d.VerifiedAt.IsZero()
	}
	return on && proved
}

// sso describes a stored connection, nil for none.
func (p *puller) sso(o storedOrg) *OrgSSO {
	c := o.sso
	if c == nil {
		return nil
	}
	out := &OrgSSO{
		Kind: c.Kind, Provider: c.Provider, Enabled: onOrUnsaidOff(c.Enabled), JIT: onOrUnsaidOff(c.JIT), TrustMFA: c.TrustMFA, Issuer: c.Issuer, ClientID: c.ClientID,
		SignOnURL: c.SignOnURL, SignOnBinding: bindingName(c.SignOnBinding), LogoutURL: c.LogoutURL, LogoutBinding: bindingName(c.LogoutBinding),
		MetadataURL: c.MetadataURL, IdPInitiated: c.IdPInitiated, SignRequests: c.SignRequests, WantEncrypted: c.WantEncrypted,
		NameIDFormat: c.NameIDFormat, Attributes: c.Attributes,
	}
	if !slices.Equal(c.Scopes, ssoScopes(sso.Connection{Kind: c.Kind})) {
		out.Scopes = c.Scopes
	}
	if c.Secret != "" {
		ref := p.s.owned.Orgs[o.ID].SSO.ref(ssoMark(p.key, o.ID, c.Secret))
		out.ClientSecret = p.secret(ref, "organization %s: sso.client_secret", o.Slug)
	}
	for _, der := range c.Certificates {
		out.Certificates = append(out.Certificates, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	}
	for _, r := range c.Roles {
		rule := OrgSSORole{Claim: r.Claim, Value: r.Value, Role: r.Role, ClientRole: r.ClientRole}
		if r.Client != "" {
			rule.Client = fileKey(p.s.byID[r.Client])
		}
		out.Roles = append(out.Roles, rule)
	}
	return out
}

// onOrUnsaidOff leaves out what is on by default.
func onOrUnsaidOff(on bool) *bool {
	if on {
		return nil
	}
	return new(false)
}

// pair is the key pair of an organization that speaks SAML, if it is made yet.
func (m *memo) pair(slug string) (sso.KeyPair, bool) {
	p, made := m.pairs[slug]
	if !made && m.hashing {
		m.names = append(m.names, slug)
	}
	return p, made
}

// makePairs makes what is wanted.
func (m *memo) makePairs(c *Core) error {
	for _, slug := range m.names {
		p, err := saml.NewKeyPair(slug, c.Now())
		if err != nil {
			return err
		}
		m.pairs[slug] = p
	}
	m.names = nil
	return nil
}
