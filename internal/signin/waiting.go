package signin

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/onetime"
	"sallyport/internal/upstream"
)

// turnedAway is the audit entry of a sign-in at an upstream that let nobody in.
func (c *Core) turnedAway(ctx context.Context, tx *db.Tx, v Visitor, cl client.Client, key string, f *fault.Error) error {
	return audit.Record(ctx, tx, c.Now(), v.attempt(audit.UserLoginFailed, identity.User{}, cl, map[string]any{"method": key, "reason": string(f.Code)}))
}

// waiting is a verified profile that waits for something else.
type waiting struct {
	Profile     upstream.Profile `json:"profile"`
	RedirectURI string           `json:"redirect_uri,omitempty"`
	State       string           `json:"state,omitempty"`
	Request     string           `json:"request,omitempty"`
	Data        json.RawMessage  `json:"data,omitempty"`
	Browser     []byte           `json:"browser,omitempty"`
}

// wait stores a profile, without the upstream's tokens, for another purpose.
func (c *Core) wait(ctx context.Context, tx *db.Tx, p onetime.Purpose, owner identity.UserID, out Returned, browser []byte, life time.Duration) (string, error) {
	w := waiting{Profile: out.Profile, RedirectURI: out.RedirectURI, State: out.State, Request: out.Request, Data: out.Data, Browser: browser}
	w.Profile.Tokens = upstream.Tokens{}
	data, err := json.Marshal(w)
	if err == nil && len(data) > onetime.MaxData {
		w.Profile.Roles, w.Profile.Groups = nil, nil
		data, err = json.Marshal(w)
	}
	if err != nil {
		return "", fmt.Errorf("store profile: %w", err)
	}
	now := c.Now()
	return onetime.Create(ctx, tx, onetime.Secret{Purpose: p, UserID: owner, ClientID: out.Client.ID, Data: data, ExpiresAt: now.Add(life)}, now)
}

func (c *Core) awaitInvite(ctx context.Context, tx *db.Tx, out Returned, a arrival) (string, error) {
	return c.wait(ctx, tx, onetime.Pending, "", out, a.browser, PendingLifetime)
}

func (c *Core) awaitOwner(ctx context.Context, tx *db.Tx, out Returned, owner identity.User, a arrival) (string, error) {
	return c.wait(ctx, tx, onetime.Linking, owner.ID, out, a.browser, PendingLifetime)
}
