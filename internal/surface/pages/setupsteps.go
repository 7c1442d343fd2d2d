package pages

import (
	"net/http"
	"strings"

	"sallyport/internal/enterprise"
	"sallyport/internal/fault"
	"sallyport/internal/org"
	"sallyport/internal/secret"
	"sallyport/internal/signin"
	"sallyport/internal/sso"
	"sallyport/internal/wire"
)

// The states of a step.
const (
	stepDone  = "done"
	stepOpen  = "open"
	stepLater = "later" // something has to be done first
)

// stepsOf is how far an organization is, whose IT administrator has chosen a provider
// or not yet.
func stepsOf(at enterprise.View, chosen string) []step {
	stored := at.Connection != nil
	states := map[string]string{}
	set := func(key string, done, open bool) {
		states[key] = stepLater
		if open {
			states[key] = stepOpen
		}
		if done {
			states[key] = stepDone
		}
	}
	set("provider", stored || chosen != "", true)
	set("ours", stored, stored || chosen != "")
	set("theirs", stored, stored || chosen != "")
	set("domain", verifiedOf(at) != nil, true) // whoever keeps the DNS may need a day
	set("test", tested(at), stored)
	set("on", stored && at.Connection.Enabled, stored)
	set("directory", at.Directory.On(), stored)
	var all []step
	for _, s := range setupSteps {
		all = append(all, step{Name: s.name, Path: setupAt(s.key), State: states[s.key]})
	}
	return all
}

// tested reports whether the connection as it is now has passed a test.
func tested(at enterprise.View) bool {
	return at.Connection != nil && at.Test != nil && at.Test.OK && at.Test.Revision == at.Connection.Revision
}

// verifiedOf are the names of the domains that are proved; nil if none is.
func verifiedOf(at enterprise.View) (names []string) {
	for _, d := range at.Domains {
		if d.Status == enterprise.DomainVerified {
			names = append(names, d.Name)
		}
	}
	return names
}

// connected is the provider of a stored connection. What an operator called otherwise
// is one of the others.
func connected(c sso.Connection) provider {
	if p, ok := providerOf(c.Provider); ok && p.SAML == (c.Kind == sso.SAML) {
		return p
	}
	p, _ := providerOf(string(c.Kind))
	return p
}

// postTheirs connects the provider.
func (p *Pages) postTheirs(w http.ResponseWriter, r *http.Request, in *wire.Params, at enterprise.View) {
	chosen, ok := providerOf(in.String("provider"))
	if !ok {
		redirect(w, wire.MountOf(r.Context()).Path+setupAt("provider"))
		return
	}
	d := setupData{Provider: chosen, Given: connectGiven{
		Issuer: trimmed(in, "issuer"), ClientID: trimmed(in, "client_id"), MetadataURL: trimmed(in, "metadata_url"), MetadataXML: in.String("metadata_xml"),
	}}
	change := enterprise.ConnectionIn{Kind: sso.OIDC, Provider: chosen.Key, Confirm: in.Has("confirm")}
	if chosen.SAML {
		change.Kind = sso.SAML
		change.MetadataURL, change.Metadata = d.Given.MetadataURL, metadata(in)
	} else {
		change.Issuer, change.ClientID, change.Secret = issuerOf(chosen, d.Given.Issuer), d.Given.ClientID, secret.Value(trimmed(in, "client_secret"))
	}
	if at.Connection == nil { // nothing changes for anybody before it is switched on
		change.Enabled = new(false)
	}
	err := p.connectProvider(r, change)
	switch f, _ := wire.Fault(err); {
	case err == nil:
		p.setupDone(w, r, nextAfterTheirs(at), "connected")
	case f != nil && f.Code == fault.OrgHolds:
		d.Confirm = confirmWords(f)
		p.setupFailed(w, r, pageSetupTheirs, at, d, err)
	default:
		p.setupFailed(w, r, pageSetupTheirs, at, d, err)
	}
}

// connectProvider stores a connection. Whether an issuer ends in a slash is nothing
// that people see, and a provider tells.
func (p *Pages) connectProvider(r *http.Request, change enterprise.ConnectionIn) error {
	_, err := p.Enterprise.SetConnection(r.Context(), admin(r), "", change)
	if f, ok := wire.Fault(err); ok && f.Code == fault.IssuerInvalid && len(f.Params) > 1 && f.Params[0] == enterprise.IssuerDiffers &&
		strings.TrimSuffix(f.Params[1], "/") == strings.TrimSuffix(change.Issuer, "/") {
		change.Issuer = f.Params[1]
		_, err = p.Enterprise.SetConnection(r.Context(), admin(r), "", change)
	}
	return err
}

// nextAfterTheirs is the step after connecting: who changes a connection has proved
// their domain already.
func nextAfterTheirs(at enterprise.View) string {
	if verifiedOf(at) != nil {
		return "test"
	}
	return "domain"
}

// metadata is what was pasted or, failing that, the file.
func metadata(in *wire.Params) []byte {
	for _, name := range []string{"metadata_xml", "metadata_file"} {
		if s := trimmed(in, name); s != "" {
			return []byte(s)
		}
	}
	return nil
}

// postDomain adds, checks or removes a domain.
func (p *Pages) postDomain(w http.ResponseWriter, r *http.Request, in *wire.Params, at enterprise.View) {
	var err error
	d, done := setupData{}, ""
	switch {
	case in.Has("remove"):
		done, err = "removed", p.Enterprise.RemoveDomain(r.Context(), admin(r), "", in.String("remove"))
	case in.Has("check"):
		name := in.String("check")
		done = "verified"
		if _, err = p.Enterprise.VerifyDomain(r.Context(), admin(r), "", name); err != nil {
			p.unproven(w, r, at, name, err)
			return
		}
	default:
		d.Given.Domain = trimmed(in, "domain")
		done = "added"
		_, err = p.Enterprise.AddDomain(r.Context(), admin(r), "", domainPart(d.Given.Domain))
	}
	if err != nil {
		p.setupFailed(w, r, pageSetupDomain, at, d, err)
		return
	}
	p.setupDone(w, r, "domain", done)
}

// unproven shows what a look at the DNS found, beside the domain that it was for.
func (p *Pages) unproven(w http.ResponseWriter, r *http.Request, at enterprise.View, name string, err error) {
	f, ok := wire.Fault(err)
	if !ok || f.Code != fault.DomainUnproven {
		p.setupFailed(w, r, pageSetupDomain, at, setupData{}, err)
		return
	}
	p.showSetup(w, r, http.StatusUnprocessableEntity, pageSetupDomain, view{}, at, setupData{looked: name, saw: lookedWords(f)})
}

// postTest sends the IT administrator to their provider, to see what it says of them.
func (p *Pages) postTest(w http.ResponseWriter, r *http.Request, _ *wire.Params, at enterprise.View) {
	if err := p.departSSO(w, r, signin.SSOStart{Slug: at.Org.Slug, Test: true}); err != nil {
		p.setupFailed(w, r, pageSetupTest, at, setupData{}, err)
	}
}

// postOn says how it is to be.
func (p *Pages) postOn(w http.ResponseWriter, r *http.Request, in *wire.Params, at enterprise.View) {
	if at.Connection == nil {
		redirect(w, wire.MountOf(r.Context()).Path+"/setup")
		return
	}
	ctx, who, c := r.Context(), admin(r), *at.Connection
	policy := org.SignInAny
	switch {
	case in.String("require") == "sso":
		policy = org.SignInSSO
	case at.Policy.SignIn == org.SignInMFA: // which is not asked about here
		policy = org.SignInMFA
	}
	on, jit, trust := in.Has("on"), in.Has("jit"), in.Has("trust_mfa")
	var err error
	if policy != org.SignInSSO && at.Policy.SignIn == org.SignInSSO { // before it is switched off
		_, err = p.Enterprise.SetPolicy(ctx, who, "", policy, nil)
	}
	if err == nil && c.Enabled && !on { // which must work though the provider does not
		_, err = p.Enterprise.Enable(ctx, who, "", false)
	}
	if err == nil && (on && !c.Enabled || jit != c.JIT || trust != c.TrustMFA) {
		change := enterprise.ConnectionIn{Kind: c.Kind, Provider: c.Provider, Enabled: &on, JIT: &jit, TrustMFA: &trust}
		if c.Kind == sso.OIDC { // of SAML an issuer without metadata would be one written by hand
			change.Issuer, change.ClientID = c.Issuer, c.ClientID
		}
		_, err = p.Enterprise.SetConnection(ctx, who, "", change)
	}
	if err == nil && policy != at.Policy.SignIn {
		_, err = p.Enterprise.SetPolicy(ctx, who, "", policy, nil)
	}
	if err != nil {
		p.setupFailed(w, r, pageSetupOn, at, setupData{}, err)
		return
	}
	done := "on"
	if !on {
		done = "off"
	}
	p.setupDone(w, r, "on", done)
}

// postDirectory makes or revokes a token. A new one is shown in the answer to the
// form, and never again.
func (p *Pages) postDirectory(w http.ResponseWriter, r *http.Request, in *wire.Params, at enterprise.View) {
	if in.Has("revoke") {
		if err := p.Enterprise.EndDirectoryToken(r.Context(), admin(r), "", in.String("revoke")); err != nil {
			p.setupFailed(w, r, pageSetupDirectory, at, setupData{}, err)
			return
		}
		p.setupDone(w, r, "directory", "revoked")
		return
	}
	raw, now, err := p.Enterprise.SetDirectory(r.Context(), admin(r), "", true)
	if err != nil {
		p.setupFailed(w, r, pageSetupDirectory, at, setupData{}, err)
		return
	}
	p.showSetup(w, r, http.StatusOK, pageSetupDirectory, view{Notice: "The token is made."}, now,
		setupData{Token: &copied{ID: "token", Label: "Token", Value: raw}})
}
