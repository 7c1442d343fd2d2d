package server

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"sallyport/internal/password"
)

// How the memory of a server is kept small. What the collector must leave is
// little, but a thousand connections that come at once have deep stacks for a
// moment, and at the usual pace as much garbage again is made before they are
// looked at. A soft limit has it look sooner. The limit follows what is really
// in use, so that a server with more connections than that is not kept
// collecting for ever.
const (
	leastLimit = 56 << 20 // enough for about a thousand requests at once
	// gcPercent lets garbage pile up to several times of what lives, as long as
	// there is room below the limit. What lives is a few MiB: at the usual 100
	// the collector takes a fifth of the processor time of a busy server.
	gcPercent   = 400
	adjustEvery = time.Second
	// trimEvery is how long memory lies unused before it goes back to the system.
	trimEvery = 10 * time.Second
	// trimAbove is how much free heap is worth a collection to give it back.
	trimAbove = 16 << 20
)

// The runtime's names of what is looked at.
const (
	heapLive = "/gc/heap/live:bytes"
	heapFree = "/memory/classes/heap/free:bytes"
	stacks   = "/memory/classes/heap/stacks:bytes"
)

// limitFor is the soft limit for what is in use: live heap and stacks, with
// a quarter for garbage and the runtime's own.
func limitFor(inUse uint64) int64 { return max(leastLimit, int64(inUse+inUse/4+8<<20)) }

// read returns the sum of runtime metrics.
func read(names ...string) uint64 {
	samples := make([]metrics.Sample, len(names))
	for i, name := range names {
		samples[i].Name = name
	}
	metrics.Read(samples)
	var sum uint64
	for _, s := range samples {
		if s.Value.Kind() == metrics.KindUint64 {
			sum += s.Value.Uint64()
		}
	}
	return sum
}

// adjustMemory sets the soft limit to what is in use now.
func adjustMemory(context.Context) error {
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(limitFor(read(heapLive, stacks)))
	return nil
}

// trimMemory gives back to the system what a burst has left behind.
func trimMemory(p *password.Pool, tune bool) error {
	p.Trim()
	if tune && read(heapFree) > trimAbove {
		debug.FreeOSMemory()
	}
	return nil
}
