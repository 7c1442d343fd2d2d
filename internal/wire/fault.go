package wire

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/fault"
)

// retryDatabase is what a client is told to wait when the database could not
// do its work: a failover or a restart takes seconds.
const retryDatabase = 5 * time.Second

// Fault finds in err what the client may learn: a fault, or that we could not
// do it now and it may be tried again, which a lost or full database and a
// deadline that ran out come to. Everything else is for the log.
func Fault(err error) (*fault.Error, bool) {
	if f, ok := fault.From(err); ok {
		return f, true
	}
	if errors.Is(err, db.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		return &fault.Error{Code: fault.Unavailable, RetryAfter: retryDatabase, Err: err}, true
	}
	return nil, false
}

// Prefetch reports whether a browser asked on its own account, before anybody
// clicked (the Sec-Purpose header of WHATWG Fetch, and its forerunners). What
// such a request spends, the person has lost.
func Prefetch(r *http.Request) bool {
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Moz"} {
		v := strings.ToLower(r.Header.Get(name))
		if strings.Contains(v, "prefetch") || strings.Contains(v, "prerender") || strings.Contains(v, "preview") {
			return true
		}
	}
	return false
}
