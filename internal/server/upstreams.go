package server

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/secret"
	"sallyport/internal/upstream"
)

// upstreamRefresh is how often what the upstreams publish about themselves is
// read again: more often than most of it may be kept, so that no sign-in waits.
const upstreamRefresh = 4 * time.Minute

// upstreamsAtOnce is how many are asked at a time: one that does not answer
// keeps only some of the others waiting, and none is asked from everywhere at
// once.
const upstreamsAtOnce = 2

// published keeps at hand what the configured upstreams publish.
type published struct {
	db     *db.DB
	key    *secret.Key
	broker *upstream.Broker
	log    *slog.Logger

	mu      sync.Mutex
	failing map[string]bool // by upstream
}

// refresh asks all upstreams. One that cannot be read is told of when that
// begins and when it ends: its provider may be away for a weekend.
func (p *published) refresh(ctx context.Context) error {
	var all []upstream.Upstream
	err := p.db.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		all, err = upstream.List(ctx, tx, p.key)
		return err
	})
	if err != nil {
		return fmt.Errorf("list upstreams: %w", err)
	}
	var asked sync.WaitGroup
	slots := make(chan struct{}, upstreamsAtOnce)
	for _, u := range all {
		asked.Go(func() {
			slots <- struct{}{}
			p.note(ctx, u.Key, p.broker.Refresh(ctx, []upstream.Upstream{u}))
			<-slots
		})
	}
	asked.Wait()
	return nil
}

func (p *published) note(ctx context.Context, key string, err error) {
	if ctx.Err() != nil {
		return // we are stopping
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch was := p.failing[key]; {
	case err != nil && !was:
		p.log.Warn("an upstream cannot be read; people who sign in there may be turned away", "upstream", key, "error", err)
		p.failing[key] = true
	case err == nil && was:
		p.log.Info("the upstream can be read again", "upstream", key)
		delete(p.failing, key)
	}
}
