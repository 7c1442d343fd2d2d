package oidc_test

import (
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/grant"
	"sallyport/internal/oauth"
	"sallyport/internal/rig"
)

// deviceClients are those of the device flow and of token exchange that the
// world does not have otherwise: a service behind an API, and a device that can
// keep a secret.
func deviceClients(hash []byte) map[string]func(*client.Client) {
	return map[string]func(*client.Client){
		"orders": func(c *client.Client) {
			c.SecretHash, c.Policy.Audience = hash, "https://api.example.com"
			c.Policy.Grants = []string{client.GrantTokenExchange, client.GrantClientCredentials}
			c.Policy.OAuth.Scopes = []string{"api:read"}
		},
		"console": func(c *client.Client) { c.SecretHash, c.Policy.Grants = hash, []string{client.GrantDevice} },
	}
}

// deviceHooks are what a person does about the device that shows <code>, as Jane:
// "find device" sets <request>, "let device in" answers. "code web to exchange"
// is for the API and what is behind it.
func (w *world) deviceHooks() map[string]func(*testing.T, map[string]string) {
	visitor := oauth.Visitor{IP: "127.0.0.1", Base: rig.Base}
	find := func(t *testing.T, vars map[string]string) {
		t.Helper()
		handle, err := w.OAuth.FindDevice(t.Context(), vars["code"], visitor)
		if err != nil {
			t.Fatal(err)
		}
		vars["request"] = handle
	}
	return map[string]func(*testing.T, map[string]string){
		"find device": find,
		"code web to exchange": func(_ *testing.T, vars map[string]string) {
			vars["code"] = w.code("web", func(g *grant.Grant) {
				g.Scope = []string{"openid", "api:read", "api:write"}
				g.Resources = []string{"https://api.example.com", "https://mcp.example.com/mcp"}
			})
		},
		"let device in": func(t *testing.T, vars map[string]string) {
			find(t, vars)
			in := oauth.DeviceAnswer{Handle: vars["request"], Cookie: w.signIn("jane"), Allow: true, Visitor: visitor}
			if _, err := w.OAuth.AnswerDevice(t.Context(), in); err != nil {
				t.Fatal(err)
			}
		},
	}
}
