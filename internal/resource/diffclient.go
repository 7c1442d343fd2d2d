package resource

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/jwks"
	"sallyport/internal/secret"
	"sallyport/internal/upstream"
)

func (d *differ) client(path string, cl *Client) {
	was, exists := d.s.find(cl)
	d.sameClient(path, cl, was, exists)
	next := was
	if !exists {
		next = client.Client{ID: client.ID(cl.ID), Active: true, CreatedAt: d.now}
		if next.ID == "" {
			next.ID = client.NewID()
		}
	}
	next.Key = or(cl.ownKey(), was.Key)
	next.Name, next.Console, next.Tenant = cl.Name, cl.Console, d.tenants[cl.Tenant]
	if cl.BundleID != nil {
		next.BundleID = *cl.BundleID
	}
	if cl.Active != nil {
		next.Active = *cl.Active
	}
	next.Policy = cl.policy(was.Policy)

	var before []attr
	if exists {
		before = clientAttrs(was)
	}
	c := Change{Action: Update, Kind: "client", Name: cl.Key, Fields: fieldsBetween(before, clientAttrs(next))}
	plain := len(c.Fields) > 0
	newSecret := d.clientSecret(path, cl, was, &next, &c)
	newShared := d.sharedSecret(path, cl, next.ID, &c)
	newPrevious := d.previousSecret(path, cl, next.ID, &c)
	d.clients[cl.Key] = next

	c.do = func(ctx context.Context, tx *db.Tx) error {
		if plain {
			if err := client.Update(ctx, tx, next, d.now); err != nil {
				return err
			}
			if was.Policy.KeepUpstreamTokens && !next.Policy.KeepUpstreamTokens {
				if err := upstream.ForgetOf(ctx, tx, next.ID); err != nil {
					return err
				}
			}
			if err := d.clientUpdated(ctx, tx, was, next, names(c.Fields)); err != nil {
				return err
			}
		}
		if newSecret {
			if err := client.SetSecret(ctx, tx, next.ID, next.SecretHash, d.now); err != nil {
				return err
			}
		}
		return d.signBy(ctx, tx, next.ID, newShared, newPrevious, c.Fields)
	}
	if !exists {
		c.Action = Create
		c.do = func(ctx context.Context, tx *db.Tx) error {
			if err := client.Create(ctx, tx, next); err != nil {
				return err
			}
			err := d.record(ctx, tx, audit.Event{Action: audit.ClientCreated, ClientID: next.ID,
				Detail: map[string]any{"client": cl.Key, "name": next.Name, "confidential": next.Confidential()}})
			if err != nil {
				return err
			}
			made := slices.DeleteFunc(slices.Clone(c.Fields), func(f Field) bool { return f.Name == "secret" }) // came with the client
			return d.signBy(ctx, tx, next.ID, newShared, newPrevious, made)
		}
	}
	d.add(c)
}

// sameClient refuses what cannot be changed about a client.
func (d *differ) sameClient(path string, cl *Client, was client.Client, exists bool) {
	if !exists {
		return
	}
	if was.Source != client.Operator {
		d.wrong(path+".id", "is the id of a client that registered itself")
	}
	if cl.ID != "" && client.ID(cl.ID) != was.ID {
		d.wrong(path+".id", "the client %q has the id %s, which cannot be changed", cl.Key, was.ID)
	}
	if cl.Tenant != was.Tenant.Slug {
		d.wrong(path+".tenant", "a client stays with its tenant; it is with %s", or(was.Tenant.Slug, "none"))
	}
	if cl.Console != was.Console {
		d.wrong(path+".console", "whether a client is its tenant's console is decided when it is made")
	}
}

// clientSecret decides what becomes of the client's own secret.
func (d *differ) clientSecret(path string, cl *Client, was client.Client, next *client.Client, c *Change) (changed bool) {
	o := d.next.Clients[next.ID]
	switch {
	case cl.Secret.Stored():
		if !was.Confidential() {
			d.wrong(path+".secret", "there is no stored secret; name it as in env:NAME")
		}
	case cl.Secret.Given():
		next.SecretHash = client.HashSecret(d.core.Key, cl.Secret.Reveal())
		o.Secret = remember(cl.Secret, fingerprint(string(next.SecretHash)))
		if changed = !was.VerifySecret(d.core.Key, cl.Secret.Reveal()); changed {
			c.Fields = append(c.Fields, secretField("secret", was.Confidential()))
		}
	default:
		next.SecretHash, o.Secret = nil, nil
		if changed = was.Confidential(); changed {
			c.Fields = append(c.Fields, Field{"secret", secretSet, ""})
		}
	}
	d.next.Clients[next.ID] = o
	return changed
}

// sharedSecret decides what becomes of the secret that signs HS256; it returns
// the one to store, or nil.
func (d *differ) sharedSecret(path string, cl *Client, id client.ID, c *Change) []byte {
	name, s := "access_token.secret", cl.AccessToken.Secret
	if cl.TokenEndpointAuth == client.AuthSecretJWT {
		// Assertions are verified by the secret itself, not by a hash of it.
		name, s = "secret", cl.Secret
	}
	o := d.next.Clients[id]
	was, exists := d.s.shared[id]
	var fresh []byte
	switch {
	case s.Stored():
		if !exists {
			d.wrong(path+"."+name, "there is no stored secret to sign by; name it as in env:NAME")
		}
	case s.Given():
		given := []byte(s.Reveal())
		o.Shared = remember(s, mark(d.core.Key, string(id), given))
		if old, ok := was.Private().([]byte); !ok || !secret.Equal(old, given) {
			if !slices.ContainsFunc(c.Fields, func(f Field) bool { return f.Name == name }) {
				c.Fields = append(c.Fields, secretField(name, exists))
			}
			fresh = given
		}
	default:
		o.Shared = nil
	}
	d.next.Clients[id] = o
	return fresh
}

// previousSecret decides what becomes of the secret that signed before; it
// returns what to set it to, or nil to leave it.
func (d *differ) previousSecret(path string, cl *Client, id client.ID, c *Change) *[]byte {
	const name = "access_token.previous_secret"
	s, o := cl.AccessToken.PreviousSecret, d.next.Clients[id]
	was, exists := d.s.previous[id]
	var becomes *[]byte
	switch {
	case s.Stored():
		if !exists {
			d.wrong(path+"."+name, "there is no stored secret; name it as in env:NAME")
		}
	case s.Given():
		given := []byte(s.Reveal())
		o.Previous = remember(s, mark(d.core.Key, string(id), given))
		if old, ok := was.Private().([]byte); !ok || !secret.Equal(old, given) {
			becomes = &given
			c.Fields = append(c.Fields, secretField(name, exists))
		}
	default:
		o.Previous = nil
		if exists {
			becomes = new([]byte)
			c.Fields = append(c.Fields, Field{name, secretSet, ""})
		}
	}
	d.next.Clients[id] = o
	return becomes
}

// signBy stores the secrets that sign and signed, where they change, and records
// which secrets did.
func (d *differ) signBy(ctx context.Context, tx *db.Tx, id client.ID, shared []byte, previous *[]byte, changed []Field) error {
	if shared != nil {
		if _, err := jwks.SetClientSecret(ctx, tx, d.core.Key, id, shared, d.now); err != nil {
			return err
		}
	}
	if previous != nil {
		if _, err := jwks.SetPreviousSecret(ctx, tx, d.core.Key, id, *previous, d.now); err != nil {
			return err
		}
	}
	var which []string
	for _, f := range changed {
		if f.Name == "secret" || f.Name == "access_token.secret" || f.Name == "access_token.previous_secret" {
			which = append(which, f.Name)
		}
	}
	if which == nil {
		return nil
	}
	return d.record(ctx, tx, audit.Event{Action: audit.ClientSecretChanged, ClientID: id, Detail: map[string]any{"fields": which}})
}

func (d *differ) clientUpdated(ctx context.Context, tx *db.Tx, was, next client.Client, fields []string) error {
	action := audit.ClientUpdated
	if was.Active && !next.Active {
		action = audit.ClientDeactivated
	}
	return d.record(ctx, tx, audit.Event{Action: action, ClientID: next.ID, Detail: map[string]any{"client": fileKey(next), "fields": fields}})
}

// clientAttrs is everything about a client but its secrets.
func clientAttrs(cl client.Client) []attr {
	c := describe(cl)
	return append([]attr{
		{"key", cl.Key},
		{"name", c.Name},
		{"tenant", c.Tenant},
		{"console", yesNo(c.Console)},
		{"active", yesNo(cl.Active)},
		{"bundle_id", cl.BundleID},
		{"redirect_uris", joined(c.RedirectURIs)},
		{"post_logout_redirect_uris", joined(c.PostLogoutRedirectURIs)},
		{"allowed_origins", joined(c.AllowedOrigins)},
		{"registration", c.Registration},
		{"allowed_domains", joined(c.AllowedDomains)},
		{"methods", joined(c.Methods)},
		{"second_factor", c.SecondFactor},
		{"password", passwordText(c.Password)},
		{"access_token.lifetime", durationText(c.AccessToken.Lifetime)},
		{"access_token.alg", c.AccessToken.Alg},
		{"access_token.format", c.AccessToken.Format},
		{"refresh_token.lifetime", durationText(c.RefreshToken.Lifetime)},
		{"refresh_token.idle", durationText(c.RefreshToken.Idle)},
		{"access_token.cookie", c.AccessToken.Cookie.text()},
		{"refresh_token.reuse_grace", durationText(c.RefreshToken.ReuseGrace)},
		{"refresh_token.max_age", durationText(c.RefreshToken.MaxAge)},
		{"refresh_token.cookie", c.RefreshToken.Cookie.text()},
		{"linking", c.Linking},
		{"issuer", c.Issuer},
		{"audience", c.Audience},
		{"links.magic_link", c.Links.MagicLink},
		{"links.reset_password", c.Links.ResetPassword},
		{"links.verify_email", c.Links.VerifyEmail},
		{"links.invite", c.Links.Invite},
		{"magic_link_button", yesNo(c.MagicLinkButton)},
		{"keep_upstream_tokens", yesNo(c.KeepUpstreamTokens)},
		{"roles.available", joined(c.Roles.Available)},
		{"roles.default", joined(c.Roles.Default)},
		{"grants", joined(c.Grants)},
		{"profile", c.Profile},
		{"pkce", c.PKCE},
		{"jwks_uri", c.JWKSURI},
		{"backchannel_logout_uri", c.BackchannelLogoutURI},
		{"branding.logo_url", c.Branding.LogoURL},
		{"branding.color", c.Branding.Color},
		{"branding.logo_height", fmt.Sprint(c.Branding.LogoHeight)},
		{"notifications", yesNo(cl.Policy.Notifications)},
	}, append(c.Conduct.attrs(), c.OAuth.attrs()...)...)
}

func passwordText(p PasswordPolicy) string {
	rules := []string{fmt.Sprintf("at least %d characters", p.MinLength)}
	for _, rule := range []struct {
		on   bool
		name string
	}{{p.RequireUppercase, "an upper-case letter"}, {p.RequireLowercase, "a lower-case letter"}, {p.RequireDigit, "a digit"}, {p.RequireSymbol, "a symbol"},
		{p.MaxLength > 0, fmt.Sprintf("at most %d characters", p.MaxLength)}, {p.RefuseEmail, "not their own address"}} {
		if rule.on {
			rules = append(rules, rule.name)
		}
	}
	return strings.Join(rules, ", ")
}

func durationText(d client.Duration) string {
	text, err := d.MarshalText()
	if err != nil {
		return ""
	}
	return string(text)
}

// settingFields lists what differs between two stored settings of a surface,
// with clients by the names that keys has for their ids.
func settingFields(was, becomes string, keys map[string]string) []Field {
	old, next := settingTexts(was, keys), settingTexts(becomes, keys)
	all := map[string]bool{}
	for name := range old {
		all[name] = true
	}
	for name := range next {
		all[name] = true
	}
	var fields []Field
	for name := range all {
		if old[name] != next[name] {
			fields = append(fields, Field{name, old[name], next[name]})
		}
	}
	slices.SortFunc(fields, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
	return fields
}

func settingTexts(text string, keys map[string]string) map[string]string {
	members := map[string]any{}
	if text != "" && json.Unmarshal([]byte(text), &members) != nil {
		return map[string]string{"": "(not readable)"}
	}
	texts := map[string]string{}
	for name, v := range members {
		switch v := v.(type) {
		case string:
			texts[name] = or(keys[v], v)
		case []any:
			list := make([]string, len(v))
			for i, one := range v {
				list[i] = fmt.Sprint(one)
			}
			texts[name] = joined(list)
		case map[string]any:
			for member, one := range v {
				texts[name+"."+member] = fmt.Sprint(one)
			}
		default:
			texts[name] = fmt.Sprint(v)
		}
	}
	return texts
}
