package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/secret"
)

// Kept are an upstream's tokens that a client asked to have kept: those of the
// account that its user came by last. The row goes with any of its parts: client,
// user, upstream, link. ID tokens are not kept: they are for us alone.
type Kept struct {
	ClientID        client.ID
	UserID          identity.UserID
	Upstream        string
	Issuer, Subject string
	Tokens          Tokens
	KeptAt          time.Time
}

// Keep stores the tokens that p came with, in place of those of the user's last
// sign-in by that upstream. A provider that gives a refresh token at the first
// sign-in alone has the old one stand, if it is the same account's.
func Keep(ctx context.Context, tx *db.Tx, k *secret.Key, id client.ID, user identity.UserID, p Profile, now time.Time) error {
	if p.Tokens.Access == "" {
		return nil
	}
	t := Kept{id, user, p.Upstream, p.Issuer, p.Subject, p.Tokens, now}
	if t.Tokens.Refresh == "" {
		old, err := KeptOf(ctx, tx, k, id, user, p.Upstream)
		if err != nil && !errors.Is(err, db.ErrNotFound) && !errors.Is(err, secret.ErrSeal) {
			return err
		}
		if err == nil && old.Issuer == t.Issuer && old.Subject == t.Subject {
			t.Tokens.Refresh = old.Tokens.Refresh
		}
	}
	return putKept(ctx, tx, k, t)
}

// Fresh reports whether the access token can still be used for a while.
func (t Kept) Fresh(now time.Time) bool {
	return t.Tokens.ExpiresAt.IsZero() || t.Tokens.ExpiresAt.After(now.Add(time.Minute))
}

// sealedTokens are the tokens and whose they are: sealed bytes that were copied
// to another row do not open there.
type sealedTokens struct {
	Of        []string  `json:"of"`
	Access    string    `json:"access"`
	Refresh   string    `json:"refresh,omitempty"`
	Scope     string    `json:"scope,omitempty"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

func (t Kept) owner() []string {
	return []string{string(t.ClientID), string(t.UserID), t.Upstream, t.Issuer, t.Subject}
}

func (t Kept) seal(k *secret.Key) ([]byte, error) {
	plain, err := json.Marshal(sealedTokens{t.owner(), t.Tokens.Access.Reveal(), t.Tokens.Refresh.Reveal(), t.Tokens.Scope, t.Tokens.ExpiresAt})
	if err != nil {
		return nil, fmt.Errorf("seal upstream tokens: %w", err)
	}
	return k.SealEach(keptLabel, plain), nil
}

func (t *Kept) open(k *secret.Key, sealed []byte) error {
	plain, err := k.OpenEach(keptLabel, sealed)
	if err != nil {
		return err
	}
	var s sealedTokens
	if err := json.Unmarshal(plain, &s); err != nil {
		return fmt.Errorf("open upstream tokens: %w", err)
	}
	if !slices.Equal(s.Of, t.owner()) {
		return secret.ErrSeal
	}
	t.Tokens = Tokens{Access: secret.Value(s.Access), Refresh: secret.Value(s.Refresh), Scope: s.Scope, ExpiresAt: s.ExpiresAt}
	return nil
}

// endsAt is when the tokens are of no more use; zero if they can be renewed, or
// nobody said.
func (t Tokens) endsAt() time.Time {
	if t.Refresh != "" {
		return time.Time{}
	}
	return t.ExpiresAt
}
