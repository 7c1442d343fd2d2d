// Package config owns the settings of a server process: where they come from,
// what they default to, and whether they make sense together. It does not own
// what is kept in the database: clients, upstreams and the settings of surfaces
// are resources (package resource).
//
//	defaults ◀── file (sallyport.yaml) ◀── environment (SALLYPORT_…)
//	                      │
//	             check: all mistakes at once, each with the place it was read from
//
// Every key of the file is also an environment variable: listen is
// SALLYPORT_LISTEN, log.level is SALLYPORT_LOG_LEVEL. Lists are written with
// commas, hosts as JSON or as name=surface,name=surface. A variable that is
// empty is as if it were not set.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"

	"sallyport/internal/reference"
	"sallyport/internal/secret"
	"sallyport/internal/yaml"
)

// DefaultFile is the file that is read, if it exists, when none is named.
const DefaultFile = "sallyport.yaml"

// Surfaces are the APIs that have settings here, in the order in which they
// claim paths at the root.
var Surfaces = []string{"keymaster", "accountmaker", "snooplytics", "tofu", "hackillinois"}

// hosted are what a host may be given to.
var hosted = append([]string{"oidc", "pages", "console", "admin"}, Surfaces...)

// Config is the checked configuration of one process. Secrets print nothing.
type Config struct {
	Listen         string // host:port
	PublicURL      string // scheme://host[:port], no slash at the end
	Database       secret.Value
	SecretKey      *secret.Key
	Mail           secret.Value // an SMTP URL, or "log"
	MailFrom       string
	TrustedProxies []netip.Prefix
	ClientCert     string // header in which a trusted proxy names the client's certificate, or ""
	OutboundAllow  []netip.Prefix
	Resolver       string            // host:port of the DNS server that proofs of domains are looked for with, or "" for the system's
	Hosts          map[string]string // host, with its port if that matters, in lower case → surface
	Root           []string
	MetricsListen  string // host:port, or "" for the main listener
	// HackPrivate is where HackIllinois' sibling services ask: host:port, or "" for nowhere.
	HackPrivate string
	Log         Log

	// Source names where the settings were read, for messages.
	Source string
	// Warnings are what is allowed but probably not meant, one sentence each.
	Warnings []string
}

// Log is how the process logs.
type Log struct {
	Format string // "json" or "text"
	Level  slog.Level
}

// settings is the file's form.
type settings struct {
	Listen         string            `yaml:"listen"`
	PublicURL      string            `yaml:"public_url"`
	Database       string            `yaml:"database"`
	SecretKey      string            `yaml:"secret_key"`
	Mail           string            `yaml:"mail"`
	MailFrom       string            `yaml:"mail_from"`
	TrustedProxies []string          `yaml:"trusted_proxies"`
	ClientCert     string            `yaml:"client_cert_header"`
	OutboundAllow  []string          `yaml:"outbound_allow"`
	Resolver       string            `yaml:"resolver"`
	Hosts          map[string]string `yaml:"hosts"`
	Root           []string          `yaml:"root"`
	MetricsListen  string            `yaml:"metrics_listen"`
	HackPrivate    string            `yaml:"hackillinois_private_listen"`
	Log            struct {
		Format string `yaml:"format"`
		Level  string `yaml:"level"`
	} `yaml:"log"`
}

func defaults() settings {
	s := settings{
		Listen:         "127.0.0.1:8080",
		PublicURL:      "http://localhost:8080",
		Database:       "sqlite:sallyport.db",
		SecretKey:      "env:" + keyVariable,
		Mail:           "smtp://127.0.0.1:2525",
		MailFrom:       "Sallyport <no-reply@example.com>",
		TrustedProxies: []string{"127.0.0.1/32"},
		Root:           slices.Clone(Surfaces),
	}
	s.Log.Format, s.Log.Level = "json", "info"
	return s
}

// Options says where to read. The zero value reads DefaultFile if it is there,
// and this process's environment.
type Options struct {
	File    string                            // --config; it must exist
	Environ []string                          // as os.Environ, which nil stands for
	Read    func(path string) ([]byte, error) // nil: os.ReadFile
}

// Load reads and checks the configuration. The error is *yaml.Mistakes with
// everything that is wrong, or says why the file cannot be read.
func Load(o Options) (Config, error) {
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
	if o.Read == nil {
		o.Read = os.ReadFile
	}
	l := loader{settings: defaults(), env: environment(o.Environ), from: map[string]string{}}
	l.refs = reference.Source{Getenv: l.env.lookup, ReadFile: reference.System.ReadFile}
	file := o.File
	if file == "" {
		file = DefaultFile
	}
	data, err := o.Read(file)
	switch {
	case err == nil:
		l.source = file
	case o.File == "" && errors.Is(err, fs.ErrNotExist):
		l.source = "the environment (there is no " + DefaultFile + " here)"
	default:
		return Config{}, fmt.Errorf("cannot read the configuration: %w", err)
	}
	// Decode's mistakes stay in the document, where the checks add theirs.
	l.doc, _ = yaml.Decode(file, data, &l.settings)
	l.environment()
	return l.check()
}

// loader is one Load under way.
type loader struct {
	settings settings
	doc      *yaml.Document
	env      environ
	refs     reference.Source
	source   string
	from     map[string]string // path → the variable that set it
	outside  []yaml.Mistake    // mistakes that are not in the file
	warnings []string
}

// mistake reports what is wrong with the setting at path, where it was read: in
// a variable, in the file, or nowhere because it is a default.
func (l *loader) mistake(path, format string, args ...any) {
	root, _, _ := strings.Cut(path, "[")
	name, byEnv := l.from[root]
	switch {
	case byEnv:
		l.outside = append(l.outside, yaml.Mistake{File: "environment variable " + name, Path: path, Msg: fmt.Sprintf(format, args...)})
	case l.doc.Has(root):
		l.doc.Mistake(path, format, args...)
	default:
		l.outside = append(l.outside, yaml.Mistake{File: "default", Path: path, Msg: fmt.Sprintf(format, args...)})
	}
}

func (l *loader) warn(path, format string, args ...any) {
	where := "default"
	root, _, _ := strings.Cut(path, "[")
	if name, ok := l.from[root]; ok {
		where = "environment variable " + name
	} else if l.doc.Has(root) {
		where = fmt.Sprintf("%s:%d", l.source, l.doc.Line(path))
	}
	l.warnings = append(l.warnings, where+": "+path+": "+fmt.Sprintf(format, args...))
}

// err joins the mistakes of the file and those from outside of it.
func (l *loader) err() error {
	var all []yaml.Mistake
	if m, ok := errors.AsType[*yaml.Mistakes](l.doc.Err()); ok {
		all = m.List
	}
	if all = append(all, l.outside...); len(all) == 0 {
		return nil
	}
	return &yaml.Mistakes{List: all}
}
