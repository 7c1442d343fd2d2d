package oauth

import (
	"encoding/base64"
	"net/url"

	"sallyport/internal/client"
	"sallyport/internal/identity"
)

// Subject is the sub that a client knows a user by (OpenID Connect Core §8):
// the user's id, or for a pairwise client a value that tells clients of other
// sectors nothing. It is the same at every sign-in, and on every node.
func (c *Core) Subject(cl client.Client, u identity.UserID) string {
	if cl.Policy.OAuth.SubjectType != client.SubjectPairwise {
		return string(u)
	}
	return base64.RawURLEncoding.EncodeToString(c.Key.MAC("pairwise", []byte(sector(cl)), []byte(u)))
}

// sector is what clients have in common that may know a user by one name: the
// host of the sector identifier, or the one host of all redirect URIs. A client
// with neither is a sector of its own. So is one that registered itself for the
// device flow: a redirect URI shows that it is of its host only where answers go
// there, and anybody could name another's to learn what that one calls a person.
func sector(cl client.Client) string {
	if cl.Source != client.Operator && cl.Policy.MayUse(client.GrantDevice) {
		return "client:" + string(cl.ID)
	}
	if u, err := url.Parse(cl.Policy.OAuth.SectorIdentifierURI); err == nil && u.Host != "" {
		return u.Host
	}
	host := ""
	for _, raw := range cl.Policy.RedirectURIs {
		u, err := url.Parse(raw)
		if err != nil || u.Host == "" || host != "" && u.Host != host {
			return "client:" + string(cl.ID)
		}
		host = u.Host
	}
	if host == "" {
		return "client:" + string(cl.ID)
	}
	return host
}
