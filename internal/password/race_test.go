//go:build race

package password

// raceEnabled: the race detector's shadow memory makes figures of memory useless.
const raceEnabled = true
