package wire_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"

	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/wire"
)

func TestFaultTellsWhatAClientMayLearn(t *testing.T) {
	for _, c := range []struct {
		err  error
		want fault.Code
	}{
		{fmt.Errorf("sign in: %w", &fault.Error{Code: fault.CredentialsInvalid}), fault.CredentialsInvalid},
		{fmt.Errorf("sign in: %w", db.ErrUnavailable), fault.Unavailable},
		{fmt.Errorf("sign in: %w", context.DeadlineExceeded), fault.Unavailable},
		{errors.New("sign in: a bug"), ""},
		{context.Canceled, ""},
	} {
		f, ok := wire.Fault(c.err)
		if ok != (c.want != "") || ok && f.Code != c.want {
			t.Errorf("%v: got %v, %v; want %q", c.err, f, ok, c.want)
		}
		if ok && f.Code == fault.Unavailable && f.RetryAfter <= 0 {
			t.Errorf("%v: does not say when to come back", c.err)
		}
	}
}

func TestPrefetchIsSeen(t *testing.T) {
	for _, c := range []struct {
		name, value string
		want        bool
	}{
		{"Sec-Purpose", "prefetch", true},
		{"Sec-Purpose", "prefetch;prerender", true},
		{"Purpose", "prefetch", true},
		{"X-Moz", "Prefetch", true},
		{"Sec-Purpose", "", false},
		{"Accept", "prefetch", false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set(c.name, c.value)
		if got := wire.Prefetch(r); got != c.want {
			t.Errorf("%s: %s: got %v, want %v", c.name, c.value, got, c.want)
		}
	}
}
