package pages_test

import (
	"strings"
	"testing"
	"time"

	"sallyport/internal/fault"
	"sallyport/internal/surface/pages"
)

func TestEveryFaultHasWords(t *testing.T) {
	for _, c := range fault.Codes {
		words, status := pages.Words(fault.New(c, "12"))
		if words == "" || strings.Contains(words, "%") {
			t.Errorf("fault %q has the words %q", c, words)
		}
		if status < 400 || status > 503 {
			t.Errorf("fault %q has the status %d", c, status)
		}
	}
}

func TestWordsSayWhenToComeBack(t *testing.T) {
	for after, want := range map[time.Duration]string{
		0: "later.", time.Second: "in a minute.", time.Minute: "in a minute.", 61 * time.Second: "in 2 minutes.",
		15 * time.Minute: "in 15 minutes.", 3 * time.Hour: "in 3 hours.",
	} {
		words, _ := pages.Words(fault.Later(fault.RateLimited, after))
		if !strings.HasSuffix(words, want) {
			t.Errorf("after %v: got %q, want it to end with %q", after, words, want)
		}
	}
}

func TestBrowsersAreNamed(t *testing.T) {
	for userAgent, want := range map[string]string{
		"": "Unknown browser", "Mozilla/5.0": "Unknown browser", "curl/8.14.1": "curl",
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                                        "Firefox on Linux",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36":                                         "Chrome on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0":                 "Edge on Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15":                         "Safari on macOS",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1":       "Safari on iPhone",
		"Mozilla/5.0 (Linux; Android 15; SM-S931B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36":    "Samsung Internet on Android",
		"Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0.7339.39 Mobile/15E148 Safari/604.1 (extra)": "Chrome on iPad",
	} {
		if got := pages.BrowserName(userAgent); got != want {
			t.Errorf("%q: got %q, want %q", userAgent, got, want)
		}
	}
}
