//go:build !linux && !darwin && !freebsd

package server

import "errors"

// freeBytes has no portable way to find out here.
func freeBytes(string) (uint64, error) { return 0, errors.ErrUnsupported }
