package logout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/job"
	"sallyport/internal/jwks"
	"sallyport/internal/session"
	"sallyport/internal/token"
)

const (
	// Timeout bounds one attempt. A client does little more than look a session
	// up, and one that hangs must not hold up the others.
	Timeout = 10 * time.Second
	// tokenLifetime is how long a logout token is good: two minutes at most
	// (Back-Channel Logout §4). Each attempt makes its own.
	tokenLifetime = 2 * time.Minute
	// event is the one member of events (§2.4).
	event = "http://schemas.openid.net/event/backchannel-logout"
)

// retry are the delays after which a client that did not answer as it should is
// told again: for as long as somebody may still sit before its old session.
var retry = []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 6 * time.Hour}

// Courier tells clients. Any number of goroutines may use one.
type Courier struct {
	DB     *db.DB
	Keys   *jwks.Ring
	Client *http.Client // of package outbound, with Timeout and without redirects
	Now    func() time.Time
}

// Handlers are how the jobs of both kinds are done.
func (c *Courier) Handlers() map[job.Kind]job.Handler {
	h := job.Handler{Run: c.Tell, Retry: retry, Timeout: Timeout + 20*time.Second, Parallel: 16}
	return map[job.Kind]job.Handler{Kind: h, StrangerKind: h}
}

// claims are those of a logout token (Back-Channel Logout §2.4). A nonce is
// forbidden, so that it never passes for an ID token.
type claims struct {
	Issuer   string              `json:"iss"`
	Subject  string              `json:"sub"`
	Audience string              `json:"aud"`
	IssuedAt int64               `json:"iat"`
	Expires  int64               `json:"exp"`
	ID       string              `json:"jti"`
	Events   map[string]struct{} `json:"events"`
	Session  session.ID          `json:"sid,omitempty"`
}

// Tell sends the notice of j to its client, at the address that the client has
// now. One that is gone, switched off, or no longer wants to know needs nothing.
// An error is that of one attempt.
func (c *Courier) Tell(ctx context.Context, j job.Job) error {
	var n notice
	if err := json.Unmarshal(j.Payload, &n); err != nil {
		return fmt.Errorf("%w: logout: payload: %w", job.ErrGiveUp, err)
	}
	var cl client.Client
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		cl, err = client.ByID(ctx, tx, n.ClientID)
		return err
	})
	switch {
	case errors.Is(err, db.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("client to tell: %w", err)
	case !wantsToKnow(cl), cl.Policy.OAuth.BackchannelNeedsSID && n.SessionID == "":
		return nil
	}
	raw, err := c.token(n, cl)
	if err != nil {
		return err
	}
	return c.post(ctx, cl.Policy.BackchannelLogoutURI, raw)
}

// token makes the logout token, signed as the client's ID tokens are (§2.6).
func (c *Courier) token(n notice, cl client.Client) (string, error) {
	key, err := c.Keys.Active(cl.Policy.IDTokenAlg(), cl.ID)
	if err != nil {
		return "", fmt.Errorf("key for logout token: %w", err)
	}
	now := c.Now()
	return token.Sign(key, "logout+jwt", claims{
		Issuer: n.Issuer, Subject: n.Subject, Audience: string(n.ClientID), Session: n.SessionID,
		IssuedAt: now.Unix(), Expires: now.Add(tokenLifetime).Unix(), ID: identity.NewID(), Events: map[string]struct{}{event: {}},
	})
}

// post delivers a logout token. Any answer but a 2xx has it sent again: a 400
// says that it failed there (§2.8), which may pass.
func (c *Courier) post(ctx context.Context, to, raw string) error {
	body := url.Values{"logout_token": {raw}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: backchannel_logout_uri: %w", job.ErrGiveUp, err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("User-Agent", "Sallyport-Logout")
	answer, err := c.Client.Do(req)
	if err != nil {
		return fmt.Errorf("tell of logout: %w", err)
	}
	answer.Body.Close()
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("tell of logout: %s answered %d", req.URL.Host, answer.StatusCode)
	}
	return nil
}
