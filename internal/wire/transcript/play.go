package transcript

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// player plays one transcript.
type player struct {
	t         *testing.T
	stage     Stage
	addr      string
	vars      vars
	browsers  map[string]*jar
	jar       *jar
	prefix    string
	times     int
	authority string
}

func newPlayer(t *testing.T, stage Stage, addr string) *player {
	p := &player{t: t, stage: stage, addr: addr, vars: vars{}, browsers: map[string]*jar{"": {}}, times: 1}
	p.jar = p.browsers[""]
	p.authority = cmp.Or(stage.Authority, addr)
	p.vars.add(stage.Vars)
	return p
}

func (p *player) play(s step) error {
	if s.verb != "" {
		return p.direct(s.verb, s.args)
	}
	times := p.times
	p.times = 1
	for i := range times {
		if err := p.exchange(s); err != nil {
			if times > 1 {
				return fmt.Errorf("time %d of %d: %w", i+1, times, err)
			}
			return err
		}
	}
	return nil
}

// outgoing is a request with all values filled in.
type outgoing struct {
	method, target, path, host string
	headers                    []header
	body                       string
	keepCookies                bool
}

// reply is a response that was read to its end.
type reply struct {
	status  int
	header  http.Header
	cookies []*http.Cookie
	body    string
}

func (p *player) exchange(s step) error {
	q, err := p.prepare(s)
	if err != nil {
		return err
	}
	got, err := p.send(q)
	if err != nil {
		return fmt.Errorf("%s %s: %w", q.method, q.target, err)
	}
	if q.keepCookies {
		for _, c := range got.cookies {
			p.jar.set(c, q.path, p.stage.Host.Now())
		}
	}
	if err := p.compare(s.want, got); err != nil {
		return fmt.Errorf("%s %s: %w", q.method, q.target, err)
	}
	return nil
}

func (p *player) prepare(s step) (q outgoing, err error) {
	q = outgoing{method: s.method, host: p.authority, keepCookies: true}
	if q.target, err = p.vars.fill(s.target); err != nil {
		return q, err
	}
	if _, rest, ok := strings.Cut(q.target, "://"); ok && !strings.HasPrefix(q.target, "/") {
		_, path, _ := strings.Cut(rest, "/")
		q.target, _, _ = strings.Cut("/"+path, "#")
	} else {
		q.target = p.prefix + q.target
	}
	q.path, _, _ = strings.Cut(q.target, "?")
	if q.body, err = p.vars.fill(s.body); err != nil {
		return q, err
	}
	send := map[string]bool{} // what must not be added: given, or "none"
	for _, h := range s.headers {
		value, err := p.vars.fill(h.value)
		if err != nil {
			return q, err
		}
		name := http.CanonicalHeaderKey(h.name)
		send[name] = true
		switch {
		case name == "Host":
			q.host = value
		case value == "none" && (name == "Content-Type" || name == "Cookie" || name == "User-Agent"):
			q.keepCookies = q.keepCookies && name != "Cookie"
		default:
			q.headers = append(q.headers, header{name, value})
		}
	}
	if q.body != "" && !send["Content-Type"] {
		q.headers = append(q.headers, header{"Content-Type", "application/json"})
	}
	if cookies := p.jar.header(q.path, p.stage.Host.Now()); cookies != "" && !send["Cookie"] {
		q.headers = append(q.headers, header{"Cookie", cookies})
	}
	if !send["User-Agent"] {
		q.headers = append(q.headers, header{"User-Agent", "transcript"})
	}
	return q, nil
}

// send writes the request by hand: net/http's client would refuse or repair some
// of what a transcript has to show.
func (p *player) send(q outgoing) (reply, error) {
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.addr)
	if err != nil {
		return reply{}, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", q.method, q.target, q.host)
	for _, h := range q.headers {
		fmt.Fprintf(&text, "%s: %s\r\n", h.name, h.value)
	}
	if q.body != "" || q.method == http.MethodPost || q.method == http.MethodPut || q.method == http.MethodPatch {
		fmt.Fprintf(&text, "Content-Length: %d\r\n", len(q.body))
	}
	text.WriteString("\r\n" + q.body)
	// A server may answer and close before it has read a long body, so a failed
	// write matters only if there is no answer either.
	_, writeErr := io.WriteString(conn, text.String())
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: q.method})
	if err != nil {
		return reply{}, cmp.Or(writeErr, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, resp.Cookies(), string(body)}, err
}

// compare holds a response against what is wanted. A status that differs is
// shown with the body, which usually says why.
func (p *player) compare(want answer, got reply) error {
	if got.status != want.status {
		return fmt.Errorf("got  %d %s\nwant %d %s", got.status, got.body, want.status, p.vars.known(want.body))
	}
	for _, h := range want.headers {
		if err := p.header(h, got.header[http.CanonicalHeaderKey(h.name)]); err != nil {
			return err
		}
	}
	for _, name := range want.absent {
		if vs := got.header[http.CanonicalHeaderKey(name)]; vs != nil {
			return fmt.Errorf("header %s: got %q, want none", name, vs)
		}
	}
	for _, pattern := range want.holds {
		if err := p.vars.holds(pattern, got.body); err != nil {
			return fmt.Errorf("body:\n%w", err)
		}
	}
	redirect := want.status >= 300 && want.status < 400
	switch {
	case want.any || !want.given && (redirect || len(want.holds) > 0):
		return nil
	case strings.HasPrefix(want.body, "{") || strings.HasPrefix(want.body, "["):
		if t := got.header.Get("Content-Type"); !strings.Contains(t, "json") {
			return fmt.Errorf("a JSON body has Content-Type %q", t)
		}
	}
	if err := p.vars.match(want.body, got.body); err != nil {
		return fmt.Errorf("body:\n%w", err)
	}
	return nil
}

// header finds a value that fits among those of one name.
func (p *player) header(h header, got []string) error {
	for _, v := range got {
		if p.vars.match(h.value, v) == nil {
			return nil
		}
	}
	return fmt.Errorf("header %s:\ngot  %s\nwant %s", h.name, strings.Join(got, "\n     "), p.vars.known(h.value))
}
