package e2e

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// The secrets of two applications in testdata/resources.yaml.
const (
	demoSecret  = "5f1c0b6e7d2a49388c1e0f9b3a7d6c5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a0b9c"
	robotSecret = "0b1e5d7c9a3f48260e4d8c2b6a0f1e3d5c7b9a8f6e4d2c0b1a3f5e7d9c8b6a40"
)

// TestGoClient signs a person in by golang.org/x/oauth2 and coreos/go-oidc, as
// a Go program does: discovery, code with PKCE, the ID token checked by our key
// set, userinfo, refresh, and a refresh token that was used before.
func TestGoClient(t *testing.T) {
	t.Parallel()
	eachProvider(t, func(t *testing.T, s *site) {
		s.serve()
		f := &relying{t: t, who: s.jane(t), at: s.visitor(t)}
		for name, app := range map[string]oauth2.Config{
			"confidential": {ClientID: demo, ClientSecret: demoSecret},
			"public":       {ClientID: modern},
		} {
			t.Run(name, func(t *testing.T) {
				goSignIn(t, s, f, app)
			})
		}
	})
}

func goSignIn(t *testing.T, s *site, f *relying, app oauth2.Config) {
	t.Helper()
	ctx := t.Context()
	provider, err := oidc.NewProvider(ctx, s.base)
	if err != nil {
		t.Fatal(err)
	}
	app.Endpoint, app.RedirectURL = provider.Endpoint(), callback
	app.Scopes = []string{oidc.ScopeOpenID, "profile", "email", oidc.ScopeOfflineAccess}
	verifier := oauth2.GenerateVerifier()
	back := parameters(t, f.open(app.AuthCodeURL("the-state", oauth2.S256ChallengeOption(verifier), oidc.Nonce("the-nonce"))))
	if back.Get("state") != "the-state" || back.Get("iss") != s.base {
		t.Errorf("came back with %v", back)
	}
	tk, err := app.Exchange(ctx, back.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := tk.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: app.ClientID}).Verify(ctx, raw)
	if err != nil {
		t.Fatalf("ID token: %v\n%s", err, raw)
	}
	if err := id.VerifyAccessToken(tk.AccessToken); err != nil || id.Nonce != "the-nonce" {
		t.Errorf("at_hash: %v; nonce %q", err, id.Nonce)
	}
	goUserinfo(t, provider, tk, id.Subject, f.who)

	used := *tk
	used.Expiry = time.Now().Add(-time.Minute)
	next, err := app.TokenSource(ctx, &used).Token()
	if err != nil || next.AccessToken == tk.AccessToken || next.RefreshToken == tk.RefreshToken {
		t.Fatalf("refreshed: %+v, %v", next, err)
	}
	goUserinfo(t, provider, next, id.Subject, f.who)

	// RFC 9700 §4.14.2: a refresh token that comes back ends all that came of it.
	if _, err := app.TokenSource(ctx, &used).Token(); err == nil {
		t.Error("a used refresh token was taken")
	}
	if _, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(next)); err == nil {
		t.Error("the access token outlives its grant")
	}
}

func goUserinfo(t *testing.T, provider *oidc.Provider, tk *oauth2.Token, subject string, who account) {
	t.Helper()
	info, err := provider.UserInfo(t.Context(), oauth2.StaticTokenSource(tk))
	if err != nil {
		t.Fatal(err)
	}
	var claims struct{ Name string }
	if err := info.Claims(&claims); err != nil || info.Subject != subject || info.Email != who.email || claims.Name != who.name {
		t.Errorf("userinfo: %+v %+v, %v", info, claims, err)
	}
}

// TestDeviceFlowFromATerminal lets a program in that has no browser, as a command
// line tool does with golang.org/x/oauth2 (RFC 8628).
func TestDeviceFlowFromATerminal(t *testing.T) {
	t.Parallel()
	eachProvider(t, func(t *testing.T, s *site) {
		s.serve()
		f := &relying{t: t, who: s.jane(t), at: s.visitor(t)}
		var registered struct {
			ID string `json:"client_id"`
		}
		s.visitor(t).post("/oauth2/register", fields{
			"client_name": "Terminal", "token_endpoint_auth_method": "none",
			"grant_types": []string{"urn:ietf:params:oauth:grant-type:device_code", "refresh_token"},
		}).json(http.StatusCreated, &registered)
		provider, err := oidc.NewProvider(t.Context(), s.base)
		if err != nil {
			t.Fatal(err)
		}
		tool := oauth2.Config{ClientID: registered.ID, Endpoint: provider.Endpoint(), Scopes: []string{oidc.ScopeOpenID, "email", oidc.ScopeOfflineAccess}}
		code, err := tool.DeviceAuth(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if code.UserCode == "" || code.VerificationURI != s.base+"/device" || code.Interval < 1 {
			t.Errorf("got %+v", code)
		}
		soon, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if tk, err := tool.DeviceAccessToken(soon, code); err == nil {
			t.Fatalf("nobody let it in, but it got %+v", tk)
		}
		f.letIn(code.VerificationURIComplete)
		tk, err := tool.DeviceAccessToken(t.Context(), code)
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := tk.Extra("id_token").(string)
		id, err := provider.Verifier(&oidc.Config{ClientID: tool.ClientID}).Verify(t.Context(), raw)
		if err != nil || tk.RefreshToken == "" {
			t.Fatalf("got %+v, %v", tk, err)
		}
		info, err := provider.UserInfo(t.Context(), oauth2.StaticTokenSource(tk))
		if err != nil || info.Email != f.who.email || info.Subject != id.Subject {
			t.Errorf("userinfo: %+v, %v", info, err)
		}
		if tk, err := tool.DeviceAccessToken(t.Context(), code); err == nil {
			t.Errorf("the device code was good twice: %+v", tk)
		}
	})
}

// TestServiceByGoClient gets a token for a program that acts for itself (RFC 6749 §4.4).
func TestServiceByGoClient(t *testing.T) {
	t.Parallel()
	eachProvider(t, func(t *testing.T, s *site) {
		s.serve()
		provider, err := oidc.NewProvider(t.Context(), s.base)
		if err != nil {
			t.Fatal(err)
		}
		service := clientcredentials.Config{
			ClientID: robot, ClientSecret: robotSecret, TokenURL: provider.Endpoint().TokenURL,
			EndpointParams: map[string][]string{"resource": {api}},
		}
		tk, err := service.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// A resource server checks the token by our key set and its own name (RFC 9068 §4).
		resource := provider.Verifier(&oidc.Config{ClientID: api, SupportedSigningAlgs: []string{oidc.ES256}})
		got, err := resource.Verify(t.Context(), tk.AccessToken)
		if err != nil || got.Subject != robot || !slices.Equal(got.Audience, []string{api}) {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}
