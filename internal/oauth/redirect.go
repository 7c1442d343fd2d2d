package oauth

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/client"
)

// redirectURI is where the browser goes back to: the URI that was given, if it
// is registered, byte for byte (RFC 9700 §2.1), or but for the port of a loopback
// address (RFC 8252 §7.3); without one, the only one there is. OpenID Connect and
// FAPI want it given. A refusal must not be redirected, for nobody knows where to.
func redirectURI(cl client.Client, given string, must bool) (string, *Error) {
	all := cl.Policy.RedirectURIs
	switch {
	case given == "" && must:
		return "", refuse(InvalidRequest, "redirect_uri is missing")
	case given == "" && len(all) != 1:
		return "", refuse(InvalidRequest, "redirect_uri is missing, and the application has not exactly one")
	case given == "":
		return all[0], nil
	case slices.Contains(all, given):
		return given, nil
	}
	for _, registered := range all {
		if !cl.Policy.FAPI() && sameLoopback(registered, given) {
			return given, nil
		}
	}
	e := refuse(InvalidRequest, "redirect_uri is not registered for this application")
	e.Detail = difference(all, given)
	return "", e
}

// sameLoopback reports whether two URIs differ in nothing but the port of a
// loopback host over http: a native application listens where it can.
func sameLoopback(registered, given string) bool {
	a, ok := cutPort(registered)
	b, ok2 := cutPort(given)
	return ok && ok2 && a == b
}

// cutPort takes the port out of a loopback URI. It works on the text: what a
// parser would make of an odd spelling is not what a browser would.
func cutPort(uri string) (string, bool) {
	for _, host := range []string{"http://127.0.0.1", "http://[::1]", "http://localhost"} {
		rest, ok := strings.CutPrefix(uri, host)
		if !ok {
			continue
		}
		if port, ok := strings.CutPrefix(rest, ":"); ok {
			end := strings.IndexFunc(port, func(r rune) bool { return r < '0' || r > '9' })
			if end < 0 {
				end = len(port)
			}
			if n, err := strconv.ParseUint(port[:end], 10, 16); err != nil || n == 0 {
				return "", false
			}
			rest = port[end:]
		}
		if rest != "" && rest[0] != '/' && rest[0] != '?' {
			return "", false
		}
		return host + rest, true
	}
	return "", false
}

// difference tells the operator where an unregistered URI differs from the
// registered one that is most like it.
func difference(registered []string, given string) string {
	if len(registered) == 0 {
		return fmt.Sprintf("got %q, but no redirect_uri is registered", short(given))
	}
	best, at := registered[0], -1
	for _, r := range registered {
		if n := common(r, given); n > at {
			best, at = r, n
		}
	}
	return fmt.Sprintf("got %q, registered is %q: they differ from character %d on", short(given), best, at+1)
}

// common is how many bytes two texts begin with alike.
func common(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// short bounds what is written to a log of a text that a stranger sent.
func short(s string) string {
	const most = 300
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
