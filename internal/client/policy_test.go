package client_test

import (
	"slices"
	"testing"
	"time"

	"sallyport/internal/client"
)

func TestCheckRedirectURI(t *testing.T) {
	for _, uri := range []string{
		"https://app.example.com/callback", "https://app.example.com", "https://app.example.com/cb?x=1",
		"http://localhost:3000/callback", "http://127.0.0.1/cb", "http://[::1]:8080/cb", "http://app.localhost/cb",
		"com.example.app:/callback", "com.example.app://callback",
	} {
		if err := client.CheckRedirectURI(uri); err != nil {
			t.Errorf("%s: %v", uri, err)
		}
	}
	for _, uri := range []string{
		"", "/callback", "app.example.com/callback", "http://app.example.com/callback", "https://app.example.com/#fragment",
		"https://app.example.com/#", "https://user:pass@app.example.com/", "https:///callback", "javascript:alert(1)", "data:text/html,x",
		"myapp://callback", "http://localhost.evil.example/", "https://app.example.com/\n", "https://app.example.com/ x", "https://exämple.com/",
		"http://127.0.0.1.evil.example/",
	} {
		if client.CheckRedirectURI(uri) == nil {
			t.Errorf("%q may be registered", uri)
		}
	}
}

func TestRedirectURIIsExact(t *testing.T) {
	c := client.Client{Policy: client.Policy{RedirectURIs: []string{"https://a.example/cb", "https://b.example/cb"}}}
	for given, want := range map[string]string{"": "https://a.example/cb", "https://b.example/cb": "https://b.example/cb"} {
		if got, ok := c.RedirectURI(given); !ok || got != want {
			t.Errorf("%q: %q, %v", given, got, ok)
		}
	}
	for _, given := range []string{"https://a.example/cb/", "https://a.example/cb?x", "HTTPS://a.example/cb", "https://a.example/CB", "https://a.example"} {
		if _, ok := c.RedirectURI(given); ok {
			t.Errorf("%q is taken for a registered one", given)
		}
	}
	if _, ok := (client.Client{}).RedirectURI(""); ok {
		t.Error("a client without redirect URIs has a first one")
	}
}

func TestOrigins(t *testing.T) {
	p := client.Policy{
		AllowedOrigins: []string{"https://A.example", "https://a.example:443", "nonsense"},
		RedirectURIs:   []string{"http://localhost:3000/callback", "https://a.example/cb", "com.example.app:/cb", "http://b.localhost:80/"},
	}
	want := []string{"http://b.localhost", "http://localhost:3000", "https://a.example"}
	if got := p.Origins(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestDurationIsWrittenAsItIsRead(t *testing.T) {
	for text, want := range map[string]struct {
		d     time.Duration
		again string
	}{
		"15m": {15 * time.Minute, "15m"}, "900s": {15 * time.Minute, "15m"}, "720h": {720 * time.Hour, "30d"}, "30d": {720 * time.Hour, "30d"},
		"10s": {10 * time.Second, "10s"}, "1h30m": {90 * time.Minute, "90m"}, "0s": {0, "0s"}, "1500ms": {1500 * time.Millisecond, "1.5s"},
	} {
		var d client.Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.D() != want.d {
			t.Errorf("%s: %v, %v", text, d.D(), err)
		}
		if got, err := d.MarshalText(); err != nil || string(got) != want.again {
			t.Errorf("%s is written %s, %v, want %s", text, got, err, want.again)
		}
	}
	for _, text := range []string{"", "15", "-1m", "xd", "99999999d", "1.5d", "-1d"} {
		var d client.Duration
		if d.UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q is read as %v", text, d.D())
		}
	}
}

func TestStricterPasswordPolicyWins(t *testing.T) {
	c := client.Client{
		Policy: client.Policy{Password: client.PasswordPolicy{MinLength: 10, RequireDigit: true}},
		Tenant: client.Tenant{Password: client.PasswordPolicy{MinLength: 12, RequireSymbol: true}},
	}
	want := client.PasswordPolicy{MinLength: 12, RequireDigit: true, RequireSymbol: true}
	if got := c.Password(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := (client.Client{}).Password().MinLength; got != client.MinPassword {
		t.Errorf("floor %d", got)
	}
}

func TestRefreshExpiryIsTheNearerOfLifetimeAndIdle(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := client.Policy{RefreshToken: client.RefreshToken{Lifetime: client.Duration(30 * 24 * time.Hour)}}
	if got := p.RefreshExpiry(now).Sub(now); got != 720*time.Hour {
		t.Errorf("without idle: %v", got)
	}
	p.RefreshToken.Idle = client.Duration(time.Hour)
	if got := p.RefreshExpiry(now).Sub(now); got != time.Hour {
		t.Errorf("with idle: %v", got)
	}
}

func TestColor(t *testing.T) {
	for s, want := range map[string]bool{"#2d5bff": true, "#ABCDEF": true, "": false, "red": false, "#fff": false, "#12345g": false, "#2d5bf;": false, "2d5bff0": false} {
		if client.Color(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}
