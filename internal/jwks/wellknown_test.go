package jwks

import (
	"strings"
	"testing"

	"sallyport/internal/secret"
)

func TestWellKnownSecretsAreSeen(t *testing.T) {
	for _, s := range []string{
		"secret_string", strings.Repeat("secret_string", 3), "SECRET_STRING-SECRET_STRING-SECRET_STRING", "secret_string_12345678901234567890",
		"a-string-secret-at-least-256-bits-long",
		strings.Repeat("a", 32), strings.Repeat("abc", 20), strings.Repeat("changeme", 4),
	} {
		if !WellKnown([]byte(s)) {
			t.Errorf("%q is taken for a secret", s)
		}
	}
	for range 1000 {
		if s := secret.Hex(16); WellKnown([]byte(s)) || InSource([]byte(s)) {
			t.Errorf("%q is not taken", s)
		}
	}
	if s := "django-insecure-x7$%abcdefghijklmnopqrstuvwxyz012345"; !InSource([]byte(s)) {
		t.Errorf("%q is taken for a secret", s)
	}
}
