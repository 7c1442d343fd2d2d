package resource

import "sallyport/internal/client"

func (p PasswordPolicy) policy() client.PasswordPolicy { return client.PasswordPolicy(p) }

// policy is the policy that the file describes. What the file does not say and
// a policy has no default for is taken from was, the one there is.
func (cl Client) policy(was client.Policy) client.Policy {
	p := client.Policy{
		RedirectURIs:           cl.RedirectURIs,
		PostLogoutRedirectURIs: cl.PostLogoutRedirectURIs,
		AllowedOrigins:         cl.AllowedOrigins,
		Registration:           client.Registration(cl.Registration),
		AllowedDomains:         cl.AllowedDomains,
		Methods:                cl.Methods,
		SecondFactor:           cl.SecondFactor,
		Password:               cl.Password.policy(),
		AccessToken:            client.AccessToken{Lifetime: cl.AccessToken.Lifetime, Alg: cl.AccessToken.Alg, Format: cl.AccessToken.Format, Cookie: cl.AccessToken.Cookie.policy()},
		RefreshToken:           cl.RefreshToken.policy(),
		Linking:                cl.Linking,
		Issuer:                 cl.Issuer,
		Audience:               cl.Audience,
		Links:                  client.Links(cl.Links),
		MagicLinkButton:        cl.MagicLinkButton,
		KeepUpstreamTokens:     cl.KeepUpstreamTokens,
		Roles:                  client.Roles(cl.Roles),
		Grants:                 cl.Grants,
		Profile:                cl.Profile,
		PKCE:                   cl.PKCE,
		JWKSURI:                cl.JWKSURI,
		BackchannelLogoutURI:   cl.BackchannelLogoutURI,
		OAuth:                  cl.OAuth.policy(was.OAuth),
		Branding:               client.Branding(cl.Branding),
		Notifications:          was.Notifications,
	}
	cl.Conduct.fill(&p)
	if cl.Notifications != nil {
		p.Notifications = *cl.Notifications
	}
	if p.Branding.LogoHeight == 0 {
		p.Branding.LogoHeight = was.Branding.LogoHeight
	}
	return p.WithDefaults()
}

// describe is the reverse: a client as a file would have it, without secrets.
func describe(cl client.Client) Client {
	p := cl.Policy
	d := Client{
		Key:                    fileKey(cl),
		ID:                     string(cl.ID),
		Name:                   cl.Name,
		Tenant:                 cl.Tenant.Slug,
		Console:                cl.Console,
		RedirectURIs:           p.RedirectURIs,
		PostLogoutRedirectURIs: p.PostLogoutRedirectURIs,
		AllowedOrigins:         p.AllowedOrigins,
		Registration:           string(p.Registration),
		AllowedDomains:         p.AllowedDomains,
		Methods:                nonNil(p.Methods),
		SecondFactor:           p.SecondFactor,
		Password:               PasswordPolicy(p.Password),
		AccessToken:            AccessToken{Lifetime: p.AccessToken.Lifetime, Alg: p.AccessToken.Alg, Format: p.AccessToken.Format, Cookie: describeCookie(p.AccessToken.Cookie)},
		RefreshToken:           describeRefresh(p.RefreshToken),
		Linking:                or(p.Linking, "verified_email"),
		Issuer:                 p.Issuer,
		Audience:               p.Audience,
		Links:                  Links(p.Links),
		MagicLinkButton:        p.MagicLinkButton,
		KeepUpstreamTokens:     p.KeepUpstreamTokens,
		Conduct:                describeConduct(p),
		Roles:                  Roles{nonNil(p.Roles.Available), nonNil(p.Roles.Default)},
		Grants:                 p.Grants,
		Profile:                p.Profile,
		PKCE:                   p.PKCE,
		JWKSURI:                p.JWKSURI,
		BackchannelLogoutURI:   p.BackchannelLogoutURI,
		OAuth:                  describeOAuth(p.OAuth),
		Branding:               Branding(p.Branding),
	}
	if !cl.Active {
		d.Active = new(false)
	}
	if cl.BundleID != "" {
		d.BundleID = new(cl.BundleID)
	}
	if p.Notifications {
		d.Notifications = new(true)
	}
	return d
}

// fileKey is what a file calls a client: its key, or its id if it has none.
func fileKey(cl client.Client) string { return or(cl.Key, string(cl.ID)) }

// ownKey is the key that a client of the file is stored with: none if it is
// called by its id.
func (cl Client) ownKey() string {
	if cl.Key == cl.ID {
		return ""
	}
	return cl.Key
}

func nonNil(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
