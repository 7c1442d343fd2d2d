package wire_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"sallyport/internal/wire"
)

func TestSentFormIsNoScript(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	err := wire.SendForm(w, `Acme<script>`, `https://idp.example/sso?a=1&b="><script>`, [][2]string{{"SAMLRequest", `"><script>x</script>`}, {"RelayState", "a&b"}})
	if err != nil {
		t.Fatal(err)
	}
	page := w.Body.String()
	for _, want := range []string{
		`<form method="post" action="https://idp.example/sso?a=1&amp;b=%22%3e%3cscript%3e">`,
		`name="SAMLRequest" value="&#34;&gt;&lt;script&gt;x&lt;/script&gt;"`, `name="RelayState" value="a&amp;b"`, `Continue to Acme&lt;script&gt;`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in\n%s", want, page)
		}
	}
	if n := strings.Count(page, "<script>"); n != 1 {
		t.Errorf("%d scripts, want ours alone", n)
	}
	h := w.Header()
	if !strings.Contains(h.Get("Content-Security-Policy"), "script-src 'sha256-") || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", h)
	}
}
