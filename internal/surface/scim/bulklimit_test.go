package scim_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

// One request of a hundred operations is a hundred and one requests.
func TestBulkOperationsAreCounted(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSite(t, d)
		srv := s.serve(t)
		s.call(t, srv, "GET", "/Users?count=0", s.tokens["acme"], "")
		// As after all but six of a minute's, each of which costs 20 ms (package limit).
		s.Write(func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE limits SET tat = $1`, db.At(s.Now().Add(2994*20*time.Millisecond)))
			return err
		})
		one := `{"method":"DELETE","path":"/Users/x"}`
		_, out := s.call(t, srv, "POST", "/Bulk", s.tokens["acme"], `{"Operations":[`+strings.Repeat(one+",", 9)+one+`]}`)
		got := map[any]int{}
		for _, o := range out["Operations"].([]any) {
			got[o.(map[string]any)["status"]]++
		}
		if got["404"] != 5 || got["429"] != 5 {
			t.Errorf("%v", got)
		}
		if status, _ := s.call(t, srv, "GET", "/Users?count=0", s.tokens["acme"], ""); status != 429 {
			t.Errorf("after it: %d", status)
		}
	})
}
