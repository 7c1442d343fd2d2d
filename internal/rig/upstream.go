package rig

import (
	"context"
	"net/http/httptest"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
)

// brokerTimeout is how long a rig waits for an upstream that does not answer. None
// of its fakes is one: this is for a busy machine.
const brokerTimeout = time.Minute

// Upstream serves a fake provider of a kind, over real HTTP and by the rig's
// clock, and configures it under a key, which clients name among their methods.
// change, which may be nil, changes what is configured. The test says by the
// fake who signs in there, and how it misbehaves.
func (r *Rig) Upstream(key string, kind upstream.Kind, change func(*upstream.Upstream), people ...upstreamtest.Person) *upstreamtest.Fake {
	r.t.Helper()
	s := httptest.NewUnstartedServer(nil)
	fake := upstreamtest.New(kind, "http://"+s.Listener.Addr().String(), r.Now, people...)
	s.Config.Handler = fake
	s.Start()
	r.t.Cleanup(s.Close)
	u := fake.Upstream(key)
	if change != nil {
		change(&u)
	}
	r.PutUpstream(u)
	return fake
}

// PutUpstream configures an upstream, in place of the one with its key if there
// is one.
func (r *Rig) PutUpstream(u upstream.Upstream) {
	r.t.Helper()
	r.Write(func(ctx context.Context, tx *db.Tx) error { return upstream.Put(ctx, tx, r.Key, u, r.Now()) })
}
