package snooplytics

import (
	"net/http"
	"net/url"
	"strings"

	"sallyport/internal/client"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// callback judges an address that a browser is to be sent to: a path, which is the
// application's, or a page of an origin that may call us (contract §11). It returns it
// whole, "" for none. What is wrong with it is told by the field's name.
func (a *API) callback(r *http.Request, c *call, field, to string) (string, error) {
	refused := refuse("INVALID_CALLBACK_URL").saying("Invalid " + field)
	switch {
	case to == "":
		return "", nil
	case strings.ContainsFunc(to, foul):
		return "", refused
	case to[0] == '/':
		if !isPath(to) {
			return "", refused
		}
		return strings.TrimSuffix(c.set.AppURL, "/") + to, nil
	}
	u, err := url.Parse(to)
	if err != nil || u.User != nil || u.Opaque != "" {
		return "", refused
	}
	if u.Scheme == "https" || u.Scheme == "http" {
		allowed, err := a.origins(r, c.client, client.Origin(to))
		if err != nil {
			return "", err
		}
		if allowed && u.Host != "" {
			return to, nil
		}
	}
	cl, err := a.SignIn.ClientBy(r.Context(), signin.ClientRef{ID: c.client})
	if err != nil {
		return "", err
	}
	if _, registered := cl.RedirectURI(to); !registered { // such as an application's own scheme
		return "", refused
	}
	return to, nil
}

// foul are characters that browsers drop or turn before they read an address, and what
// is no address.
func foul(r rune) bool { return r <= ' ' || r == '\\' || r > '~' }

// isPath reports whether a browser takes an address for a path of the site that it is
// at, however often somebody unescapes it.
func isPath(to string) bool {
	path, _, _ := strings.Cut(to, "?")
	for range 3 {
		if strings.HasPrefix(path, "//") || strings.Contains(path, "\\") {
			return false
		}
		next, err := url.PathUnescape(path)
		if err != nil {
			return false
		}
		path = next
	}
	return !strings.HasPrefix(path, "//") && !strings.Contains(path, "\\")
}

// page is where a mailed link leads on the mount, with the addresses that the browser
// is sent to from there, given as name, value.
func (a *API) page(r *http.Request, c *call, path string, pairs ...string) (string, error) {
	var query []string
	for i := 0; i+1 < len(pairs); i += 2 {
		to, err := a.callback(r, c, pairs[i], pairs[i+1])
		if err != nil {
			return "", err
		}
		if to == "" && i == 0 {
			to = c.set.AppURL
		}
		if to != "" {
			query = append(query, pairs[i], to)
		}
	}
	return wire.WithQuery(path, query...), nil
}

// back sends a browser on with what became of what it came for, if anything has to be
// said.
func (c *call) back(w http.ResponseWriter, to string, pairs ...string) error {
	if to == "" {
		to = strings.TrimSuffix(c.set.AppURL, "/") + "/"
	}
	return moved(w, wire.WithQuery(to, pairs...))
}

// codeOf is the code of a refusal on this wire, "" for what is none.
func codeOf(err error) string {
	if own, ok := ownRefusal(err); ok {
		return own.code
	}
	if f, ok := wire.Fault(err); ok {
		return wordsOf(f, "").code
	}
	return ""
}
