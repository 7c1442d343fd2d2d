package server

import "runtime/debug"

// The garbage collector's settings for a server.
const (
	gcPercent   = 100
	memoryLimit = 100 << 20
)

// TuneMemory sets the garbage collector for a server, unless the operator has
// (GOGC, GOMEMLIMIT). It is for the process, so main calls it.
func TuneMemory(getenv func(string) string) {
	if getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
}
