package config

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sallyport/internal/secret"
	"sallyport/internal/yaml"
)

var (
	testKey = strings.Repeat("0f", secret.KeySize)
	key     = "SALLYPORT_SECRET_KEY=" + testKey
)

// load reads file (no file if it is "") with an environment of its own.
func load(file string, env ...string) (Config, error) {
	return Load(Options{Environ: append(env, "IGNORED"), Read: func(path string) ([]byte, error) {
		if file == "" {
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}
		return []byte(file), nil
	}})
}

func TestDefaultsNeedOnlyAKey(t *testing.T) {
	c, err := load("", key)
	if err != nil {
		t.Fatal(err)
	}
	if c.SecretKey == nil {
		t.Error("got no secret key")
	}
	c.SecretKey = nil
	want := Config{
		Listen: "127.0.0.1:8080", PublicURL: "http://localhost:8080", Database: "sqlite:sallyport.db",
		Mail: "smtp://127.0.0.1:2525", MailFrom: "Sallyport <no-reply@example.com>",
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
		OutboundAllow:  []netip.Prefix{}, Hosts: map[string]string{}, Root: Surfaces,
		Log:    Log{Format: "json", Level: slog.LevelInfo},
		Source: "the environment (there is no sallyport.yaml here)",
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

func TestEnvironmentOverridesFile(t *testing.T) {
	file := `
listen: 127.0.0.1:1
public_url: https://Auth.example.com/
database: env:DB
secret_key: env:OTHER
mail: log
trusted_proxies: [10.1.2.3/8, "::1"]
outbound_allow: [192.168.0.0/16]
resolver: 127.0.0.53
hosts: {am.example.com: accountmaker}
root: [tofu]
metrics_listen: 127.0.0.1:9
hackillinois_private_listen: 10.0.0.1:8002
client_cert_header: x-client-cert
log: {format: text, level: debug}
`
	c, err := load(file, "DB=postgres://u:p@db/x", "OTHER="+testKey)
	if err != nil {
		t.Fatal(err)
	}
	c.SecretKey = nil
	want := Config{
		Listen: "127.0.0.1:1", PublicURL: "https://auth.example.com", Database: "postgres://u:p@db/x", Mail: "log",
		MailFrom:       "Sallyport <no-reply@example.com>",
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		ClientCert:     "X-Client-Cert",
		OutboundAllow:  []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16")},
		Resolver:       "127.0.0.53:53",
		Hosts:          map[string]string{"am.example.com": "accountmaker"},
		Root:           []string{"tofu"}, MetricsListen: "127.0.0.1:9", HackPrivate: "10.0.0.1:8002", Log: Log{"text", slog.LevelDebug}, Source: DefaultFile,
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("file: got  %+v\nwant %+v", c, want)
	}
	env := []string{
		key, "SALLYPORT_LISTEN=:80", "SALLYPORT_PUBLIC_URL=https://b.example", "SALLYPORT_DATABASE=sqlite:b.db",
		"SALLYPORT_MAIL=smtps://u:p@mail.example:465", "SALLYPORT_MAIL_FROM=a@b.example", "SALLYPORT_TRUSTED_PROXIES=10.0.0.1, 10.0.0.2",
		"SALLYPORT_OUTBOUND_ALLOW=127.0.0.0/8", `SALLYPORT_HOSTS={"Km.example.com:8443":"keymaster"}`, "SALLYPORT_ROOT=keymaster,tofu",
		"SALLYPORT_METRICS_LISTEN=:90", "SALLYPORT_HACKILLINOIS_PRIVATE_LISTEN=127.0.0.1:91", "SALLYPORT_CLIENT_CERT_HEADER=X-Cert", "SALLYPORT_RESOLVER=[::1]:5353", "SALLYPORT_LOG_FORMAT=json", "SALLYPORT_LOG_LEVEL=error",
	}
	if c, err = load(file, env...); err != nil {
		t.Fatal(err)
	}
	c.SecretKey = nil
	want = Config{
		Listen: ":80", PublicURL: "https://b.example", Database: "sqlite:b.db", Mail: "smtps://u:p@mail.example:465", MailFrom: "a@b.example",
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32"), netip.MustParsePrefix("10.0.0.2/32")},
		ClientCert:     "X-Cert",
		OutboundAllow:  []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Resolver:       "[::1]:5353",
		Hosts:          map[string]string{"km.example.com:8443": "keymaster"},
		Root:           []string{"keymaster", "tofu"}, MetricsListen: ":90", HackPrivate: "127.0.0.1:91", Log: Log{"json", slog.LevelError}, Source: DefaultFile,
	}
	// OTHER is not set here: the variable took secret_key's place.
	if !reflect.DeepEqual(c, want) {
		t.Errorf("environment: got  %+v\nwant %+v", c, want)
	}
	if c, err = load(file, append(env, "SALLYPORT_HOSTS=a.example=tofu, b2.example=keymaster")...); err != nil || len(c.Hosts) != 2 || c.Hosts["b2.example"] != "keymaster" {
		t.Errorf("hosts as a list: got %v, %v", c.Hosts, err)
	}
}

func TestEveryMistakeIsReportedAtOnce(t *testing.T) {
	_, err := load(`listen: nowhere
public_url: http://auth.example.com
database: mysql://u:hunter2@h/x
mail: [a]
trusted_proxys: []
trusted_proxies:
  - 10.0.0.0/8
  - 10.0.0.0/40
hosts:
  auth.example.com: keymaster
  am.example.com: accountmakr
  "not a host": tofu
root: [keymaster, pages,
  keymaster]
log:
  format: xml
`, "SALLYPORT_LOG_LEVEL=loud", "SALLYPORT_OUTBOUND_ALLOW=10.0.0.1,intranet", "SALLYPORT_MAIL_FROM=nobody")
	if all, ok := errors.AsType[*yaml.Mistakes](err); !ok || len(all.List) < 10 {
		t.Fatalf("got %v, want *yaml.Mistakes", err)
	}
	want := `sallyport.yaml:1: listen: "nowhere" is not an address to listen on; write it like 127.0.0.1:8080 or :8080
sallyport.yaml:2: public_url: must be https, because auth.example.com is not this machine; http is for loopback hosts
sallyport.yaml:3: database: must be sqlite:PATH or postgres://user@host:5432/name
sallyport.yaml:4: mail: must be text, not a list
sallyport.yaml:5: trusted_proxys: unknown key; did you mean "trusted_proxies"?
sallyport.yaml:8: trusted_proxies[1]: "10.0.0.0/40" is not a network like 10.0.0.0/8 or an address
sallyport.yaml:10: hosts["auth.example.com"]: is the host of public_url, whose root serves every surface; put keymaster first in root instead
sallyport.yaml:11: hosts["am.example.com"]: "accountmakr" is not a surface; there are oidc, pages, console, admin, keymaster, accountmaker, snooplytics, tofu, hackillinois
sallyport.yaml:12: hosts["not a host"]: "not a host" is not a host name like auth.example.com
sallyport.yaml:13: root[1]: "pages" is not a surface with a place at the root; there are keymaster, accountmaker, snooplytics, tofu, hackillinois
sallyport.yaml:14: root[2]: "keymaster" is in the list twice
sallyport.yaml:16: log.format: "xml" is not a format; use json or text
default: secret_key: the environment variable SALLYPORT_SECRET_KEY is not set; it is 32 random bytes that seal what the database holds: openssl rand -base64 32
environment variable SALLYPORT_OUTBOUND_ALLOW: outbound_allow[1]: "intranet" is not a network like 10.0.0.0/8 or an address
environment variable SALLYPORT_MAIL_FROM: mail_from: "nobody" is not an address like "Name <name@example.com>"
environment variable SALLYPORT_LOG_LEVEL: log.level: "loud" is not a level; use debug, info, warn or error`
	if got := err.Error(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct{ name, file, env, want string }{
		{"resolver by name", "resolver: dns.example.com\n", "", `"dns.example.com" is not the address of a DNS server`},
		{"syntax", "listen: [", "", "sallyport.yaml:1: not valid YAML"},
		{"number for text", "database: 12", "", `sallyport.yaml:1: database: must be text; put 12 in quotes`},
		{"port too large", "listen: 127.0.0.1:70000", "", "listen: "},
		{"no port", "metrics_listen: 127.0.0.1", "", "metrics_listen: "},
		{"header of everybody", "client_cert_header: Authorization", "", `"Authorization" is not a header for this`},
		{"header that is none", "client_cert_header: X-Client Cert", "", "is not a header for this"},
		{"one address for two listeners, again", "listen: :80\nhackillinois_private_listen: :80", "", "sallyport.yaml:2: hackillinois_private_listen: is the address of another listener"},
		{"one address for two listeners", "listen: :80\nmetrics_listen: :80", "", "sallyport.yaml:2: metrics_listen: is the address that listen has"},
		{"URL with path", "public_url: https://a.example/auth", "", "must be scheme and host only, like https://a.example"},
		{"URL with query", "public_url: https://a.example/?a", "", "must be scheme and host only"},
		{"URL with user", "public_url: https://u@a.example", "", "must be scheme and host only"},
		{"URL without host", "public_url: https://", "", "is not an absolute URL"},
		{"URL of another scheme", "public_url: ftp://a.example", "", "is not an absolute URL"},
		{"SQLite without path", "database: 'sqlite:'", "", "needs a path"},
		{"SQLite as URL", "database: sqlite:///tmp/x.db", "", "write the path right after sqlite:"},
		{"variable not set", "database: env:NONE", "", "sallyport.yaml:1: database: the environment variable NONE is not set"},
		{"file not there", "database: file:/nonexistent/secret", "", "sallyport.yaml:1: database: cannot read a secret's file"},
		{"short key", "secret_key: abcdef", "SALLYPORT_SECRET_KEY=", "must be 32 random bytes as base64 or hex"},
		{"short key in variable", "", "SALLYPORT_SECRET_KEY=abcdef", "environment variable SALLYPORT_SECRET_KEY: secret_key: must be 32 random bytes"},
		{"mail without host", "mail: 'smtp://'", "", "names no host; it is smtp://host:port"},
		{"mail of another scheme", "mail: https://u:hunter2@a.example", "", "must begin with smtp:// or smtps://"},
		{"mail with half a sign-in", "mail: smtp://user@a.example", "", "a user without password"},
		{"hosts in JSON of another shape", "", `SALLYPORT_HOSTS={"a":1}`, "environment variable SALLYPORT_HOSTS: hosts: must be a JSON object of texts"},
		{"hosts without surface", "", "SALLYPORT_HOSTS=a.example", "hosts: must be a list like"},
		{"host with path", "", "SALLYPORT_HOSTS=a.example/x=tofu", "is not a host name"},
		{"host in two cases", "hosts: {A.example: tofu, a.example: tofu}", "", "is given twice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := load(c.file, key, c.env)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a secret is printed: %v", err)
			}
			if err != nil && strings.Count(err.Error(), "\n") > 0 {
				t.Errorf("got more than one mistake:\n%v", err)
			}
		})
	}
}

func TestPublicURLIsHTTPUnlessLoopback(t *testing.T) {
	for url, ok := range map[string]bool{
		"http://localhost:1": true, "http://app.localhost": true, "http://127.0.0.2:8080": true, "http://[::1]:80": true,
		"http://10.0.0.1": false, "http://localhost.example": false, "https://10.0.0.1:8443": true,
	} {
		if _, err := load("", key, "SALLYPORT_PUBLIC_URL="+url); (err == nil) != ok {
			t.Errorf("%s: got %v, want accepted %v", url, err, ok)
		}
	}
}

func TestSecretKeyForms(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	if err := os.WriteFile(path, []byte(testKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{
		testKey, strings.ToUpper(testKey), "Dw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8=", "Dw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8",
		"file:" + path,
	} {
		c, err := load("", "SALLYPORT_SECRET_KEY="+value)
		if err != nil {
			t.Errorf("%s: %v", value, err)
			continue
		}
		want, err := secret.NewKey([]byte(strings.Repeat("\x0f", secret.KeySize)))
		if err != nil {
			t.Fatal(err)
		}
		if !secret.Equal(c.SecretKey.MAC("x"), want.MAC("x")) {
			t.Errorf("%s: got another key", value)
		}
	}
	if _, err := load("", "SALLYPORT_SECRET_KEY="+strings.Repeat("k", secret.KeySize)); err != nil {
		t.Errorf("32 raw characters: %v", err)
	}
}

func TestWarnings(t *testing.T) {
	c, err := load("secret_key: "+testKey+"\ndatabase: postgres://u:hunter2@h/x\nmail: smtp://u:hunter2@h:25\ntrusted_proxies: [0.0.0.0/0]\n",
		"SALLYPORT_PUBLICURL=https://a.example", "SALLYPORT_PORT=tcp://10.0.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"environment variable SALLYPORT_PUBLICURL: is not a setting and is ignored; did you mean SALLYPORT_PUBLIC_URL?",
		"sallyport.yaml:2: database: holds a secret as plain text; write env:NAME or file:PATH instead",
		"sallyport.yaml:1: secret_key: holds a secret as plain text; write env:NAME or file:PATH instead",
		"sallyport.yaml:3: mail: holds a secret as plain text; write env:NAME or file:PATH instead",
		"sallyport.yaml:4: trusted_proxies: 0.0.0.0/0 lets everybody claim any client address, which disarms the limits per address",
	}
	if !reflect.DeepEqual(c.Warnings, want) {
		t.Errorf("got  %q\nwant %q", c.Warnings, want)
	}
	for _, s := range append(c.Warnings, fmt.Sprintf("%+v %#v", c, c)) {
		if strings.Contains(s, "hunter2") || strings.Contains(s, testKey) {
			t.Errorf("a secret is printed: %s", s)
		}
	}
	if c, err = load("", key, "SALLYPORT_MAIL=smtp://u:p@h:25"); err != nil || len(c.Warnings) != 0 {
		t.Errorf("secrets in the environment: got %q, %v; want no warning", c.Warnings, err)
	}
}

func TestNamedFileMustExist(t *testing.T) {
	path := filepath.Join(t.TempDir(), "absent.yaml")
	if _, err := Load(Options{File: path, Environ: []string{key}}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want an error naming %s", err, path)
	}
	if _, err := load("", key); err != nil {
		t.Errorf("default file absent: %v", err)
	}
}
