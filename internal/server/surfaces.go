package server

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sallyport/internal/config"
	"sallyport/internal/oauth"
	"sallyport/internal/signin"
	"sallyport/internal/surface/keymaster"
)

// surfaces builds every surface over the cores, in the order in which ours come
// after those that the configuration orders.
func (s *Server) surfaces(signIn *signin.Core) []surface {
	apps := &oauth.Core{DB: s.db, Now: s.now, Key: s.cfg.SecretKey}

	km := &keymaster.API{SignIn: signIn, OAuth: apps, Keys: s.keys.Ring, Now: s.now, Log: s.log, Issuers: issuers(s.cfg)}
	return []surface{
		{name: "keymaster", routes: km.Routes(), notFound: km.NotFound, notAllowed: km.MethodNotAllowed, crash: km.Crash, with: []string{"pages"}},
	}
}

// issuers are the base URLs of all mounts: what one issues is good at the others.
func issuers(c config.Config) []string {
	all := []string{c.PublicURL}
	for _, name := range config.Surfaces {
		all = append(all, c.PublicURL+"/"+name)
	}
	for _, host := range slices.Sorted(maps.Keys(c.Hosts)) {
		all = append(all, hostURL(host, strings.HasPrefix(c.PublicURL, "https:")))
	}
	return all
}

// checkHosts refuses a host for a surface that this program does not have.
func checkHosts(c config.Config, all []surface) error {
	for _, host := range slices.Sorted(maps.Keys(c.Hosts)) {
		name := c.Hosts[host]
		if !slices.ContainsFunc(all, func(s surface) bool { return s.name == name }) {
			return fmt.Errorf("setting hosts (%s): this release has no surface %s", host, name)
		}
	}
	return nil
}
