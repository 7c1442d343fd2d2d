package openid

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"
)

// OpenID Connect Core appendix A.3: the at_hash of an access token.
func TestAccessTokenHash(t *testing.T) {
	if got := atHash("RS256", "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"); got != "77QmUPtjPfzWtF2AnpK9RQ" {
		t.Errorf("got %s", got)
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		err  error
		want error
		code string
	}{
		{Refusal("access_denied"), ErrDenied, "access_denied"},
		{Refusal("user_cancelled_authorize"), ErrDenied, "user_cancelled_authorize"}, // Apple
		{Refusal("interaction_required"), ErrDenied, "interaction_required"},
		{Refusal("temporarily_unavailable"), ErrUnreachable, "temporarily_unavailable"},
		{Refusal("invalid_scope"), ErrClient, "invalid_scope"},
		{Refusal("<b>"), ErrClient, ""},
		{refusedCode(400, "invalid_grant"), ErrInvalidGrant, "invalid_grant"},
		{refusedCode(400, "invalid_request"), ErrInvalidGrant, "invalid_request"},             // LinkedIn
		{refusedCode(200, "bad_verification_code"), ErrInvalidGrant, "bad_verification_code"}, // GitHub
		{refusedCode(200, "incorrect_client_credentials"), ErrClient, "incorrect_client_credentials"},
		{refusedCode(400, "redirect_uri_mismatch"), ErrInvalidGrant, "redirect_uri_mismatch"}, // Google
		{refusedCode(401, "invalid_client"), ErrClient, "invalid_client"},
		{refusedCode(401, "anything"), ErrClient, "anything"},
		{refusedCode(400, ""), ErrClient, ""},
		{refusedCode(400, "server_error"), ErrUnreachable, "server_error"},
	} {
		f, ok := errors.AsType[*Failure](c.err)
		if !ok || !errors.Is(c.err, c.want) || f.Code != c.code {
			t.Errorf("got %v, want %v with code %q", c.err, c.want, c.code)
		}
	}
}

// The step that a failure was at is the first that is named.
func TestStepOfAFailure(t *testing.T) {
	err := During(AtPerson, During(AtToken, Fail(ErrLies, "x")))
	if f, ok := errors.AsType[*Failure](err); !ok || f.Step != AtToken || !f.Redeemed() {
		t.Errorf("got %v", err)
	}
	if During(AtToken, nil) != nil {
		t.Error("no failure became one")
	}
}

func TestRetryAfter(t *testing.T) {
	for given, want := range map[string]time.Duration{
		"42": 42 * time.Second, "0": time.Second, "": time.Second, "-1": time.Second, "99999999": time.Hour, "Wed, 21 Oct 2026 07:28:00 GMT": time.Second,
	} {
		if got := retryAfter(given); got != want {
			t.Errorf("%q: %s", given, got)
		}
	}
}

// What a provider writes where something else belongs is read as nothing.
func TestLenientValues(t *testing.T) {
	var v struct {
		Is    Truth `json:"is"`
		Name  Word  `json:"name"`
		Roles Words `json:"roles"`
	}
	for text, want := range map[string]struct {
		is, known bool
		name      string
		roles     []string
	}{
		`{"is":true,"name":"x","roles":["a","b"]}`:     {true, true, "x", []string{"a", "b"}},
		`{"is":"true","roles":"a"}`:                    {true, true, "", []string{"a"}},
		`{"is":1,"name":5,"roles":[1,"a",{},null,""]}`: {true, true, "", []string{"a"}},
		`{"is":"false","name":null,"roles":5}`:         {false, true, "", nil},
		`{"is":"yes","name":{},"roles":{}}`:            {false, true, "", nil},
		`{"is":[true],"roles":""}`:                     {false, true, "", nil},
		`{"is":null}`:                                  {},
	} {
		v.Is, v.Name, v.Roles = Truth{}, "", nil
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		if v.Is.Is != want.is || v.Is.Known != want.known || string(v.Name) != want.name || !slices.Equal(v.Roles, want.roles) {
			t.Errorf("%s: got %+v", text, v)
		}
	}
}
