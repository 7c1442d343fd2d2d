package outbound

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// lifetime is for how long an answer is kept (RFC 9111 §4.2.1): as long as a
// shared cache may, between a minute and a day. One that must not be stored is
// kept for the minute all the same, because a document that is read for every
// request of a stranger is a weapon in the stranger's hand.
func lifetime(h http.Header) time.Duration {
	directives := cacheControl(h)
	seconds := func(name string) (time.Duration, bool) {
		n, err := strconv.ParseUint(directives[name], 10, 31)
		return time.Duration(n) * time.Second, err == nil
	}
	_, noStore := directives["no-store"]
	_, noCache := directives["no-cache"]
	_, private := directives["private"]
	if noStore || noCache || private {
		return keepAtLeast
	}
	keep, ok := seconds("s-maxage")
	if !ok {
		keep, ok = seconds("max-age")
	}
	if !ok {
		keep, ok = expires(h)
	}
	if !ok {
		return keepByDefault
	}
	if age, err := strconv.ParseUint(h.Get("Age"), 10, 31); err == nil {
		keep -= time.Duration(age) * time.Second
	}
	return min(max(keep, keepAtLeast), keepAtMost)
}

// expires is the Expires header against the Date header, by the clock of the
// one who sent both.
func expires(h http.Header) (time.Duration, bool) {
	if h.Get("Expires") == "" {
		return 0, false
	}
	until, err := http.ParseTime(h.Get("Expires"))
	if err != nil {
		return 0, true // an invalid date means that it has expired (RFC 9111 §5.3)
	}
	date, err := http.ParseTime(h.Get("Date"))
	return until.Sub(date), err == nil
}

// cacheControl reads the directives by their names in lower case; of one that
// comes twice, the first counts.
func cacheControl(h http.Header) map[string]string {
	all := map[string]string{}
	for part := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if name = strings.ToLower(name); name == "" {
			continue
		}
		if _, twice := all[name]; !twice {
			all[name] = strings.Trim(value, `"`)
		}
	}
	return all
}
