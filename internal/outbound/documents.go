package outbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"
)

// The limits of Documents. A document that was not to be had is not asked for
// again for failedFor, so that nobody makes us knock at a door over and over.
const (
	documentTimeout = 5 * time.Second
	documentBytes   = 64 << 10
	keepAtLeast     = time.Minute
	keepAtMost      = 24 * time.Hour
	keepByDefault   = 10 * time.Minute
	failedFor       = 10 * time.Second
	keptNumber      = 2048    // in each generation
	keptBytes       = 8 << 20 // in each generation
	flights         = 64
	flightsPerHost  = 4
)

// ErrBusy reports a document that was not asked for because too many others are
// under way, in all or of the same host.
var ErrBusy = errors.New("outbound: too many documents are being read")

// NoDocument reports an answer that is not the document: another status than
// 200 (a redirect too), or a media type that was not asked for.
type NoDocument struct {
	Status int
	Type   string
}

func (e *NoDocument) Error() string {
	return fmt.Sprintf("outbound: no document: status %d, type %q", e.Status, e.Type)
}

// Fetch is how a document is read. MaxBytes is its greatest size, 0 for 64 KiB;
// Accept the media types that are asked for. JSON refuses an answer that does
// not call itself JSON, so that nobody passes off a picture or a paste as a
// document of that host. Fresh looks again at what is older than Options.Patience,
// for a key that is not in it.
type Fetch struct {
	MaxBytes int64
	Accept   string
	JSON     bool
	Fresh    bool
}

// Documents reads small public documents of others (key sets, client metadata,
// lists of redirect URIs) by one guarded client, and keeps them as long as their
// publisher says (RFC 9111 §5.2), but a minute at least and a day at most. It
// keeps a bounded number, failures too, and asks for each once at a time. Any
// number of goroutines may use one.
type Documents struct {
	client   *http.Client
	allow    []netip.Prefix
	now      func() time.Time
	patience time.Duration

	mu         sync.Mutex
	young, old map[place]document
	bytes      int // of the young
	under      map[place]*flight
	hosts      map[string]int // flights by host
}

type place struct {
	url, accept string
	maxBytes    int64
	json        bool
}

// document is what is kept: a body, an error, or both while the publisher
// cannot be reached.
type document struct {
	body     []byte
	err      error
	lookedAt time.Time
	until    time.Time
	goodTill time.Time // how long the body may stand in for one that cannot be had
}

// flight is a request under way; done is closed at its end.
type flight struct {
	done chan struct{}
}

// NewDocuments reads under o, whose zero Timeout means five seconds for a
// document. now is the clock that says when a document is too old.
func NewDocuments(o Options, now func() time.Time) *Documents {
	if o.Timeout == 0 {
		o.Timeout = documentTimeout
	}
	if o.Patience == 0 {
		o.Patience = keepAtLeast
	}
	return &Documents{
		client: Client(o), allow: o.Allow, now: now, patience: o.Patience,
		young: map[place]document{}, under: map[place]*flight{}, hosts: map[string]int{},
	}
}

// Close ends connections that lie idle.
func (d *Documents) Close() { d.client.CloseIdleConnections() }

// Check is CheckURL with the networks that documents may come from.
func (d *Documents) Check(raw string) error {
	_, err := CheckURL(raw, d.allow)
	return err
}

// Get returns the body of an https document, which the caller does not change.
// While its publisher cannot be reached, one that is too old is given for up to
// a day after it was read. Fails with *BadURL, *Refused, ErrTooLarge, ErrBusy,
// *NoDocument, or as the network does; which one is for the log, because it
// tells about networks that the one who named the address may not see.
func (d *Documents) Get(ctx context.Context, raw string, f Fetch) ([]byte, error) {
	u, err := CheckURL(raw, d.allow)
	if err != nil {
		return nil, err
	}
	if f.MaxBytes == 0 {
		f.MaxBytes = documentBytes
	}
	at := place{raw, f.Accept, f.MaxBytes, f.JSON}
	began := d.now()
	for {
		doc, wait, err := d.look(at, u.Host, f.Fresh, began)
		switch {
		case err != nil:
			return nil, err
		case wait == nil && doc != nil:
			return doc.answer()
		case wait == nil:
			return d.fly(ctx, at, u.Host)
		}
		select {
		case <-wait.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (d document) answer() ([]byte, error) {
	if d.body != nil {
		return d.body, nil
	}
	return nil, d.err
}

// look returns what is kept, or the flight to wait for; neither means that the
// caller is to make the flight, which is booked. What was read since began is
// fresh for everybody who waited for it.
func (d *Documents) look(at place, host string, fresh bool, began time.Time) (*document, *flight, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	doc, ok := d.kept(at)
	if ok && now.Before(doc.until) {
		if !fresh || !doc.lookedAt.Before(began) || now.Before(doc.lookedAt.Add(d.patience)) {
			return &doc, nil, nil
		}
	}
	if f, ok := d.under[at]; ok {
		return nil, f, nil
	}
	if len(d.under) >= flights || d.hosts[host] >= flightsPerHost {
		if ok && doc.body != nil && now.Before(doc.goodTill) {
			return &doc, nil, nil // strangers who keep us busy cut nobody off
		}
		return nil, nil, ErrBusy
	}
	d.under[at] = &flight{make(chan struct{})}
	d.hosts[host]++
	return nil, nil, nil
}

// fly reads the document and keeps what came of it. A caller that goes away
// keeps nothing: one of those who wait reads it instead.
func (d *Documents) fly(ctx context.Context, at place, host string) ([]byte, error) {
	body, keep, err := d.read(ctx, at)
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.under[at].done)
	delete(d.under, at)
	if d.hosts[host]--; d.hosts[host] == 0 {
		delete(d.hosts, host)
	}
	if err != nil && ctx.Err() != nil {
		return nil, err
	}
	now := d.now()
	doc := document{body: body, err: err, lookedAt: now, until: now.Add(keep), goodTill: now.Add(keepAtMost)}
	if before, ok := d.kept(at); ok && Unreachable(err) && now.Before(before.goodTill) {
		doc.body, doc.goodTill = before.body, before.goodTill
	}
	d.put(at, doc)
	return doc.answer()
}

// Unreachable reports whether an error of Get says nothing about the document
// itself, so that the one before it stands (RFC 5861 §4).
func Unreachable(err error) bool {
	if no, ok := errors.AsType[*NoDocument](err); ok {
		return no.Status >= http.StatusInternalServerError
	}
	if _, ok := errors.AsType[*url.Error](err); ok {
		_, refused := errors.AsType[*Refused](err)
		return !refused
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true // while the body was read
	}
	return errors.Is(err, ErrBusy) || errors.Is(err, io.ErrUnexpectedEOF)
}

// kept returns a document of either generation; called with the lock held.
func (d *Documents) kept(at place) (document, bool) {
	if doc, ok := d.young[at]; ok {
		return doc, true
	}
	doc, ok := d.old[at]
	if ok {
		d.put(at, doc)
	}
	return doc, ok
}

// put is called with the lock held. When the young are too many they become the
// old, and the old, unused since, are forgotten.
func (d *Documents) put(at place, doc document) {
	d.bytes += len(doc.body) - len(d.young[at].body)
	d.young[at] = doc
	if len(d.young) > keptNumber || d.bytes > keptBytes {
		d.old, d.young, d.bytes = d.young, map[place]document{}, 0
	}
}

// read makes the request, and returns for how long its answer is kept.
func (d *Documents) read(ctx context.Context, at place) (body []byte, keep time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.url, nil)
	if err != nil {
		return nil, failedFor, err
	}
	req.Header.Set("User-Agent", "Sallyport")
	if at.accept != "" {
		req.Header.Set("Accept", at.accept)
	}
	res, err := d.client.Do(req)
	if err != nil {
		return nil, failedFor, err
	}
	defer res.Body.Close()
	if kind := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || at.json && !isJSON(kind) {
		return nil, failedFor, &NoDocument{res.StatusCode, kind}
	}
	body, err = io.ReadAll(&limited{body: res.Body, left: at.maxBytes})
	if err != nil {
		return nil, failedFor, err
	}
	if body == nil {
		body = []byte{}
	}
	return body, lifetime(res.Header), nil
}

func isJSON(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && (kind == "application/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json"))
}
