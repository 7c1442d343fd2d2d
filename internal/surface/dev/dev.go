// Package dev serves what only `sallyport dev` mounts, so that every flow works
// with nothing set up: a mail inbox, as a page and as JSON, fake upstreams to sign
// in with, and a page that stands for the application. Whoever reads the inbox
// reads everybody's links, and whoever asks a fake is whom they like, which is
// why dev listens on loopback addresses alone, and why a page of another site
// that had its name point here (DNS rebinding) is refused.
package dev

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/mail"
	"sallyport/internal/wire"
)

// keep is how many mails the inbox holds; older ones are dropped.
const keep = 500

// Inbox is a mail.Sender that keeps what it is sent, in memory.
type Inbox struct {
	Now func() time.Time

	mu      sync.Mutex
	mails   []Mail // oldest first
	last    int
	arrived chan struct{} // closed when a mail comes in, and then replaced
}

// Mail is a mail in the inbox. Link is the address in it that somebody is
// meant to open, Code the code to type; both may be empty.
type Mail struct {
	ID      int       `json:"id"`
	To      string    `json:"to"`
	Subject string    `json:"subject"`
	Link    string    `json:"link,omitempty"`
	Code    string    `json:"code,omitempty"`
	Text    string    `json:"text"`
	HTML    string    `json:"html"`
	At      time.Time `json:"at"`
}

// Send keeps m.
func (b *Inbox) Send(_ context.Context, m mail.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	b.mails = append(b.mails, Mail{
		ID: b.last, To: m.To, Subject: m.Subject, Link: link(m.Text), Code: code(m.Text), Text: m.Text, HTML: m.HTML, At: b.Now().UTC(),
	})
	if len(b.mails) > keep {
		b.mails = slices.Delete(b.mails, 0, len(b.mails)-keep)
	}
	if b.arrived != nil {
		close(b.arrived)
		b.arrived = nil
	}
	return nil
}

// Links and codes stand on lines of their own in the text of our mails.
var (
	linkLine = regexp.MustCompile(`(?m)^[ \t]*([a-z][a-z0-9+.-]*://\S+)[ \t]*$`)
	codeLine = regexp.MustCompile(`(?m)^[ \t]*([A-Z0-9]{6,10})[ \t]*$`)
)

func link(text string) string { return first(linkLine, text) }
func code(text string) string { return first(codeLine, text) }

func first(re *regexp.Regexp, text string) string {
	if m := re.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// list returns the mails to an address ("" is everybody) that came after the
// one with the id after, newest first, and a channel that is closed when
// another comes in.
func (b *Inbox) list(to string, after int) ([]Mail, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []Mail
	for _, m := range slices.Backward(b.mails) {
		if m.ID > after && (to == "" || strings.EqualFold(m.To, to)) {
			out = append(out, m)
		}
	}
	if b.arrived == nil {
		b.arrived = make(chan struct{})
	}
	return out, b.arrived
}

// Dev is the surface.
type Dev struct{ Inbox *Inbox }

// Path is where the inbox page is.
const Path = "/dev/mail"

// Routes lists every route of the surface; there are no others.
func (d *Dev) Routes() []wire.Route {
	routes := []wire.Route{
		{Method: "GET", Pattern: Path, Handler: d.page},
		{Method: "GET", Pattern: Path + "/messages", Handler: d.messages},
		{Method: "GET", Pattern: Path + "/wait", Handler: d.wait},
		{Method: "GET", Pattern: Path + "/link", Handler: d.newest(func(m Mail) string { return m.Link })},
		{Method: "GET", Pattern: AppPath, Handler: d.app},
		{Method: "GET", Pattern: AppPath + "/code", Handler: d.appCode},
		{Method: "GET", Pattern: Path + "/code", Handler: d.newest(func(m Mail) string { return m.Code })},
	}
	for i := range routes {
		routes[i].Handler = OwnName(routes[i].Handler).ServeHTTP
	}
	return routes
}

// OwnName refuses a request that calls this machine by a name which is not a
// loopback one.
func OwnName(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if !client.Loopback(strings.Trim(host, "[]")) {
			fail(w, http.StatusForbidden, "a playground answers to localhost only")
			return
		}
		next.ServeHTTP(w, r)
	})
}

type problem struct {
	Error string `json:"error"`
}

func fail(w http.ResponseWriter, status int, what string) { wire.WriteJSON(w, status, problem{what}) }

type messages struct {
	Messages []Mail `json:"messages"`
}

// messages lists the mails, newest first: ?to=ADDRESS narrows them.
func (d *Dev) messages(w http.ResponseWriter, r *http.Request) {
	all, _ := d.Inbox.list(r.URL.Query().Get("to"), 0)
	if all == nil {
		all = []Mail{}
	}
	wire.WriteJSON(w, http.StatusOK, messages{all})
}

// maxWait bounds a wait below the server's own time-outs.
const maxWait = 15 * time.Second

// wait answers with the newest mail to ?to=ADDRESS after ?after=ID (0), at once
// or when it comes in within ?seconds= (15 at most).
func (d *Dev) wait(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	after, errAfter := number(q, "after", 0)
	seconds, errSeconds := number(q, "seconds", int(maxWait/time.Second))
	if errAfter != nil || errSeconds != nil {
		fail(w, http.StatusBadRequest, "after and seconds are whole numbers")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), min(maxWait, time.Duration(seconds)*time.Second))
	defer cancel()
	for {
		all, more := d.Inbox.list(q.Get("to"), after)
		if len(all) > 0 {
			wire.WriteJSON(w, http.StatusOK, all[0])
			return
		}
		select {
		case <-more:
		case <-ctx.Done():
			fail(w, http.StatusNotFound, "no such mail came in")
			return
		}
	}
}

func number(q url.Values, name string, otherwise int) (int, error) {
	if !q.Has(name) {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(q.Get(name), 10, 31)
	return int(n), err
}

// newest answers with one line of text: what pick finds in the newest mail to
// ?to=ADDRESS that has it.
func (d *Dev) newest(pick func(Mail) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		all, _ := d.Inbox.list(r.URL.Query().Get("to"), 0)
		for _, m := range all {
			if s := pick(m); s != "" {
				w.Header().Set("Cache-Control", "no-store")
				wire.Write(w, http.StatusOK, "text/plain; charset=utf-8", []byte(s+"\n"))
				return
			}
		}
		fail(w, http.StatusNotFound, "no mail to that address has one")
	}
}

// page shows the inbox.
func (d *Dev) page(w http.ResponseWriter, r *http.Request) {
	to := r.URL.Query().Get("to")
	all, _ := d.Inbox.list(to, 0)
	show(w, "inbox", "style-src 'unsafe-inline'; frame-src 'self'; img-src https: data:", map[string]any{"Title": "Mail inbox", "To": to, "Mails": all})
}

// NotFound answers a path that the surface does not have.
func (d *Dev) NotFound(w http.ResponseWriter, _ *http.Request) {
	fail(w, http.StatusNotFound, "there is nothing here")
}

// MethodNotAllowed answers a method that a path does not have.
func (d *Dev) MethodNotAllowed(w http.ResponseWriter, _ *http.Request) {
	fail(w, http.StatusMethodNotAllowed, "that is not how this is asked for")
}

// Crash answers what nobody expected.
func (d *Dev) Crash(w http.ResponseWriter, _ *http.Request) {
	fail(w, http.StatusInternalServerError, "something went wrong; the log says what")
}
