package wire

import (
	"context"
	"encoding/hex"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"

	"sallyport/internal/secret"
)

// Requests is the outermost middleware. It finds out where a request comes
// from, gives it an id, and logs it when it is done. Queries are never logged:
// some contracts put tokens into them.
type Requests struct {
	Trusted []netip.Prefix // proxies whose X-Forwarded-For and X-Request-Id count
	// ProxyOnly is a header that says what only a proxy can know, such as the
	// client's certificate. It is taken from requests of everybody else.
	ProxyOnly string
	Now       func() time.Time
	Log       *slog.Logger                // access log; nil means none
	Observe   func(context.Context, Done) // told of each request; nil means nobody
}

// Done is a request that was answered.
type Done struct {
	Method   string // "other" for a method that no route has
	Pattern  string // the route's, "" when there was none: safe as a metric's label
	Status   int
	Bytes    int64 // of the body
	Duration time.Duration
}

// Wrap puts the middleware around h. Answers carry the id as X-Request-Id.
func (q Requests) Wrap(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := q.Now()
		addr, byProxy := clientAddr(r, q.Trusted)
		info := &request{origin: Origin{UserAgent: userAgent(r)}}
		if addr.IsValid() {
			info.origin.IP = addr.String()
		}
		// Twice is once from the client, added to by a proxy that should replace it.
		if q.ProxyOnly != "" && (!byProxy || len(r.Header.Values(q.ProxyOnly)) > 1) {
			r.Header.Del(q.ProxyOnly)
		}
		if id := r.Header.Get("X-Request-Id"); byProxy && givenID(id) {
			info.origin.RequestID = id
		} else {
			info.origin.RequestID = uuidv7(start)
		}
		w.Header()["X-Request-Id"] = []string{info.origin.RequestID}
		rec := &recorder{ResponseWriter: w}
		ctx := context.WithValue(r.Context(), requestKey{}, info)
		ended := false
		defer func() {
			d := Done{knownMethod(r.Method), info.pattern, rec.sent(ended), rec.bytes, q.Now().Sub(start)}
			if q.Observe != nil {
				q.Observe(ctx, d)
			}
			if q.Log != nil {
				q.Log.LogAttrs(ctx, slog.LevelInfo, "request",
					slog.String("method", d.Method), slog.String("route", d.Pattern),
					slog.Int("status", d.Status), slog.Duration("duration", d.Duration), slog.Int64("bytes", d.Bytes),
					slog.String("request_id", info.origin.RequestID), slog.String("client_ip", info.origin.IP))
			}
		}()
		h.ServeHTTP(rec, r.WithContext(ctx))
		ended = true
	})
}

// knownMethod bounds what a client can make logs and metrics say.
func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

// uuidv7 makes a version 7 UUID (RFC 9562 §5.7) of the millisecond of now.
func uuidv7(now time.Time) string {
	b := secret.Bytes(16)
	ms := now.UnixMilli()
	for i := range 6 {
		b[i] = byte(ms >> (40 - 8*i))
	}
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	s := hex.EncodeToString(b)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// Unwrap lets http.ResponseController reach the real writer.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader passes the status on; an informational one (1xx) is not final.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write passes the bytes on.
func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// sent is the status that the client got. A handler that ended without one
// meant 200; one that was cut off by a panic counts as 500.
func (w *recorder) sent(ended bool) int {
	switch {
	case !ended:
		return http.StatusInternalServerError
	case w.status == 0:
		return http.StatusOK
	}
	return w.status
}

// Recover answers a handler's panic with words, a surface's own 500, and puts
// the reason and the stack into the log alone. When the answer has begun
// already, the connection is cut, so that the client cannot take a part for the
// whole.
func Recover(log *slog.Logger, words http.HandlerFunc, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w}
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so too
				panic(v)
			}
			log.LogAttrs(r.Context(), slog.LevelError, "panic",
				slog.Any("panic", v), slog.String("stack", string(debug.Stack())),
				slog.String("route", patternOf(r.Context())), slog.String("request_id", OriginOf(r.Context()).RequestID))
			if rec.status != 0 {
				panic(http.ErrAbortHandler)
			}
			for _, name := range [...]string{"Cache-Control", "Content-Encoding", "Content-Length", "Content-Type", "Etag", "Location", "Set-Cookie"} {
				w.Header().Del(name)
			}
			words(w, r)
		}()
		h.ServeHTTP(rec, r)
	})
}

func patternOf(ctx context.Context) string {
	if q, ok := ctx.Value(requestKey{}).(*request); ok {
		return q.pattern
	}
	return ""
}
