package config

import (
	"encoding/base64"
	"encoding/hex"
	"log/slog"
	"maps"
	"net"
	netmail "net/mail"
	"net/netip"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/client"
	"sallyport/internal/mail"
	"sallyport/internal/reference"
	"sallyport/internal/secret"
	"sallyport/internal/yaml"
)

// check turns the settings into a Config, and finds everything wrong with them
// on the way. A setting that the reader already refused keeps its default here,
// so one mistake is told once.
func (l *loader) check() (Config, error) {
	s := l.settings
	c := Config{
		Listen:         l.address("listen", s.Listen),
		PublicURL:      l.publicURL(s.PublicURL),
		Database:       l.database(s.Database),
		SecretKey:      l.secretKey(s.SecretKey),
		Mail:           l.mail(s.Mail),
		MailFrom:       s.MailFrom,
		TrustedProxies: l.prefixes("trusted_proxies", s.TrustedProxies),
		ClientCert:     l.header("client_cert_header", s.ClientCert),
		OutboundAllow:  l.prefixes("outbound_allow", s.OutboundAllow),
		Hosts:          l.hosts(s.Hosts, s.PublicURL),
		Root:           l.root(s.Root),
		Log:            Log{Format: s.Log.Format},
		Source:         l.source,
	}
	if _, err := netmail.ParseAddress(s.MailFrom); err != nil {
		l.mistake("mail_from", `%q is not an address like "Name <name@example.com>"`, s.MailFrom)
	}
	if s.MetricsListen != "" {
		c.MetricsListen = l.address("metrics_listen", s.MetricsListen)
		if c.MetricsListen == c.Listen && !strings.HasSuffix(c.Listen, ":0") {
			l.mistake("metrics_listen", "is the address that listen has; leave it out to have both on one listener")
		}
	}
	if s.Resolver != "" {
		c.Resolver = l.resolver("resolver", s.Resolver)
	}
	if s.HackPrivate != "" {
		c.HackPrivate = l.privateAddress("hackillinois_private_listen", s.HackPrivate, c.Listen, c.MetricsListen)
	}
	for _, p := range c.TrustedProxies {
		if p.Bits() == 0 {
			l.warn("trusted_proxies", "%s lets everybody claim any client address, which disarms the limits per address", p)
		}
	}
	if f := s.Log.Format; f != "json" && f != "text" {
		l.mistake("log.format", "%q is not a format; use json or text", f)
	}
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	level, ok := levels[s.Log.Level]
	if !ok {
		l.mistake("log.level", "%q is not a level; use debug, info, warn or error", s.Log.Level)
	}
	c.Log.Level, c.Warnings = level, l.warnings
	if err := l.err(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// header checks the name of a header that only a proxy may set: one of its own,
// so that it takes nothing away from requests without a proxy.
func (l *loader) header(path, given string) string {
	name := textproto.CanonicalMIMEHeaderKey(given)
	if given != "" && (!strings.HasPrefix(name, "X-") || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "") {
		l.mistake(path, "%q is not a header for this; use one like X-Client-Cert, and have the proxy set it on every request", given)
	}
	return name
}

// address checks host:port.
func (l *loader) address(path, given string) string {
	_, port, err := net.SplitHostPort(given)
	if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || n > 65535 {
		l.mistake(path, "%q is not an address to listen on; write it like 127.0.0.1:8080 or :8080", given)
	}
	return given
}

// resolver checks the address of a DNS server, whose port may be left out.
func (l *loader) resolver(path, given string) string {
	host, port, err := net.SplitHostPort(given)
	if err != nil {
		host, port = strings.Trim(given, "[]"), "53"
	}
	_, perr := strconv.ParseUint(port, 10, 16)
	if _, err := netip.ParseAddr(host); err != nil || perr != nil {
		l.mistake(path, "%q is not the address of a DNS server; write it like 127.0.0.1 or 127.0.0.1:53", given)
	}
	return net.JoinHostPort(host, port)
}

func (l *loader) publicURL(given string) string {
	u, err := url.Parse(given)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		l.mistake("public_url", "%q is not an absolute URL like https://auth.example.com", given)
		return ""
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.User != nil:
		l.mistake("public_url", "must be scheme and host only, like %s://%s", u.Scheme, u.Host)
	case u.Scheme == "http" && !client.Loopback(u.Hostname()):
		l.mistake("public_url", "must be https, because %s is not this machine; http is for loopback hosts", u.Hostname())
	}
	return u.Scheme + "://" + strings.ToLower(u.Host)
}

// resolve looks up a setting that may be a reference, and warns of a secret that
// stands in the file itself. holds tells whether the value holds a secret.
func (l *loader) resolve(path, given string, holds func(value string) bool) (string, bool) {
	value, kind, err := l.refs.Resolve(given)
	if err != nil {
		l.mistake(path, "%v", err)
		return "", false
	}
	if _, byEnv := l.from[path]; kind == reference.Literal && !byEnv && holds(value) {
		l.warn(path, "holds a secret as plain text; write env:NAME or file:PATH instead")
	}
	return value, true
}

func (l *loader) secretKey(given string) *secret.Key {
	if _, set := l.env.lookup(keyVariable); given == defaults().SecretKey && !set {
		l.mistake("secret_key", "the environment variable %s is not set; it is %d random bytes that seal what the database holds: openssl rand -base64 %[2]d", keyVariable, secret.KeySize)
		return nil
	}
	value, ok := l.resolve("secret_key", given, func(string) bool { return true })
	if !ok {
		return nil
	}
	b := keyBytes(value)
	if b == nil {
		l.mistake("secret_key", "must be %d random bytes as base64 or hex; make one with: openssl rand -base64 %d", secret.KeySize, secret.KeySize)
		return nil
	}
	key, err := secret.NewKey(b)
	if err != nil {
		l.mistake("secret_key", "%v", err)
	}
	return key
}

// keyBytes reads the process key as hex, base64 (any of its four alphabets and
// paddings) or, at exactly its length, as it is.
func keyBytes(s string) []byte {
	if len(s) == secret.KeySize {
		return []byte(s)
	}
	decoders := []func(string) ([]byte, error){
		hex.DecodeString,
		base64.StdEncoding.DecodeString, base64.RawStdEncoding.DecodeString,
		base64.URLEncoding.DecodeString, base64.RawURLEncoding.DecodeString,
	}
	for _, decode := range decoders {
		if b, err := decode(s); err == nil && len(b) == secret.KeySize {
			return b
		}
	}
	return nil
}

// hasPassword reports whether a URL carries a password.
func hasPassword(value string) bool {
	u, err := url.Parse(value)
	if err != nil {
		return false
	}
	_, has := u.User.Password()
	return has || u.Query().Has("password")
}

func (l *loader) database(given string) secret.Value {
	value, ok := l.resolve("database", given, hasPassword)
	if !ok {
		return ""
	}
	path, sqlite := strings.CutPrefix(value, "sqlite:")
	u, err := url.Parse(value)
	switch {
	case sqlite && path == "":
		l.mistake("database", "needs a path, as in sqlite:sallyport.db")
	case sqlite && strings.HasPrefix(path, "//"):
		l.mistake("database", "write the path right after sqlite:, as in sqlite:/var/lib/sallyport/sallyport.db")
	case sqlite:
	case err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql":
		// Not repeated: it may hold a password.
		l.mistake("database", "must be sqlite:PATH or postgres://user@host:5432/name")
	}
	return secret.Value(value)
}

func (l *loader) mail(given string) secret.Value {
	value, ok := l.resolve("mail", given, hasPassword)
	if !ok || value == "log" {
		return secret.Value(value)
	}
	if _, err := mail.NewSMTP(value, defaults().MailFrom); err != nil {
		l.mistake("mail", "%s; it is smtp://host:port, smtps://user:password@host:port, or log", strings.TrimPrefix(err.Error(), "mail: "))
	}
	return secret.Value(value)
}

func (l *loader) prefixes(path string, given []string) []netip.Prefix {
	list := make([]netip.Prefix, 0, len(given))
	for i, text := range given {
		p, err := netip.ParsePrefix(text)
		if a, aerr := netip.ParseAddr(text); aerr == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			l.mistake(yaml.Index(path, i), "%q is not a network like 10.0.0.0/8 or an address", text)
			continue
		}
		list = append(list, p.Masked())
	}
	return list
}

func (l *loader) hosts(given map[string]string, publicURL string) map[string]string {
	hosts := map[string]string{}
	public := ""
	if u, err := url.Parse(publicURL); err == nil {
		public = strings.ToLower(u.Host)
	}
	for _, host := range slices.Sorted(maps.Keys(given)) {
		path, surface := yaml.Key("hosts", host), given[host]
		name := strings.ToLower(host)
		u, err := url.Parse("https://" + name)
		switch {
		case err != nil || u.Host != name || u.Hostname() == "":
			l.mistake(path, "%q is not a host name like auth.example.com", host)
		case hosts[name] != "":
			l.mistake(path, "is given twice, in different case")
		case name == public:
			l.mistake(path, "is the host of public_url, whose root serves every surface; put %s first in root instead", surface)
		case !slices.Contains(hosted, surface):
			l.mistake(path, "%q is not a surface; there are %s", surface, strings.Join(hosted, ", "))
		}
		hosts[name] = surface
	}
	return hosts
}

func (l *loader) root(given []string) []string {
	for i, surface := range given {
		path := yaml.Index("root", i)
		switch {
		case !slices.Contains(Surfaces, surface):
			l.mistake(path, "%q is not a surface with a place at the root; there are %s", surface, strings.Join(Surfaces, ", "))
		case slices.Contains(given[:i], surface):
			l.mistake(path, "%q is in the list twice", surface)
		}
	}
	return given
}

// privateAddress is an address for a listener of its own, on a network that the
// world cannot reach.
func (l *loader) privateAddress(path, given string, others ...string) string {
	address := l.address(path, given)
	if slices.Contains(others, address) && !strings.HasSuffix(address, ":0") {
		l.mistake(path, "is the address of another listener; it needs one of its own")
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil || host == "localhost" {
		return address
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() && !ip.IsPrivate() {
		l.warn(path, "%s may be reached from outside; give a loopback or private address", address)
	}
	return address
}
