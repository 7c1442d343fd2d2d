//go:build !linux

package e2e

import "testing"

// fileOutages needs ways to break a file beneath a running process; there are
// none here that work for every user.
var fileOutages map[string]func(t *testing.T, dir string) (*site, *node, outage)
