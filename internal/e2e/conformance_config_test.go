package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/jwks"
	"sallyport/internal/rig"
)

// What the plans ask of the metadata and the keys, beginning with Config OP's.

func TestMetadataSaysWhatThePlansAskFor(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		v := o.visitor(t)
		d := o.metadata(v)
		if d.text("issuer") != rig.Base {
			t.Errorf("issuer is %q", d.text("issuer"))
		}
		for name, want := range map[string][]string{
			"response_types_supported":                         {"code"},
			"subject_types_supported":                          {"public", "pairwise"},
			"id_token_signing_alg_values_supported":            {"RS256", "ES256"},
			"userinfo_signing_alg_values_supported":            {"RS256", "ES256"},
			"request_object_signing_alg_values_supported":      {"RS256", "PS256", "ES256"},
			"grant_types_supported":                            {"authorization_code", "refresh_token"},
			"scopes_supported":                                 {"openid", "profile", "email", "offline_access"},
			"claims_supported":                                 {"sub", "name", "email"},
			"code_challenge_methods_supported":                 {"S256"},
			"token_endpoint_auth_methods_supported":            {"client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth"},
			"token_endpoint_auth_signing_alg_values_supported": {"PS256", "ES256", "RS256"},
			"dpop_signing_alg_values_supported":                {"PS256", "ES256"},
			"response_modes_supported":                         {"query", "form_post", "jwt"},
			"ui_locales_supported":                             {"en"},
		} {
			for _, one := range want {
				if !slices.Contains(d.list(name), one) {
					t.Errorf("%s is %v, without %s", name, d[name], one)
				}
			}
		}
		for _, name := range []string{
			"claims_parameter_supported", "request_parameter_supported", "request_uri_parameter_supported", "require_request_uri_registration",
			"authorization_response_iss_parameter_supported", "backchannel_logout_supported", "backchannel_logout_session_supported",
			"tls_client_certificate_bound_access_tokens",
		} {
			if d[name] != true {
				t.Errorf("%s is %v", name, d[name])
			}
		}
		if _, ok := d["require_pushed_authorization_requests"].(bool); !ok {
			t.Errorf("require_pushed_authorization_requests is %v", d["require_pushed_authorization_requests"])
		}
	})
}

// Every endpoint that is named is there, by https and below the issuer.
func TestMetadataNamesWhatIsThere(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		v := o.visitor(t)
		d := o.metadata(v)
		for _, name := range []string{
			"authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "registration_endpoint", "end_session_endpoint",
			"pushed_authorization_request_endpoint", "revocation_endpoint", "introspection_endpoint", "device_authorization_endpoint",
		} {
			u, err := url.Parse(d.text(name))
			if err != nil || !strings.HasPrefix(d.text(name), rig.Base+"/") || u.Scheme != "https" || u.RawQuery+u.Fragment != "" {
				t.Errorf("%s is %q", name, d.text(name))
				continue
			}
			if a := v.get(u.Path); a.status == http.StatusNotFound {
				t.Errorf("%s: nothing is at %s", name, u.Path)
			}
		}
		// The same by the name that OAuth has for it (RFC 8414 §3).
		other := v.get("/.well-known/oauth-authorization-server").want(http.StatusOK)
		if this := v.get("/.well-known/openid-configuration"); string(this.body) != string(other.body) ||
			!strings.HasPrefix(this.header.Get("Content-Type"), "application/json") {
			t.Errorf("got %s %s and %s", this.header.Get("Content-Type"), this.body, other.body)
		}
	})
}

func TestPublishedKeysArePublicAndTold(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		v := o.visitor(t)
		var set gojose.JSONWebKeySet
		a := v.get(strings.TrimPrefix(o.metadata(v).text("jwks_uri"), rig.Base))
		a.json(http.StatusOK, &set)
		seen := map[string]bool{}
		for _, k := range set.Keys {
			switch key := k.Key.(type) {
			case *rsa.PublicKey:
				if key.N.BitLen() < 2048 || k.Algorithm != "RS256" {
					t.Errorf("key %s has %d bits and is for %s", k.KeyID, key.N.BitLen(), k.Algorithm)
				}
			case *ecdsa.PublicKey:
				if k.Algorithm != "ES256" {
					t.Errorf("key %s is for %s", k.KeyID, k.Algorithm)
				}
			default:
				t.Errorf("key %s is a %T", k.KeyID, k.Key)
			}
			if k.KeyID == "" || seen[k.KeyID] || k.Use != "sig" || !k.IsPublic() {
				t.Errorf("got key %+v beside %v", k, seen)
			}
			seen[k.KeyID] = true
		}
		if len(set.Keys) < 2 || !strings.Contains(a.header.Get("Cache-Control"), "max-age") {
			t.Errorf("got %d keys with %v", len(set.Keys), a.header)
		}
	})
}

// After a rotation there is a new key, and the old one still, so that what it
// signed can be verified.
func TestKeysRotateInSight(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p := o.party(t, func(c *client.Client) { c.Policy.OAuth.IDTokenAlg = jwks.ES256 })
		tk := p.signIn(o.visitor(t), o.person())
		ids := func() (all []string) {
			var set gojose.JSONWebKeySet
			o.visitor(t).get("/.well-known/jwks.json").json(http.StatusOK, &set)
			for _, k := range set.Keys {
				all = append(all, k.KeyID)
			}
			return all
		}
		before := ids()
		o.rotate(t)
		after := ids()
		for _, id := range before {
			if !slices.Contains(after, id) {
				t.Errorf("key %s is gone", id)
			}
		}
		if len(after) <= len(before) {
			t.Errorf("got %v, then %v", before, after)
		}
		p.verified(tk.ID)
		if now := p.signIn(o.visitor(t), o.person()); headerOf(t, now.ID) == headerOf(t, tk.ID) {
			t.Error("the old key signs on")
		}
	})
}

// rotate retires the key that signs by ES256.
func (o *op) rotate(t *testing.T) {
	t.Helper()
	fresh, err := jwks.Generate(jwks.ES256)
	if err != nil {
		t.Fatal(err)
	}
	active, err := o.Keys.Active(jwks.ES256, "")
	if err != nil {
		t.Fatal(err)
	}
	o.Write(func(ctx context.Context, tx *db.Tx) error {
		_, err := jwks.Rotate(ctx, tx, o.Key, jwks.Rotation{From: active.ID, Fresh: fresh, Keep: time.Hour}, o.Now())
		return err
	})
	o.Advance(0) // as a node does that looks for new keys
}

func TestResponseModes(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p, who := o.party(t, nil), o.person()
		v := o.visitor(t)
		p.signIn(v, who)
		for i, mode := range o.metadata(v).list("response_modes_supported") {
			tr := p.authorize(v, account{}, p.ask("response_mode", mode, "state", strconv.Itoa(i)))
			if raw := tr.reply.Get("response"); raw != "" {
				claims, _ := p.verified(raw)
				if claims["aud"] != string(p.client.ID) {
					t.Errorf("%s: got %v", mode, claims)
				}
				for _, name := range []string{"code", "state", "iss"} {
					s, _ := claims[name].(string)
					tr.reply.Set(name, s)
				}
			}
			if p.redeem(p.code(tr)).tokenSet(p); tr.reply.Get("state") != strconv.Itoa(i) {
				t.Errorf("%s: got %v", mode, tr.reply)
			}
		}
	})
}
