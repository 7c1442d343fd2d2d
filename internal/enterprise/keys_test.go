package enterprise_test

import (
	"bytes"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/enterprise"
	"sallyport/internal/fault"
)

func TestOurKeysAreRolled(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		add := func() error {
			_, err := f.Enterprise.AddKey(t.Context(), f.runner, f.org.ID)
			return err
		}
		end := func(key string) error {
			_, err := f.Enterprise.EndKey(t.Context(), f.runner, f.org.ID, key)
			return err
		}
		is(t, "no connection", add(), fault.ConnectionUnready, enterprise.LacksSAML)
		f.connect(f.owner, byHand(certificate(t, f.Now().Add(365*24*time.Hour))))
		was := f.Connection(f.org)
		old := was.Keys[0]
		is(t, "who is no owner", func() error {
			_, err := f.Enterprise.AddKey(t.Context(), f.member, f.org.ID)
			return err
		}(), fault.Forbidden)
		is(t, "the only one", end(enterprise.KeyID(old)), fault.ConnectionUnready, enterprise.LacksRoom)
		v, err := f.Enterprise.AddKey(t.Context(), f.runner, f.org.ID)
		if err != nil || len(v.Connection.Keys) != 2 || v.Connection.Keys[0].Key != "" || v.Connection.Keys[1].Key != "" {
			t.Fatalf("shown %+v, %v", v.Connection, err)
		}
		both := f.Connection(f.org)
		if len(both.Keys) != 2 || !bytes.Equal(both.Keys[0].Certificate, old.Certificate) || both.Keys[1].Key == "" || both.Revision != was.Revision {
			t.Errorf("the old one signs no more: %+v", both)
		}
		if e := f.last(); e.Action != audit.ConnectionSet || e.Detail["key_added"] != enterprise.KeyID(both.Keys[1]) {
			t.Errorf("logged %+v", e)
		}
		is(t, "a third", add(), fault.ConnectionUnready, enterprise.LacksRoom)
		is(t, "none of that name", end("00"), fault.FieldInvalid)
		is(t, "the old one", end(enterprise.KeyID(old)), "")
		if now := f.Connection(f.org); len(now.Keys) != 1 || now.Keys[0].Key != both.Keys[1].Key {
			t.Errorf("left %+v", now.Keys)
		}
	})
}
