package oauth

import (
	"strings"
	"testing"
)

func TestUserCodesAreReadAsPeopleTypeThem(t *testing.T) {
	for typed, want := range map[string]string{
		"WDJB-MJHT": "WDJBMJHT", "wdjbmjht": "WDJBMJHT", " wdjb mjht ": "WDJBMJHT", "WDJB–MJHT": "WDJBMJHT", "w.d.j.b_m-j-h-t": "WDJBMJHT",
		"": "", "WDJB-MJH": "", "WDJB-MJHTT": "", "ADJB-MJHT": "", "WDJB-MJH1": "", "WDJB-MJHТ": "", "WDJB\x00MJHT": "",
		strings.Repeat("-", 60) + "WDJBMJHT": "",
	} {
		got, ok := ParseUserCode(typed)
		if ok != (want != "") || ok && got != want {
			t.Errorf("ParseUserCode(%q) = %q, %v, want %q", typed, got, ok, want)
		}
	}
}

func TestUserCodesComeBack(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		code := newUserCode()
		shown := ShowUserCode(code)
		if got, ok := ParseUserCode(strings.ToLower(shown)); !ok || got != code || len(shown) != 9 || seen[code] {
			t.Fatalf("%q is shown as %q and read as %q, %v; seen before: %v", code, shown, got, ok, seen[code])
		}
		seen[code] = true
	}
}
