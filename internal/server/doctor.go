package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/config"
	"sallyport/internal/db"
	"sallyport/internal/jwks"
	"sallyport/internal/yaml"
)

// Verdict is what came of one check.
type Verdict string

// The verdicts. A warning is something that works and is probably not meant.
const (
	OK   Verdict = "ok"
	Warn Verdict = "warn"
	Fail Verdict = "fail"
)

// Check is one thing that Doctor looked at. Detail is one sentence.
type Check struct {
	Name    string  `json:"name"`
	Verdict Verdict `json:"verdict"`
	Detail  string  `json:"detail"`
}

const (
	doctorTimeout = 5 * time.Second
	// Free space on the disk of an SQLite file.
	freeWarn = 1 << 30
	freeFail = 64 << 20
	// clockSlack is how far ahead of this machine's clock another node's may be.
	clockSlack = time.Minute
)

// doctor collects checks.
type doctor struct {
	cfg    config.Config
	now    time.Time
	checks []Check
}

func (d *doctor) add(name string, v Verdict, format string, args ...any) {
	d.checks = append(d.checks, Check{name, v, fmt.Sprintf(format, args...)})
}

// Doctor looks at everything that a server with this configuration needs, and
// changes nothing that lasts. now is the machine's clock.
func Doctor(ctx context.Context, c config.Config, now time.Time) []Check {
	d := &doctor{cfg: c, now: now}
	d.config()
	d.publicURL(ctx)
	d.root()
	d.clock()
	d.database(ctx)
	d.disk()
	d.mail(ctx)
	return d.checks
}

// Misconfigured is what Doctor finds where the configuration cannot be read:
// a failed check for each mistake in it.
func Misconfigured(err error) []Check {
	m, ok := errors.AsType[*yaml.Mistakes](err)
	if !ok {
		return []Check{{"configuration", Fail, err.Error()}}
	}
	var checks []Check
	for _, one := range m.List {
		checks = append(checks, Check{"configuration", Fail, one.String()})
	}
	return checks
}

func (d *doctor) config() {
	d.add("configuration", OK, "read from %s", d.cfg.Source)
	for _, w := range d.cfg.Warnings {
		d.add("configuration", Warn, "%s", w)
	}
}

func (d *doctor) publicURL(ctx context.Context) {
	u, err := url.Parse(d.cfg.PublicURL)
	if err != nil {
		d.add("public_url", Fail, "%v", err)
		return
	}
	host, _, err := net.SplitHostPort(d.cfg.Listen)
	switch {
	case client.Loopback(u.Hostname()):
		d.add("public_url", Warn, "%s is for this machine alone; set public_url to the address that people use", d.cfg.PublicURL)
		return
	case err == nil && !client.Loopback(host) && u.Scheme == "https":
		d.add("listen", Warn, "%s takes plain HTTP from other machines; let it listen on loopback behind a proxy that ends TLS, unless the network in between is trusted", d.cfg.Listen)
	}
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	if _, err := net.DefaultResolver.LookupHost(ctx, u.Hostname()); err != nil {
		d.add("public_url", Warn, "the name %s does not resolve from here: %v", u.Hostname(), err)
		return
	}
	d.add("public_url", OK, "%s", d.cfg.PublicURL)
}

// clock compares this machine's clock with the time at which the program was
// built, which has passed; keys compares it with other nodes'.
func (d *doctor) clock() {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if built, err := time.Parse(time.RFC3339, s.Value); s.Key == "vcs.time" && err == nil && d.now.Before(built) {
				d.add("clock", Fail, "it is %s here, before this program was written (%s)", d.now.UTC().Format(time.RFC3339), s.Value)
				return
			}
		}
	}
	d.add("clock", OK, "%s", d.now.UTC().Format(time.RFC3339))
}

func (d *doctor) database(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*doctorTimeout)
	defer cancel()
	if path, ok := sqlitePath(d.cfg); ok {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			d.add("database", Warn, "%s is not there yet; serve makes it", path)
			return
		}
	}
	base, err := OpenDB(ctx, d.cfg)
	if err != nil {
		d.add("database", Fail, "%v", err)
		return
	}
	defer base.Close()
	s, err := base.Schema(ctx)
	if err != nil {
		d.add("database", Fail, "cannot be reached: %v", err)
		return
	}
	if s.Fresh {
		d.add("database", Warn, "%s is reachable and empty; serve makes the schema", base.Engine())
		return
	}
	if err := CheckSchema(s); err != nil {
		d.add("database", Fail, "%v", err)
		return
	}
	start := time.Now()
	if err := base.Ping(ctx); err != nil {
		d.add("database", Fail, "cannot be written: %v", err)
		return
	}
	d.add("database", OK, "%s, schema %s, a durable write takes %s", base.Engine(), s.Applied[len(s.Applied)-1], time.Since(start).Round(10*time.Microsecond))
	d.keys(ctx, base)
}

// keys opens every signing key with the process key.
func (d *doctor) keys(ctx context.Context, base *db.DB) {
	k := &Keys{DB: base, Key: d.cfg.SecretKey, Now: func() time.Time { return d.now }}
	keys, err := k.Load(ctx)
	if err != nil {
		d.add("signing_keys", Fail, "%v", err)
		return
	}
	if missing := jwks.Missing(keys, keyAlgorithms...); len(missing) > 0 {
		d.add("signing_keys", Warn, "there is no key yet for %s; serve makes them", strings.Join(missing, ", "))
		return
	}
	for _, key := range keys {
		if key.CreatedAt.After(d.now.Add(clockSlack)) {
			d.add("clock", Fail, "signing key %s was made at %s, which is yet to come here: a node's clock is wrong", key.ID, key.CreatedAt.UTC().Format(time.RFC3339))
		}
	}
	for _, key := range jwks.Due(keys, d.now, keyAge+24*time.Hour) {
		d.add("signing_keys", Warn, "the %s key has signed since %s and should have been rotated; is a server running?", key.Alg, key.ActiveAt.UTC().Format(time.DateOnly))
	}
	d.add("signing_keys", OK, "%d keys open with secret_key", len(keys))
}

// sqlitePath is the file of an SQLite database.
func sqlitePath(c config.Config) (string, bool) {
	return strings.CutPrefix(c.Database.Reveal(), "sqlite:")
}

// disk looks at who may read an SQLite file and whether there is room for it.
func (d *doctor) disk() {
	path, ok := sqlitePath(d.cfg)
	if !ok {
		return
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
		d.add("database_file", Warn, "%s can be read by others (mode %04o); run: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	dir := filepath.Dir(path)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		d.add("database_file", Fail, "%s is not a directory, so the database cannot be made there", dir)
		return
	}
	free, err := freeBytes(dir)
	switch {
	case err != nil:
		d.add("disk", Warn, "cannot tell how much room there is in %s: %v", dir, err)
	case free < freeFail:
		d.add("disk", Fail, "%d MiB are free in %s; writes will soon fail", free>>20, dir)
	case free < freeWarn:
		d.add("disk", Warn, "%d MiB are free in %s", free>>20, dir)
	default:
		d.add("disk", OK, "%d MiB are free in %s", free>>20, dir)
	}
}

// mail connects to the mail server and waits for its greeting.
func (d *doctor) mail(ctx context.Context) {
	raw := d.cfg.Mail.Reveal()
	if raw == "log" {
		d.add("mail", Warn, "mails go to the log, links and codes included; set mail to an SMTP server")
		return
	}
	u, err := url.Parse(raw)
	if err != nil {
		d.add("mail", Fail, "the URL is malformed")
		return
	}
	if from, err := netmail.ParseAddress(d.cfg.MailFrom); err == nil && strings.HasSuffix(from.Address, "@example.com") && !client.Loopback(u.Hostname()) {
		d.add("mail", Warn, "mail_from is %s, which is nobody's; set it to an address of your own", from.Address)
	}
	greeting, err := smtpGreeting(ctx, u)
	if err != nil {
		d.add("mail", Fail, "%s does not answer as a mail server: %v", u.Host, err)
		return
	}
	d.add("mail", OK, "%s says %s", u.Host, greeting)
}

// smtpGreeting returns the first line of a mail server (RFC 5321 §4.2), which
// is 220 if it takes mail.
func smtpGreeting(ctx context.Context, u *url.URL) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "smtps":
		port = "465"
	case u.User != nil:
		port = "587"
	default:
		port = "25"
	}
	dial := (&net.Dialer{}).DialContext
	if u.Scheme == "smtps" {
		dial = (&tls.Dialer{Config: &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}}).DialContext
	}
	conn, err := dial(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if end, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(end); err != nil {
			return "", err
		}
	}
	line, err := bufio.NewReaderSize(conn, 512).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("no greeting: %w", err)
	}
	line = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, line)
	if !strings.HasPrefix(line, "220") {
		return "", fmt.Errorf("it says %q", line)
	}
	_, err = conn.Write([]byte("QUIT\r\n"))
	return line, err
}
