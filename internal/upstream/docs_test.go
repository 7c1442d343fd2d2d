package upstream_test

import (
	"net/url"
	"os"
	"reflect"
	"strings"
	"testing"

	"sallyport/internal/openid"
	"sallyport/internal/upstream"
)

// docs/upstreams.md knows each kind, what it asks for and is bound by, each
// setting and each failure.
func TestPageIsComplete(t *testing.T) {
	raw, err := os.ReadFile("../../docs/upstreams.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	for _, kind := range upstream.Kinds() {
		_, section, ok := strings.Cut(page, "\n### `"+string(kind)+"`\n")
		section, _, _ = strings.Cut(section, "\n### ")
		if !ok || !strings.Contains(section, "kind: "+string(kind)) {
			t.Errorf("%s has no section with an example", kind)
		}
		p := serve(t, kind)
		location, _ := p.begin(t, upstream.Start{})
		at, err := url.Parse(location)
		if err != nil {
			t.Fatal(err)
		}
		q := at.Query()
		if scope := q.Get("scope"); scope != "" && !strings.Contains(section, "`"+scope+"`") {
			t.Errorf("%s asks for %q, which its section does not say", kind, scope)
		}
		nonce := map[bool]string{true: "yes", false: "no"}[q.Has("nonce")]
		if kind == upstream.LinkedIn {
			nonce = "if it comes back"
		}
		if row := "| `" + string(kind) + "` | " + map[bool]string{true: "yes", false: "no"}[q.Has("code_challenge")] + " | " + nonce + " |"; !strings.Contains(page, row) {
			t.Errorf("no row %s", row)
		}
	}
	for _, of := range []reflect.Type{reflect.TypeFor[upstream.Settings](), reflect.TypeFor[upstream.Names]()} {
		for field := range of.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
			if !strings.Contains(page, "`"+name+"`") && !strings.Contains(page, name+":") {
				t.Errorf("the setting %s is not on the page", name)
			}
		}
	}
	for _, reason := range []error{
		openid.ErrDenied, openid.ErrUnreachable, openid.ErrThrottled, openid.ErrInvalidGrant, openid.ErrUnfinished, openid.ErrClient,
		openid.ErrUnverified, openid.ErrOutsider, openid.ErrAudience, openid.ErrLies,
	} {
		if words := strings.TrimPrefix(reason.Error(), "openid: "); !strings.Contains(page, "| `"+words+"` |") {
			t.Errorf("the failure %q is not on the page", words)
		}
	}
}
