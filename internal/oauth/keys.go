package oauth

import (
	"context"
	"errors"
	"fmt"

	"sallyport/internal/client"
	"sallyport/internal/outbound"
	"sallyport/internal/token"
)

// errNoKeys reports a client that has published no keys.
var errNoKeys = errors.New("the client has registered neither jwks nor jwks_uri")

// keysOf returns the public keys of a client: those that it registered, or
// those at its jwks_uri, which are read anew if fresh, at most once a minute. It
// may wait for another server, so it is not called in a transaction. What it
// fails with is for the log; a set that is none is token.ErrKeySet.
func (c *Core) keysOf(ctx context.Context, cl client.Client, fresh bool) (token.KeySet, error) {
	raw := []byte(cl.Policy.OAuth.JWKS)
	if len(raw) == 0 {
		if cl.Policy.JWKSURI == "" {
			return token.KeySet{}, fmt.Errorf("%w: %w", token.ErrKeySet, errNoKeys)
		}
		var err error
		raw, err = c.Documents.Get(ctx, cl.Policy.JWKSURI, outbound.Fetch{
			MaxBytes: token.MaxKeySet, Accept: "application/jwk-set+json, application/json", Fresh: fresh,
		})
		if err != nil {
			return token.KeySet{}, fmt.Errorf("%w: read jwks_uri: %w", token.ErrKeySet, err)
		}
	}
	return token.ParseKeySet(raw)
}

// verifySigned verifies a JWT of a client by the keys that it published, once
// more by its newest ones if none of those we know made it (OpenID Connect Core
// §10.1.1). Fails with token.ErrMalformed, ErrSignature or ErrKeySet.
func (c *Core) verifySigned(ctx context.Context, cl client.Client, algs []string, raw string) (token.JWT, error) {
	keys, err := c.keysOf(ctx, cl, false)
	if err != nil {
		return token.JWT{}, err
	}
	jwt, err := keys.Verify(algs, raw)
	if !errors.Is(err, token.ErrSignature) || len(cl.Policy.OAuth.JWKS) > 0 {
		return jwt, err
	}
	if keys, err = c.keysOf(ctx, cl, true); err != nil {
		return token.JWT{}, err
	}
	return keys.Verify(algs, raw)
}
