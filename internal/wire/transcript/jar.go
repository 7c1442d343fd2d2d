package transcript

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// jar keeps cookies as one browser does for one host (RFC 6265 §5.3, §5.4). It
// sends Secure ones too: the plain connection of the test stands for https.
type jar struct{ cookies []kept }

type kept struct {
	name, value, path string
	until             time.Time // zero: until the browser closes
}

func (j *jar) set(c *http.Cookie, requestPath string, now time.Time) {
	path := c.Path
	if !strings.HasPrefix(path, "/") {
		path = requestPath[:max(1, strings.LastIndexByte(requestPath, '/'))]
	}
	j.cookies = slices.DeleteFunc(j.cookies, func(k kept) bool { return k.name == c.Name && k.path == path })
	k := kept{name: c.Name, value: c.Value, path: path}
	switch {
	case c.MaxAge < 0:
		return
	case c.MaxAge > 0:
		k.until = now.Add(time.Duration(c.MaxAge) * time.Second)
	case !c.Expires.IsZero():
		k.until = c.Expires
	}
	j.cookies = append(j.cookies, k)
}

// header returns the Cookie header for a path, "" for none.
func (j *jar) header(path string, now time.Time) string {
	j.cookies = slices.DeleteFunc(j.cookies, func(k kept) bool { return !k.until.IsZero() && !k.until.After(now) })
	var send []kept
	for _, k := range j.cookies {
		rest, ok := strings.CutPrefix(path, k.path)
		if ok && (rest == "" || strings.HasSuffix(k.path, "/") || rest[0] == '/') {
			send = append(send, k)
		}
	}
	slices.SortStableFunc(send, func(a, b kept) int { return len(b.path) - len(a.path) })
	parts := make([]string, len(send))
	for i, k := range send {
		parts[i] = k.name + "=" + k.value
	}
	return strings.Join(parts, "; ")
}
