package pages

import "sallyport/internal/fault"

// Words is how a fault is said, and with which status.
func Words(f *fault.Error) (string, int) { return words(f), statusOf(f) }

// BrowserName names the browser of a User-Agent.
func BrowserName(userAgent string) string { return browserName(userAgent) }

// Ink is the colour of words on a colour.
func Ink(color string) string { return string(ink(color)) }

// Contrast is the ratio of a colour and the words on it (WCAG 2.2).
func Contrast(color string) float64 {
	a, b := luminance(color)+0.05, 0.05
	if ink(color) == "#fff" {
		a, b = 1.05, a
	}
	return a / b
}

// Logo is the address of a logo on the mount at path.
func Logo(at, path string) string { return logo(at, path) }
