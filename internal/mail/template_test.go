package mail

import (
	"strings"
	"testing"
	"unicode"
)

// full is data that every template has a use for.
var full = Data{
	ClientName: "Demo", Color: "#112233", Link: "https://example.com/go?token=abc&x=1", Code: "123456",
	Name: "Jane Doe", Inviter: "Bob", Minutes: 15, Change: TOTPEnabled, Upstream: "Google",
}

func render(t *testing.T, tm Template, d Data) Message {
	t.Helper()
	m, err := Render(tm, d)
	if err != nil {
		t.Fatalf("%s: %v", tm, err)
	}
	return m
}

func TestTemplatesRender(t *testing.T) {
	for _, tm := range Templates {
		for name, d := range map[string]Data{"full": full, "bare": {}, "code only": {Code: "123456", ClientName: "Demo"}} {
			m := render(t, tm, d)
			if m.Subject == "" || m.Text == "" || !strings.Contains(m.HTML, "</html>") {
				t.Errorf("%s, %s: got %+v", tm, name, m)
			}
			for _, s := range []string{m.Subject, m.Text, m.HTML} {
				if strings.Contains(s, "<no value>") || strings.Contains(s, "ZgotmplZ") || strings.Contains(s, "\n\n\n") {
					t.Errorf("%s, %s: %.300q", tm, name, s)
				}
			}
		}
		m := render(t, tm, full)
		if !strings.Contains(m.Text, "\n\nhttps://example.com/go?token=abc&x=1\n\n") {
			t.Errorf("%s: the link does not stand alone on a line:\n%s", tm, m.Text)
		}
		if n := strings.Count(m.HTML, `href="https://example.com/go?token=abc&amp;x=1"`); n != 2 {
			t.Errorf("%s: the link is %d times in the HTML, want twice", tm, n)
		}
		if !strings.Contains(m.Subject, "Demo") || !strings.Contains(m.HTML, "background:#112233") {
			t.Errorf("%s: subject %q; name or colour of the client are missing", tm, m.Subject)
		}
	}
}

func TestTemplatesSayWhatTheyShould(t *testing.T) {
	for _, c := range []struct {
		tm   Template
		d    Data
		want []string
		not  []string
	}{
		{MagicLink, full, []string{"Hello Jane Doe,", "link or code", "for 15 minutes", "123456"}, nil},
		{MagicLink, Data{Code: "123456"}, []string{"this code to sign in to Sallyport", "Your code:\n\n123456\n"}, []string{"link", "Sign in:", "Hello"}},
		{ResetPassword, full, []string{"new password", "once, for 15 minutes"}, nil},
		{PasswordChanged, Data{}, []string{"forgot password"}, []string{"http"}},
		{Invite, full, []string{"Bob invites you to Demo.", "123456"}, nil},
		{Invite, Data{Inviter: "bob@example.com"}, []string{"bob@example.com invites you"}, nil},
		{Invite, Data{Minutes: 7 * 24 * 60}, []string{"You are invited to Sallyport.", "7 days"}, nil},
		{FactorChanged, Data{Change: TOTPEnabled}, []string{"turned on"}, nil},
		{FactorChanged, Data{Change: TOTPDisabled}, []string{"turned off"}, nil},
		{FactorChanged, Data{Change: BackupCodesMade}, []string{"New backup codes", "no longer work"}, nil},
		{LinkChanged, Data{Change: LinkAdded, Upstream: "Google"}, []string{"You can now also sign in to your Sallyport account with Google.", "disconnect it"}, []string{"http"}},
		{LinkChanged, Data{Change: LinkRemoved, Upstream: "Google"}, []string{"Google no longer signs you in"}, nil},
		{LinkChanged, Data{Change: LinkAdded}, []string{"an account that you have elsewhere"}, nil},
		{OperatorSetup, full, []string{"operator of Demo"}, nil},
		{AccountInvite, Data{ClientName: "Demo", Org: "Acme", Inviter: "Bob", Minutes: 7 * 24 * 60}, []string{"Bob invites you to join Acme at Demo.", "7 days"}, nil},
		{AccountInvite, Data{Org: "win at evil.example now"}, []string{"You are invited to join Sallyport."}, []string{"evil"}},
		{Waiting, Data{ClientName: "Demo"}, []string{"You are on the list for Demo."}, []string{"http"}},
		{Waiting, Data{ClientName: "Demo", Feature: "beta"}, []string{"on the list for beta at Demo."}, nil},
		{FeatureReady, Data{ClientName: "Demo", Feature: "beta", Name: "Jane"}, []string{"Hello Jane,", "beta is ready for you at Demo"}, []string{"http"}},
		{FeatureReady, Data{Feature: "evil.example"}, []string{"what you waited for is ready"}, []string{"evil"}},
		{AccountExists, full, []string{"already"}, []string{"Jane"}},
		{SetupLink, Data{Org: "Acme", Inviter: "ann@acme.com", Minutes: 7 * 24 * 60}, []string{"ann@acme.com asks you to connect Acme's identity provider to Sallyport", "7 days"}, nil},
		{SetupLink, Data{Org: "evil.example"}, []string{"You are asked to connect your identity provider"}, []string{"evil"}},
		{ConnectionChanged, Data{Org: "Acme", Upstream: "Okta", Inviter: "ann@acme.com"}, []string{"for Acme at Sallyport was set up or changed. It is now: Okta.", "done by ann@acme.com"}, []string{"set-up link."}},
		{ConnectionChanged, Data{Org: "Acme"}, []string{"signed people in for Acme at Sallyport was removed", "with a set-up link"}, nil},
		{ConnectionFailing, Data{Org: "Acme", Upstream: "Okta", Days: 3}, []string{"Okta, by which people sign in for Acme at Sallyport, has not published what it should for 3 days"}, nil},
		{CertificateExpiring, Data{Upstream: "Okta", Days: 14, Change: CertificateEnding}, []string{"is good for 14 more days only"}, []string{"has expired"}},
		{CertificateExpiring, Data{Upstream: "Okta", Days: 1, Change: CertificateEnding}, []string{"is good for 1 more day only"}, nil},
		{CertificateExpiring, Data{Upstream: "Okta", Change: CertificateEnded}, []string{"has expired", "Nobody can sign in by it"}, nil},
		{DomainUnproven, Data{Domain: "acme.com", Record: "x=y", Days: 14, Change: ProofMissing}, []string{"for 14 days", "_sallyport-challenge.acme.com", "is x=y"}, []string{"any more"}},
		{DomainUnproven, Data{Domain: "acme.com", Change: ProofLapsed}, []string{"does not count any more"}, nil},
	} {
		m := render(t, c.tm, c.d)
		for _, s := range c.want {
			if !strings.Contains(m.Text, s) {
				t.Errorf("%s: %q is missing:\n%s", c.tm, s, m.Text)
			}
		}
		for _, s := range c.not {
			if strings.Contains(m.Text, s) {
				t.Errorf("%s: %q should not be there:\n%s", c.tm, s, m.Text)
			}
		}
	}
}

// TestTemplatesEscape: whatever names hold, they add no markup, no line and no
// link of their own.
func TestTemplatesEscape(t *testing.T) {
	evil := Data{
		ClientName: "Demo <script>alert(1)</script>\"'&",
		Color:      "red;background:url(https://evil.example/x)",
		Link:       `https://example.com/?a=<script>&b="onclick=x'y`,
		Code:       "12<b>34\r\n56",
		Name:       "Jane\r\nBcc: x <img src=x>\n\nBody\u202e",
		Inviter:    "see https://evil.example/ now",
		Upstream:   "Corp\r\n\n<b>Body</b>\u202e",
		Org:        "Acme\r\nBcc: x <img src=x>\n\nBody\u202e",
	}
	for _, tm := range Templates {
		m := render(t, tm, evil)
		if strings.ContainsFunc(m.Subject, unicode.IsControl) || strings.Contains(m.Subject, "\u202e") {
			t.Errorf("%s: subject %q", tm, m.Subject)
		}
		for _, s := range []string{"<script", "<img", "<b>", `"onclick`, "evil.example", "url(", "\u202e"} {
			if strings.Contains(m.HTML, s) {
				t.Errorf("%s: %q is in the HTML", tm, s)
			}
		}
		for _, s := range []string{"evil.example", "\r", "\u202e", "\nBcc", "\nBody"} {
			if strings.Contains(m.Text, s) {
				t.Errorf("%s: %q is in the text", tm, s)
			}
		}
		if !strings.Contains(m.HTML, "Demo &lt;script&gt;alert(1)&lt;/script&gt;") {
			t.Errorf("%s: the client's name is not escaped but gone", tm)
		}
	}
}

func TestNamesThatMayBecomeLinksAreLeftOut(t *testing.T) {
	for in, want := range map[string]string{
		"Jane Doe": "Jane Doe", "J. R. R. Tolkien": "J. R. R. Tolkien", "J.R.R. Tolkien": "J.R.R. Tolkien", "O'Neil-Smith": "O'Neil-Smith",
		"李小龍": "李小龍", "Jane\u00a0\tDoe\n": "Jane Doe",
		"https://evil.example": "", "evil.example": "", "Free money at www.evil.example now": "", "me@evil.example": "", "evil/x": "", `\\evil\x`: "",
	} {
		if got := person(in); got != want {
			t.Errorf("person(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"bob@example.com": "bob@example.com", "Bob": "Bob", "bob@example.com see evil.example": "", "https://evil.example@x": "",
	} {
		if got := inviter(in); got != want {
			t.Errorf("inviter(%q) = %q, want %q", in, got, want)
		}
	}
	if got := oneLine(strings.Repeat("ü", 500)); len([]rune(got)) != maxLine || !strings.HasSuffix(got, "…") {
		t.Errorf("a long name becomes %q", got)
	}
}

func TestRenderRefusesLinks(t *testing.T) {
	for link, ok := range map[string]bool{
		"":                            true,
		"https://example.com/x":       true,
		"http://localhost:3000/x":     true,
		"com.example.app://verify?t=": true,
		"javascript:alert(1)":         false,
		"data:text/html,x":            false,
		"file:///etc/passwd":          false,
		"mailto:x@example.com":        false,
		"/relative":                   false,
		"//example.com/":              false,
		"https://":                    false,
		"https://example.com/a b":     false,
		"https://example.com/\nx":     false,
		"https://example.com/\x00":    false,
	} {
		if _, err := Render(MagicLink, Data{Link: link}); (err == nil) != ok {
			t.Errorf("link %q: %v, want ok %v", link, err, ok)
		}
	}
	m := render(t, MagicLink, Data{Link: "com.example.app://verify?t=1"})
	if !strings.Contains(m.HTML, `href="com.example.app://verify?t=1"`) {
		t.Error("an application's own scheme is not in the HTML")
	}
	if _, err := Render("nonsense", Data{}); err == nil {
		t.Error("an unknown template renders")
	}
}

func TestColors(t *testing.T) {
	for in, want := range map[string][2]string{
		"#000000": {"#000000", "#ffffff"}, "#ffffff": {"#ffffff", "#111111"}, "#FFEE00": {"#FFEE00", "#111111"},
		"#2d5bff": {"#2d5bff", "#ffffff"}, "": {"#2d5bff", "#ffffff"}, "red": {"#2d5bff", "#ffffff"}, "#12345": {"#2d5bff", "#ffffff"},
	} {
		if c, ink := colors(in); string(c) != want[0] || string(ink) != want[1] {
			t.Errorf("colors(%q) = %s, %s; want %s, %s", in, c, ink, want[0], want[1])
		}
	}
}

func TestLasts(t *testing.T) {
	for in, want := range map[int]string{1: "1 minute", 15: "15 minutes", 60: "1 hour", 90: "90 minutes", 1440: "24 hours", 2880: "2 days", 10080: "7 days"} {
		if got := lasts(in); got != want {
			t.Errorf("lasts(%d) = %q, want %q", in, got, want)
		}
	}
}

func FuzzRender(f *testing.F) {
	f.Add("Demo", "Jane", "Bob", "123456")
	f.Add("<script>", "a\r\nb", "{{.Link}}", "\xff\x00")
	clean := map[Template]int{}
	for _, tm := range Templates {
		m, err := Render(tm, Data{ClientName: "x", Name: "x", Inviter: "x", Code: "x"})
		if err != nil {
			f.Fatal(err)
		}
		clean[tm] = strings.Count(m.HTML, "<")
	}
	f.Fuzz(func(t *testing.T, client, name, inviter, code string) {
		for _, tm := range Templates {
			m := render(t, tm, Data{ClientName: client, Name: name, Inviter: inviter, Code: code})
			if strings.ContainsFunc(m.Subject, unicode.IsControl) {
				t.Errorf("%s: subject %q", tm, m.Subject)
			}
			if n := strings.Count(m.HTML, "<"); n > clean[tm] {
				t.Errorf("%s: %d tags instead of %d", tm, n, clean[tm])
			}
		}
	})
}
