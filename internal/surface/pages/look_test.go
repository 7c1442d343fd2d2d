package pages_test

import (
	"fmt"
	"testing"

	"sallyport/internal/surface/pages"

	"pgregory.net/rapid"
)

// WCAG 2.2 §1.4.3: the words on a button have a contrast of 4.5:1.
func TestButtonWordsAreReadableOnAnyColour(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		color := fmt.Sprintf("#%06x", rapid.IntRange(0, 0xffffff).Draw(t, "color"))
		if c := pages.Contrast(color); c < 4.5 {
			t.Fatalf("%s: contrast %.2f, want at least 4.5", color, c)
		}
	})
}

func TestInkOfKnownColours(t *testing.T) {
	for color, want := range map[string]string{"#ffffff": "#000", "#000000": "#fff", "#2d5bff": "#fff", "#ffd54a": "#000", "#9392c7": "#000", "#d32f2f": "#fff"} {
		if got := pages.Ink(color); got != want {
			t.Errorf("%s: got %s, want %s", color, got, want)
		}
	}
}

func TestLogosAreOursOrSecure(t *testing.T) {
	for _, c := range []struct{ at, path, want string }{
		{"", "", ""},
		{"https://cdn.example.com/a.png", "/keymaster", "https://cdn.example.com/a.png"},
		{"http://cdn.example.com/a.png", "", ""},
		{"javascript:alert(1)", "", ""},
		{"data:image/svg+xml,<svg/>", "", ""},
		{"//evil.example/a.png", "", ""},
		{`/\evil.example/a.png`, "", ""},
		{"/apps/1/logo", "", "/apps/1/logo"},
		{"/apps/1/logo", "/keymaster", "/keymaster/apps/1/logo"},
		{"/keymaster/apps/1/logo", "/keymaster", "/keymaster/apps/1/logo"},
	} {
		if got := pages.Logo(c.at, c.path); got != c.want {
			t.Errorf("%q at %q: got %q, want %q", c.at, c.path, got, c.want)
		}
	}
}
