package hackillinois_test

import (
	"net/http"
	"strings"
	"testing"

	"sallyport/internal/db/dbtest"
)

func TestW20LimitsHaveTheShapeOfErrors(t *testing.T) {
	s := newSite(t, dbtest.SQLite(t))
	token := s.login("github", "")
	for about, ask := range map[string]func() (int, http.Header, string){
		"4.1": func() (int, http.Header, string) {
			w := s.ask("GET", "/auth/linkedin/", "")
			return w.Code, w.Header(), w.Body.String()
		},
		"4.2": func() (int, http.Header, string) {
			w := s.redeem("linkedin", "x", "")
			return w.Code, w.Header(), w.Body.String()
		},
		"4.7": func() (int, http.Header, string) {
			w := s.get("/auth/token/refresh/", token)
			return w.Code, w.Header(), w.Body.String()
		},
	} {
		n := 0
		for ; n < 1000; n++ {
			status, header, body := ask()
			if status != http.StatusTooManyRequests {
				continue
			}
			if header.Get("Retry-After") == "" || body != `{"status":429,"type":"RATE_LIMIT_ERROR","message":"Too many requests."}`+"\n" {
				t.Errorf("%s: %v %s", about, header, body)
			}
			break
		}
		if n < 100 || n == 1000 {
			t.Errorf("%s: refused after %d", about, n)
		}
	}
}

func TestW21AnyOriginNeverWithCredentials(t *testing.T) {
	s := newSite(t, dbtest.SQLite(t))
	token := s.login("github", "")
	for _, origin := range []string{"https://hackillinois.org", "https://evil.example", "null", ""} {
		headers := []string{"Origin", origin}
		if origin == "" {
			headers = nil
		}
		for _, w := range []http.Header{
			s.get("/auth/roles/", token, headers...).Header(), s.get("/auth/roles/", "", headers...).Header(),
			s.ask("POST", "/auth/code/github/", "{}", headers...).Header(), s.ask("OPTIONS", "/auth/roles/", "", headers...).Header(),
		} {
			if w.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("origin %q: credentials", origin)
			}
			if got := w.Get("Access-Control-Allow-Origin"); got != origin && got != "*" {
				t.Errorf("origin %q: allowed %q", origin, got)
			}
			if w.Get("Access-Control-Allow-Origin") != "*" && w.Get("Vary") != "Origin" {
				t.Errorf("origin %q: Vary %q", origin, w.Get("Vary"))
			}
		}
	}
	if c := s.redeem("github", s.code("github", "", ""), "").Header().Get("Set-Cookie"); c != "" {
		t.Errorf("a cookie where there is none: %s", c)
	}
}

func TestW22CodesAndTokensAreNotKeptOnTheWay(t *testing.T) {
	s := newSite(t, dbtest.SQLite(t))
	location, cookie := s.begin("github", "")
	for about, h := range map[string]http.Header{
		"4.1":      s.ask("GET", "/auth/github/", "").Header(),
		"callback": s.ask("GET", s.choose("github", location, ""), "", "Cookie", cookie).Header(),
		"4.2":      s.redeem("github", s.code("github", "", ""), "").Header(),
		"4.7":      s.get("/auth/token/refresh/", s.login("github", "")).Header(),
		"refused":  s.redeem("github", "x", "").Header(),
	} {
		if h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", about, h)
		}
	}
	if c := s.ask("GET", "/auth/github/", "").Header().Get("Set-Cookie"); !strings.HasPrefix(c, "__Host-") || !strings.Contains(c, "; Secure") || !strings.Contains(c, "; HttpOnly") || !strings.Contains(c, "; SameSite=Lax") || !strings.Contains(c, "Path=/;") {
		t.Errorf("the binding cookie is %s", c)
	}
}
