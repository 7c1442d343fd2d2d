package upstream

// kind is what is the same for all upstreams of one kind. base and issuerPath
// make the issuer; a kind without base has one only by configuration.
type kind struct {
	title      string
	base       string
	issuerPath string
	scopes     []string
	plain      []string // the scopes of a request that AuthorizationURL makes; LinkedIn's from before OpenID Connect
	openID     bool     // has an issuer's metadata and ID tokens
	nonce      nonce    // whether it is sent and must come back
	pkce       bool
	formPost   bool // the answer comes by POST
	basic      bool // credentials in the header unless its metadata wants the form only
}

// nonce is how far a kind keeps to OpenID Connect Core §3.1.3.7 rule 11.
type nonce int

const (
	noNonce      nonce = iota
	nonceIfThere       // sent, and compared if the ID token has one
	nonceAlways
)

// kinds is what each provider has against a code that was made for, or stolen
// from, somebody else (RFC 9700 §2.1.1, §4.5). State is sent to all of them.
//
//	            PKCE   nonce      iss (RFC 9207)    why not
//	google      S256   yes        if announced
//	github      S256   –          –                 OAuth 2.0 only: no ID token for a nonce to be in; PKCE since July 2025
//	linkedin    –      if there   if announced      a code_verifier is answered with invalid_client unless the application was
//	                                                enabled for native PKCE, which has other endpoints; the nonce is not returned
//	microsoft   S256   yes        if announced      its metadata does not list PKCE, its documentation does
//	apple       –      yes        if announced      documents PKCE nowhere; code, nonce and the form's state bind the answer
//	okta        S256   yes        if announced
//	workos      S256   –          –                 AuthKit; SSO has neither: its SDK cannot send a verifier, and its profile is
//	                                                no ID token. Its code is bound to our API key.
//	oidc        S256   yes        if announced      a server that knows no PKCE ignores it (RFC 6749 §3.1)
//	oauth2      S256   –          if issuer is set  the same
//	saml        –      –          –                 signed answers that name the request, us and our address (package saml)
//
// Where iss is announced in the metadata it must come; where it comes, it must
// be right.
var kinds = map[Kind]kind{
	Google: {title: "Google", base: "https://accounts.google.com", openID: true, nonce: nonceAlways, pkce: true,
		scopes: []string{"openid", "email", "profile"}, plain: []string{"profile", "email"}},
	GitHub: {title: "GitHub", base: "https://github.com", pkce: true,
		scopes: []string{"read:user", "user:email"}, plain: []string{"user:email"}},
	LinkedIn: {title: "LinkedIn", base: "https://www.linkedin.com", issuerPath: "/oauth", openID: true, nonce: nonceIfThere,
		scopes: []string{"openid", "profile", "email"}, plain: []string{"r_liteprofile", "r_emailaddress"}},
	Microsoft: {title: "Microsoft", base: "https://login.microsoftonline.com", openID: true, nonce: nonceAlways, pkce: true,
		scopes: []string{"openid", "email", "profile"}},
	Apple: {title: "Apple", base: "https://appleid.apple.com", openID: true, nonce: nonceAlways, formPost: true,
		scopes: []string{"name", "email"}},
	Okta: {title: "Okta", openID: true, nonce: nonceAlways, pkce: true, basic: true,
		scopes: []string{"openid", "profile", "email"}},
	WorkOS: {title: "WorkOS", base: "https://api.workos.com", pkce: true},
	OIDC: {title: "Single sign-on", openID: true, nonce: nonceAlways, pkce: true, basic: true,
		scopes: []string{"openid", "profile", "email"}},
	OAuth2: {title: "Sign in", pkce: true},
	SAML:   {title: "Single sign-on", formPost: true},
}
