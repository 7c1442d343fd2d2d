package wire

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/fault"
)

// retryDatabase is what a client is told to wait when the database could not
// do its work: a failover or a restart takes seconds.
const retryDatabase = 5 * time.Second

// Fault finds in err what the client may learn: a fault, or that we could not
// do it now and it may be tried again, which a lost or full database and a
// deadline that ran out come to. Everything else is for the log.
func Fault(err error) (*fault.Error, bool) {
	if f, ok := fault.From(err); ok {
		return f, true
	}
	if errors.Is(err, db.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		return &fault.Error{Code: fault.Unavailable, RetryAfter: retryDatabase, Err: err}, true
	}
	return nil, false
}

// Prefetch reports whether a browser asked on its own account, before anybody
// clicked (the Sec-Purpose header of WHATWG Fetch, and its forerunners). What
// such a request spends, the person has lost.
func Prefetch(r *http.Request) bool {
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Moz"} {
		v := strings.ToLower(r.Header.Get(name))
		if strings.Contains(v, "prefetch") || strings.Contains(v, "prerender") || strings.Contains(v, "preview") {
			return true
		}
	}
	return false
}

// scanners are words in the names of programs that open links which are not
// theirs: of mail gateways, chats and search engines.
var scanners = []string{
	"safelinks", "barracuda", "mimecast", "proofpoint", "urldefense", "symantec", "messagelabs", "fireeye", "trendmicro", "sophos",
	"googleimageproxy", "google-safety", "googlebot", "bingbot", "bingpreview", "yandexbot", "duckduckbot", "applebot", "yahoo",
	"slackbot", "slack-imgproxy", "discordbot", "telegrambot", "whatsapp", "twitterbot", "facebookexternalhit", "linkedinbot", "skypeuripreview",
	"crawler", "spider", "preview", "headlesschrome", "phantomjs", "virustotal", "urlscan",
}

// Looks reports whether a request only looks: HEAD, a browser that fetches ahead,
// or a program that is known to open links of mails before people do. What a
// page's script asks for is no such link, whatever browser runs it.
func Looks(r *http.Request) bool {
	if r.Method == http.MethodHead || Prefetch(r) {
		return true
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" && mode != "navigate" {
		return false
	}
	agent := strings.ToLower(r.UserAgent())
	return slices.ContainsFunc(scanners, func(word string) bool { return strings.Contains(agent, word) })
}
