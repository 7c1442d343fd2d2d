package config

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// envPrefix begins every variable that is a setting.
const envPrefix = "SALLYPORT_"

// keyVariable is where the process key is looked for unless told otherwise.
const keyVariable = envPrefix + "SECRET_KEY"

// environ is an environment by name.
type environ map[string]string

func environment(pairs []string) environ {
	e := environ{}
	for _, pair := range pairs {
		if name, value, ok := strings.Cut(pair, "="); ok {
			e[name] = value
		}
	}
	return e
}

func (e environ) lookup(name string) (string, bool) {
	v, ok := e[name]
	return v, ok
}

// environment lays the variables over the settings.
func (l *loader) environment() {
	s := &l.settings
	texts := map[string]*string{
		"listen": &s.Listen, "public_url": &s.PublicURL, "database": &s.Database, "secret_key": &s.SecretKey,
		"mail": &s.Mail, "mail_from": &s.MailFrom, "metrics_listen": &s.MetricsListen, "hackillinois_private_listen": &s.HackPrivate, "client_cert_header": &s.ClientCert, "resolver": &s.Resolver,
		"log.format": &s.Log.Format, "log.level": &s.Log.Level,
	}
	lists := map[string]*[]string{
		"trusted_proxies": &s.TrustedProxies, "outbound_allow": &s.OutboundAllow, "root": &s.Root,
	}
	known := map[string]bool{}
	take := func(path string) string {
		name := envPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
		known[name] = true
		value := l.env[name]
		if value != "" {
			l.from[path] = name
		}
		return value
	}
	for path, at := range texts {
		if value := take(path); value != "" {
			*at = value
		}
	}
	for path, at := range lists {
		if value := take(path); value != "" {
			*at = splitList(value)
		}
	}
	if value := take("hosts"); value != "" {
		s.Hosts = nil
		if hosts, why := parseHosts(value); why != "" {
			l.mistake("hosts", "%s", why)
		} else {
			s.Hosts = hosts
		}
	}
	l.misspelt(known)
}

// misspelt warns of variables that are one setting's name but for an
// underscore. It is no mistake: the prefix is not ours alone (Kubernetes sets
// SALLYPORT_PORT for a service of that name, and secrets that files refer to may
// carry it).
func (l *loader) misspelt(known map[string]bool) {
	plain := map[string]string{}
	for name := range known {
		plain[strings.ReplaceAll(name, "_", "")] = name
	}
	for _, name := range slices.Sorted(maps.Keys(l.env)) {
		if meant, ok := plain[strings.ReplaceAll(strings.ToUpper(name), "_", "")]; ok && !known[name] {
			l.warnings = append(l.warnings, "environment variable "+name+": is not a setting and is ignored; did you mean "+meant+"?")
		}
	}
}

func splitList(value string) []string {
	list := []string{}
	for item := range strings.SplitSeq(value, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}

// parseHosts reads {"host":"surface"} or host=surface,host=surface. It returns
// what is wrong, if anything is.
func parseHosts(value string) (hosts map[string]string, why string) {
	hosts = map[string]string{}
	if strings.HasPrefix(strings.TrimSpace(value), "{") {
		if err := json.Unmarshal([]byte(value), &hosts); err != nil {
			return nil, `must be a JSON object of texts like {"auth.example.com":"accountmaker"}`
		}
		return hosts, ""
	}
	for _, item := range splitList(value) {
		host, surface, ok := strings.Cut(item, "=")
		host, surface = strings.TrimSpace(host), strings.TrimSpace(surface)
		if _, twice := hosts[host]; !ok || host == "" || surface == "" || twice {
			return nil, "must be a list like auth.example.com=accountmaker,login.example.com=keymaster, or a JSON object"
		}
		hosts[host] = surface
	}
	return hosts, ""
}
