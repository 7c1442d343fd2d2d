package mail

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"sallyport/internal/secret"
)

// server is where and how mail is handed over, read from a URL.
type server struct {
	host     string
	port     int
	implicit bool // TLS from the first byte
	starttls bool // STARTTLS is demanded; otherwise it is used if offered
	loopback bool // the connection does not leave the machine
	user     string
	password secret.Value
}

// parseServer reads smtp://[user:password@]host[:port][?starttls=required|optional]
// or smtps://…. Without a port it is 465 for smtps, 587 for smtp with a user
// and 25 for smtp without. Over smtp STARTTLS is required, but for a loopback
// host. Its errors show the URL without the password.
func parseServer(raw string) (server, error) {
	fail := func(format string, args ...any) (server, error) {
		return server{}, fmt.Errorf("mail: %q: %s", redact(raw), fmt.Sprintf(format, args...))
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return fail("not a URL") // url's own error quotes all of it
	case u.Scheme != "smtp" && u.Scheme != "smtps":
		return fail("must begin with smtp:// or smtps://")
	case u.Hostname() == "":
		return fail("names no host")
	case u.Opaque != "" || strings.Trim(u.Path, "/") != "" || strings.Contains(raw, "#"):
		return fail("has more than a host; encode such characters of user and password as %%XX")
	}
	s := server{host: u.Hostname(), implicit: u.Scheme == "smtps", loopback: isLoopback(u.Hostname())}
	s.starttls = !s.implicit && !s.loopback
	if u.User != nil {
		password, ok := u.User.Password()
		if !ok || password == "" || u.User.Username() == "" {
			return fail("has a user without password, or a password without user")
		}
		s.user, s.password = u.User.Username(), secret.Value(password)
	}
	if s.port, err = port(u, s); err != nil {
		return fail("%v", err)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fail("has a malformed query")
	}
	for name, values := range query {
		switch {
		case name != "starttls" || len(values) != 1:
			return fail("has an unknown or repeated parameter %q", name)
		case s.implicit:
			return fail("starttls means nothing with smtps://")
		case values[0] == "required":
			s.starttls = true
		case values[0] == "optional" && s.user != "" && !s.loopback:
			return fail("starttls=optional would send the password to anybody in between")
		case values[0] == "optional":
			s.starttls = false
		default:
			return fail("starttls must be required or optional")
		}
	}
	return s, nil
}

func port(u *url.URL, s server) (int, error) {
	switch p := u.Port(); {
	case p != "" || strings.HasSuffix(u.Host, ":"):
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return 0, fmt.Errorf("port must be 1 to 65535")
		}
		return int(n), nil
	case s.implicit:
		return 465, nil
	case s.user != "":
		return 587, nil
	}
	return 25, nil
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && a.Unmap().IsLoopback()
}

// redact is raw with what may be a password hidden, whether or not raw is a URL.
func redact(raw string) string {
	at := strings.LastIndex(raw, "@")
	if at < 0 {
		return raw
	}
	start := 0
	if i := strings.Index(raw[:at], "://"); i >= 0 {
		start = i + len("://")
	}
	user, _, _ := strings.Cut(raw[start:at], ":")
	return raw[:start] + user + ":xxxxx" + raw[at:]
}
