package openid

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// Credentials are what a client proves itself with at a token endpoint. Basic has
// them in the header, as RFC 6749 §2.3.1 writes them; else they are in the form.
type Credentials struct {
	ID, Secret string
	Basic      bool
}

// Tokens is the answer of a token endpoint (RFC 6749 §5). GitHub answers errors
// with status 200.
type Tokens struct {
	Access    string      `json:"access_token"`
	Refresh   string      `json:"refresh_token"`
	ID        string      `json:"id_token"`
	Scope     Word        `json:"scope"`
	ExpiresIn json.Number `json:"expires_in"`
	Error     Word        `json:"error"`
}

// Redeem makes a request at a token endpoint (RFC 6749 §4.1.3, §6), once.
func (a *Asker) Redeem(ctx context.Context, endpoint string, c Credentials, form url.Values) (Tokens, error) {
	if !c.Basic {
		form.Set("client_id", c.ID)
		form.Set("client_secret", c.Secret)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return Tokens{}, Fail(ErrLies, "token endpoint: not a URL")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if c.Basic {
		req.SetBasicAuth(url.QueryEscape(c.ID), url.QueryEscape(c.Secret))
	}
	got, err := a.Send(req)
	if err != nil {
		return Tokens{}, err
	}
	var t Tokens
	readable := got.Reads(&t)
	switch {
	case got.Status >= http.StatusBadRequest || readable == nil && t.Error != "":
		return Tokens{}, refusedCode(got.Status, string(t.Error))
	case readable != nil:
		return Tokens{}, readable
	case t.Access == "":
		return Tokens{}, Fail(ErrLies, "no access token")
	}
	return t, nil
}
