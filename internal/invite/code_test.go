package invite_test

import (
	"strings"
	"testing"

	"sallyport/internal/invite"
)

func FuzzNormalizeCode(f *testing.F) {
	for _, s := range []string{"ABCD2345", " abcd2345\t", "", "ABCD1234", "ABCDEFGI", "ABCDEFG\x00", "ſſſſſſſſ", "ﬀﬀﬀﬀ", "ıııııııı", "ABCD234\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		code, ok := invite.NormalizeCode(s)
		if !ok {
			if code != "" {
				t.Errorf("refused %q but returned %q", s, code)
			}
			return
		}
		if len(code) != invite.CodeLength || strings.Trim(code, invite.Alphabet) != "" {
			t.Errorf("%q became %q, which is no code", s, code)
		}
		if again, ok := invite.NormalizeCode(code); !ok || again != code {
			t.Errorf("%q became %q and then %q, %v", s, code, again, ok)
		}
		if !strings.EqualFold(strings.TrimSpace(s), code) {
			t.Errorf("%q became %q", s, code)
		}
	})
}
