package server

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sallyport/internal/admin"
	"sallyport/internal/config"
	"sallyport/internal/dns"
	"sallyport/internal/enterprise"
	"sallyport/internal/oauth"
	"sallyport/internal/provision"
	"sallyport/internal/self"
	"sallyport/internal/signin"
	"sallyport/internal/surface/accountmaker"
	adminapi "sallyport/internal/surface/admin"
	"sallyport/internal/surface/dev"
	"sallyport/internal/surface/hackillinois"
	"sallyport/internal/surface/keymaster"
	"sallyport/internal/surface/oidc"
	"sallyport/internal/surface/pages"
	"sallyport/internal/surface/scim"
	"sallyport/internal/surface/snooplytics"
	"sallyport/internal/surface/tofu"
	"sallyport/internal/token"
	"sallyport/internal/wire"
)

// verifiedTokens is how many access tokens are remembered as verified: at some
// 2 KiB each, a few MiB when all are in use.
const verifiedTokens = 2000

// cores are the operations that surfaces call.
type cores struct {
	signIn *signin.Core
	self   *self.Core
	oauth  *oauth.Core
	admin  *admin.Core

	enterprise *enterprise.Core
}

func (s *Server) newCores() cores {
	key := s.cfg.SecretKey
	return cores{
		signIn: &signin.Core{DB: s.db, Now: s.now, Key: key, Passwords: s.passwords, Broker: s.broker},
		self:   &self.Core{DB: s.db, Now: s.now, Key: key, Passwords: s.passwords, Issuer: "Keymaster"},
		oauth: &oauth.Core{
			DB: s.db, Now: s.now, Key: key, Keys: s.keys.Ring, Documents: s.documents, Broker: s.broker, Settings: s.settings.oauth,
		},
		admin: &admin.Core{DB: s.db, Now: s.now, Key: key, Passwords: s.passwords, Outbound: s.cfg.OutboundAllow},
		enterprise: &enterprise.Core{
			DB: s.db, Now: s.now, Key: key, Broker: s.broker, Documents: s.providers, Names: dns.Resolver{Server: s.cfg.Resolver}, Outbound: s.cfg.OutboundAllow,
		},
	}
}

// surfaces builds every surface over the cores, in the order in which ours come
// after those that the configuration orders. inbox is nil but for a playground.
func (s *Server) surfaces(c cores, inbox *dev.Inbox) ([]surface, error) {
	csrf, err := wire.NewCSRF(s.cfg.SecretKey, issuers(s.cfg)...)
	if err != nil {
		return nil, err
	}
	km := &keymaster.API{
		SignIn: c.signIn, Self: c.self, OAuth: c.oauth, Admin: c.admin, Keys: s.keys.Ring, Tokens: token.NewCache(s.keys.Ring, verifiedTokens),
		Now: s.now, Log: s.log, Issuers: issuers(s.cfg),
	}
	pg := &pages.Pages{
		SignIn: c.signIn, Self: c.self, OAuth: c.oauth, Enterprise: c.enterprise, Flow: flow(km), CSRF: csrf, Now: s.now, Log: s.log,
	}
	op := &oidc.API{
		OAuth: c.oauth, Keys: s.keys.Ring, Tokens: km.Tokens, Now: s.now, Log: s.log, Issuers: issuers(s.cfg),
		Cookie: keymaster.Cookie, ClientCert: s.cfg.ClientCert, Message: pg.Message,
	}
	pg.Reply = op.Reply
	hack := &hackillinois.API{
		SignIn: c.signIn, Self: c.self, Admin: c.admin, Keys: s.keys.Ring, Tokens: km.Tokens, Now: s.now, Log: s.log,
		Issuers: issuers(s.cfg), Settings: s.settings.hackIllinois,
	}
	s.siblings = hack.Private()
	tf := &tofu.API{SignIn: c.signIn, Keys: s.keys.Ring, Tokens: km.Tokens, Now: s.now, Log: s.log, Settings: s.settings.tofu}
	am := &accountmaker.API{
		SignIn: c.signIn, Self: c.self, OAuth: c.oauth, Keys: s.keys.Ring, Tokens: km.Tokens, Key: s.cfg.SecretKey, CSRF: csrf, Now: s.now, Log: s.log,
		Issuers: issuers(s.cfg), DefaultClient: s.settings.defaultClient, Session: keymaster.Cookie,
	}
	op.Connect, op.Refresh, am.Reply, am.Granted = am.Connect, am.RefreshGrant, op.Reply, op.Granted
	ad := &adminapi.API{Admin: c.admin, Enterprise: c.enterprise, Caller: km.AdminCaller, Log: s.log}
	sc := &scim.API{Provision: &provision.Core{DB: s.db, Now: s.now, Key: s.cfg.SecretKey}, Log: s.log}
	// The provider once more below the path that Snooplytics' contract gives it.
	below := *op
	below.Prefix = "/api/auth"
	sn := &snooplytics.API{
		SignIn: c.signIn, Self: c.self, Enterprise: c.enterprise, Key: s.cfg.SecretKey, CSRF: csrf, Now: s.now, Log: s.log, Issuers: issuers(s.cfg),
		Settings: s.settings.snooplytics, Granted: below.Granted,
	}
	below.Lend = sn.Lend
	pg.Deferred, sn.Signed = sn.Deferred, pg.Signed
	all := []surface{
		{name: "oidc", routes: slices.Concat(op.Routes(), below.Routes()), notFound: pg.NotFound, notAllowed: pg.MethodNotAllowed, crash: pg.Crash, own: true, first: true},
		{name: "keymaster", routes: km.Routes(), notFound: km.NotFound, notAllowed: km.MethodNotAllowed, crash: km.Crash, with: []string{"pages", "scim"}},
		{name: "accountmaker", routes: am.Routes(), notFound: am.NotFound, notAllowed: am.MethodNotAllowed, crash: am.Crash, with: []string{"oidc", "pages", "scim"}},
		{name: "snooplytics", routes: sn.Routes(), notFound: sn.NotFound, notAllowed: sn.MethodNotAllowed, crash: sn.Crash, with: []string{"oidc", "pages", "scim"}},
		{name: "hackillinois", routes: hack.Routes(), alone: hack.Alone(), whole: true, notFound: hack.NotFound, notAllowed: hack.MethodNotAllowed, crash: hack.Crash},
		{name: "tofu", routes: tf.Routes(), whole: true, notFound: tf.NotFound, notAllowed: tf.MethodNotAllowed, crash: tf.Crash},
		{name: "pages", routes: slices.Concat(pg.Routes(), km.UpstreamRoutes()), lent: "keymaster", notFound: pg.NotFound, notAllowed: pg.MethodNotAllowed, crash: pg.Crash, own: true},
		{name: "scim", routes: sc.Routes(), notFound: sc.NotFound, notAllowed: sc.MethodNotAllowed, crash: sc.Crash, own: true},
		{name: "admin", routes: ad.Routes(), notFound: ad.NotFound, notAllowed: ad.MethodNotAllowed, crash: ad.Crash, own: true},
	}
	if inbox != nil {
		d := &dev.Dev{Inbox: inbox}
		all = append(all, surface{name: "dev", routes: d.Routes(), notFound: d.NotFound, notAllowed: d.MethodNotAllowed, crash: d.Crash, own: true})
	}
	return all, nil
}

// flow is how a sign-in on a page ends on Keymaster's wire.
func flow(km *keymaster.API) pages.Flow {
	return pages.Flow{
		Cookie: keymaster.Cookie, Destination: km.Destination, TOTPSession: km.TOTPSession, Challenge: km.Challenge,
		UpstreamCookie: keymaster.UpstreamCookie, Connect: km.Connect,
		Limits: pages.Limits{
			Login: keymaster.LoginLimits, LoginEmail: keymaster.LoginByEmail, TOTP: keymaster.TOTPTries, SignUp: keymaster.SignUpLimits,
			Invite: keymaster.InviteFailures, ForgotIP: keymaster.ForgotByIP, ForgotEmail: keymaster.ForgotByEmail, Reset: keymaster.ResetLimits,
			Magic: keymaster.MagicLinkLimits, MagicVerify: keymaster.MagicVerifyLimits,
			Password:   keymaster.PasswordTries,
			PasskeyAsk: keymaster.PasskeyAskLimits, Passkey: keymaster.PasskeyLimits,
		},
	}
}

// issuers are the base URLs of all mounts: what one issues is good at the others.
func issuers(c config.Config) []string {
	all := []string{c.PublicURL}
	for _, name := range config.Surfaces {
		all = append(all, c.PublicURL+"/"+name)
	}
	for _, host := range slices.Sorted(maps.Keys(c.Hosts)) {
		all = append(all, hostURL(host, strings.HasPrefix(c.PublicURL, "https:")))
	}
	return all
}

// checkHosts refuses a host for a surface that this program does not have.
func checkHosts(c config.Config, all []surface) error {
	for _, host := range slices.Sorted(maps.Keys(c.Hosts)) {
		name := c.Hosts[host]
		if !slices.ContainsFunc(all, func(s surface) bool { return s.name == name }) {
			return fmt.Errorf("setting hosts (%s): this release has no surface %s", host, name)
		}
	}
	return nil
}
