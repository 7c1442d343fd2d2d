package jwks

import "strings"

// wellKnown are secrets that stand in other people's documentation and example
// configurations, which is where a forger looks first.
var wellKnown = []string{
	"secret_string", "your-256-bit-secret", "your-384-bit-secret", "your-512-bit-secret",
	"a-string-secret-at-least-256-bits-long", "a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
	"changeme", "change-me", "change_me", "replace-me", "replace_me",
}

// leastDistinct is how many different bytes a secret has at least: 32 random ones
// have fewer once in 10^14 times even where each is one of sixteen digits.
const leastDistinct = 6

// InSource reports whether a shared secret is one that Django's startproject made.
// Nobody can guess it, but it was written into settings.py: it stands in the source
// code, and in every copy of that.
func InSource(shared []byte) bool { return strings.HasPrefix(string(shared), "django-insecure-") }

// WellKnown reports whether a shared secret is one that others can guess: one of
// those that everybody knows, alone or repeated, or one of hardly any letters.
func WellKnown(shared []byte) bool {
	text := strings.ToLower(string(shared))
	for _, w := range wellKnown {
		if strings.HasPrefix(text, w) && strings.Trim(strings.ReplaceAll(text, w, ""), "0123456789-_ .") == "" {
			return true
		}
	}
	distinct := map[byte]bool{}
	for _, b := range shared {
		distinct[b] = true
	}
	return len(distinct) < leastDistinct
}
