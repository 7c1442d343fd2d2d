package server

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/oauth"
	"sallyport/internal/resource"
	"sallyport/internal/surface/hackillinois"
	"sallyport/internal/surface/snooplytics"
	"sallyport/internal/surface/tofu"
)

// settings are the surfaces' lines of the resource file, which may be applied
// while nodes serve: each keeps a copy and reads it again now and then.
type settings struct {
	db   *db.DB
	kept atomic.Pointer[resource.Surfaces]
}

func (s *settings) load(ctx context.Context) error {
	var all resource.Surfaces
	err := s.db.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		all, err = resource.SurfacesOf(ctx, tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("read the surfaces' settings: %w", err)
	}
	s.kept.Store(&all)
	return nil
}

// warn tells, at the start, what was switched on and is weaker than it could be
// (contract hackillinois §9).
func (s *settings) warn(log *slog.Logger) {
	if open := s.hackIllinois().PassThrough; len(open) > 0 {
		log.Warn("pass_through of HackIllinois: nothing binds a sign-in at these providers to the browser that began it", "providers", open)
	}
}

// oauth are the provider's.
func (s *settings) oauth() oauth.Settings {
	o := s.kept.Load().OIDC
	if o == nil {
		return oauth.Settings{}
	}
	return oauth.Settings{
		Registration: o.Registration, ClientDocuments: o.ClientDocuments != nil && *o.ClientDocuments, Scopes: o.Scopes, Resources: o.Resources,
	}
}

// defaultClient is AccountMaker's client of requests that name none, "" for none.
func (s *settings) defaultClient() client.ID {
	if a := s.kept.Load().AccountMaker; a != nil {
		return client.ID(a.DefaultClient)
	}
	return ""
}

// hackIllinois are those of the surface hackillinois. Without a client it is
// switched off.
func (s *settings) hackIllinois() hackillinois.Settings {
	h := s.kept.Load().HackIllinois
	if h == nil {
		return hackillinois.Settings{}
	}
	out := hackillinois.Settings{
		Client: client.ID(h.Client), Upstreams: map[string]string{}, PassThrough: h.PassThrough, LinkedInLegacy: h.LinkedIn == "legacy",
		RenewWithin: h.RenewFor.D(), Impersonation: on(h.Impersonation), AnyRole: h.AnyRole,
		StaffDomain: h.StaffDomain, StaffHosted: h.HostedDomain, Admins: h.Admins, GrantBy: h.GrantBy, KeepGrants: !on(h.DropGrants),
		Services: h.Services,
	}
	for name, key := range map[string]string{"github": h.Upstreams.GitHub, "google": h.Upstreams.Google, "linkedin": h.Upstreams.LinkedIn} {
		if key != "" {
			out.Upstreams[name] = key
		}
	}
	if h.Login == "pass_through" {
		out.PassThrough = hackillinois.Providers
	}
	// Its day is the last one.
	if day, err := time.Parse(time.DateOnly, h.LegacyTokensUntil); err == nil {
		out.LegacyUntil = day.AddDate(0, 0, 1)
	}
	return out
}

// tofu are those of the surface tofu. Without a client it is switched off.
func (s *settings) tofu() tofu.Settings {
	t := s.kept.Load().Tofu
	if t == nil {
		return tofu.Settings{}
	}
	return tofu.Settings{
		Client: client.ID(t.Client), Google: t.Google, Okta: t.Okta, WorkOS: t.WorkOS,
		Serve: t.AppendSlash == "serve", RotateRefresh: t.RotateRefresh, ProxyMode: t.ProxyMode,
		LogoutRevokesRefresh:  on(t.LogoutRevokesRefresh) && (t.LogoutRevokesRefresh != nil || !t.ProxyMode),
		PasswordRequiresNoMFA: on(t.PasswordRequiresNoMFA), RequireVerifiedEmail: on(t.RequireVerifiedEmail),
		Impersonation: t.Impersonation, RequirePKCE: t.PKCE == "required", ReturnTo: t.ReturnTo,
	}
}

// snooplytics are those of the surface snooplytics. Without a client it is switched
// off.
func (s *settings) snooplytics() snooplytics.Settings {
	v := s.kept.Load().Snooplytics
	if v == nil {
		return snooplytics.Settings{}
	}
	return snooplytics.Settings{
		Client: client.ID(v.Client), AppURL: v.AppURL, CompletionURL: v.CompletionURL, ErrorURL: v.ErrorURL,
		CookiePrefix: v.CookiePrefix, KeyPrefix: v.KeyPrefix, Guide: v.ErrorProfile == "guide",
		RevealPasskeys: v.RevealPasskeys, AnyBrowser: !on(v.BindBrowser), ResetEndsKeys: v.ResetEndsKeys, PasskeyDomain: v.PasskeyDomain,
	}
}

// on reads a choice that an older file may have left open: on is the default of
// all of them.
func on(choice *bool) bool { return choice == nil || *choice }
