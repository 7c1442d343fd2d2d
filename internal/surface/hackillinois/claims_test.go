package hackillinois_test

import (
	"encoding/base64"
	"encoding/json"
	"testing"

	"sallyport/internal/surface/hackillinois"
)

// FuzzClaimsAreReadByAtob holds what the token's payload may be: the same JSON,
// whose base64url is base64 (contract §2.1).
func FuzzClaimsAreReadByAtob(f *testing.F) {
	for _, seed := range []string{"jane@gmail.com", "???~~~>>>", "Zoë Ünal", "😀 \u007f\u2028", `"\/`, "<&>", "\x00\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		plain, err := json.Marshal(map[string]any{"email": s, s: []string{s}})
		if err != nil {
			t.Skip("not a text that JSON has")
		}
		escaped := hackillinois.ForAtob(plain)
		if url, std := base64.RawURLEncoding.EncodeToString(escaped), base64.RawStdEncoding.EncodeToString(escaped); url != std {
			t.Errorf("%s is not read by atob", escaped)
		}
		var want, got any
		if err := json.Unmarshal(plain, &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(escaped, &got); err != nil {
			t.Fatalf("%s: %v", escaped, err)
		}
		if a, b := mustJSON(t, want), mustJSON(t, got); a != b {
			t.Errorf("got %s, want %s", b, a)
		}
	})
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
