package oauth

import (
	"context"
	"slices"
	"strings"

	"sallyport/internal/client"
)

// service grants a client a token of its own (RFC 6749 §4.4): one read, and no
// write unless an assertion or a proof is to be spent.
func (c *Core) service(ctx context.Context, in TokenIn) (Issued, error) {
	a, err := c.ask(ctx, in)
	if err != nil {
		return Issued{}, err
	}
	if methodOf(a.client) == client.AuthNone {
		return Issued{}, refuse(UnauthorizedClient, "a public client has no credentials")
	}
	scope, err := serviceScope(a.client, in.Params.Get("scope"))
	if err != nil {
		return Issued{}, err
	}
	resources, refused := c.targets(in.Visitor.Base, in.Params.All("resource"))
	if refused != nil {
		return Issued{}, refused
	}
	out := Issued{Client: a.client, Scope: scope, Resources: resources, Binding: a.binding}
	return out, c.spendAlone(ctx, a.seen)
}

// serviceScope is the scope of a client's own token: what it asks for of its
// own scopes, all of them if it asks for nothing (RFC 6749 §3.3). Those of
// OpenID Connect are about a person, and there is none.
func serviceScope(cl client.Client, asked string) ([]string, error) {
	all := cl.Policy.OAuth.Scopes
	names := strings.Fields(asked)
	if len(names) == 0 {
		names = all
	}
	var out []string
	for _, s := range names {
		switch {
		case slices.Contains(Scopes, s) && asked == "":
		case slices.Contains(Scopes, s) || !slices.Contains(all, s):
			return nil, &Error{Code: InvalidScope, Description: "scope holds a name that the client may not have for itself", Detail: short(s)}
		case !slices.Contains(out, s):
			out = append(out, s)
		}
	}
	return out, nil
}
