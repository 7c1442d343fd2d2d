package accountmaker_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/rig"
)

// looks are requests for a mailed link that nobody made by clicking it: what mail
// gateways, chats, search engines and browsers that fetch ahead send.
var looks = []struct {
	name, method string
	header       map[string]string
}{
	{"HEAD", "HEAD", nil},
	{"HEAD of a browser", "HEAD", map[string]string{"Accept": "text/html"}},
	{"Chrome fetches ahead", "GET", map[string]string{"Sec-Purpose": "prefetch"}},
	{"Chrome renders ahead", "GET", map[string]string{"Sec-Purpose": "prefetch;prerender"}},
	{"Safari previews", "GET", map[string]string{"Purpose": "preview"}},
	{"an older Chrome", "GET", map[string]string{"Purpose": "prefetch"}},
	{"Firefox fetches ahead", "GET", map[string]string{"X-Moz": "prefetch"}},
	{"another person's browser", "GET", map[string]string{"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}},
	{"a frame", "GET", map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}},
	{"Microsoft Defender SafeLinks", "GET", agent("Mozilla/5.0 (Windows NT 10.0; Win64; x64) SafeLinks/1.0")},
	{"Barracuda", "GET", agent("Barracuda Sentinel (EE)")},
	{"Mimecast", "GET", agent("Mozilla/5.0 (compatible; Mimecast URL Protect)")},
	{"Proofpoint", "GET", agent("Mozilla/5.0 (compatible; ProofPoint URLDefense)")},
	{"Symantec", "GET", agent("Mozilla/5.0 (compatible; Symantec Email Security)")},
	{"FireEye", "GET", agent("FireEye-ETP/2.0")},
	{"Trend Micro", "GET", agent("Mozilla/4.0 (compatible; TrendMicro WTP)")},
	{"Sophos", "GET", agent("Sophos Time-of-Click Protection")},
	{"Gmail's proxy", "GET", agent("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)")},
	{"Google", "GET", agent("Mozilla/5.0 (compatible; Google-Safety; +http://www.google.com/bot.html)")},
	{"Bing", "GET", agent("Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/534 BingPreview/1.0b")},
	{"Yandex", "GET", agent("Mozilla/5.0 (compatible; YandexBot/3.0)")},
	{"Slack", "GET", agent("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)")},
	{"Discord", "GET", agent("Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)")},
	{"Telegram", "GET", agent("TelegramBot (like TwitterBot)")},
	{"WhatsApp", "GET", agent("WhatsApp/2.23.20.0 A")},
	{"Facebook", "GET", agent("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)")},
	{"LinkedIn", "GET", agent("LinkedInBot/1.0 (compatible; Mozilla/5.0)")},
	{"Skype", "GET", agent("Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5")},
	{"Apple", "GET", agent("Mozilla/5.0 (Macintosh) AppleWebKit/605 (Applebot/0.1)")},
	{"a headless Chrome", "GET", agent("Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/120.0")},
	{"urlscan", "GET", agent("Mozilla/5.0 (compatible; urlscan.io)")},
}

func agent(name string) map[string]string { return map[string]string{"User-Agent": name} }

var mailedToken = regexp.MustCompile(`token=([0-9a-f]{64})`)

// To look spends no link that signs in, accepts an invitation or proves an address
// (contract §1.1, §3.3, §3.15, §3.17).
func TestLooksSpendNothing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		demo := r.Client("Demo", func(c *client.Client) { policy(&c.Policy) })
		api := newAPI(t, r, func() client.ID { return demo.ID })
		r.Mount(api.Routes(), api.MethodNotAllowed)
		r.User("ada@example.com", "Ada", password, demo)
		srv := httptest.NewServer(r.Handler())
		defer srv.Close()

		mailed := func(to string) string {
			t.Helper()
			text, _ := r.Mail(to)
			m := mailedToken.FindStringSubmatch(text)
			if m == nil {
				t.Fatalf("no link was mailed to %s:\n%s", to, text)
			}
			return m[1]
		}
		if status, out := post(t, srv.URL+"/auth/send-magic-link", map[string]string{"email": "ada@example.com"}); status != http.StatusNoContent {
			t.Fatal(status, out)
		}
		login := mailed("ada@example.com")
		if status, out := post(t, srv.URL+"/auth/sign-up", map[string]string{"email": "new@example.com", "password": password}); status != http.StatusOK {
			t.Fatal(status, out)
		}
		proof := mailed("new@example.com")
		for _, look := range looks {
			for _, path := range []string{"/auth/sign-in-with-token?token=" + login, "/auth/accept-invite?token=" + login} {
				if status := glance(t, srv.URL+path, look.method, look.header); status != http.StatusOK && status != http.StatusNoContent {
					t.Errorf("%s: %s answered %d, want a page or nothing", look.name, path, status)
				}
			}
			if look.header["Accept"] == "" && look.header["Sec-Fetch-Mode"] == "" { // a person's own click proves an address
				glance(t, srv.URL+"/auth/verify?token="+proof, look.method, look.header)
			}
		}
		u, err := api.SignIn.CheckEmail(t.Context(), checkIn(demo.ID, "new@example.com"))
		if err != nil || !u.Active {
			t.Fatal(u, err)
		}
		if verified(t, r, "new@example.com") {
			t.Error("a look proved an address")
		}
		if status, out := post(t, srv.URL+"/auth/sign-in-with-token", map[string]string{"token": login}); status != http.StatusOK {
			t.Errorf("after all looks: %d %v, want 200", status, out)
		}
		if status, _ := post(t, srv.URL+"/auth/verify", map[string]string{"token": proof}); status != http.StatusNoContent || !verified(t, r, "new@example.com") {
			t.Errorf("the click itself: %d, want 204 and a proved address", status)
		}
	})
}

func glance(t *testing.T, url, method string, header map[string]string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	status, _ := send(t, req)
	return status
}
