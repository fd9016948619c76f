//go:build !linux && !darwin && !freebsd && !windows

package disk

import "math"

// freeSpace cannot be had here: the guard against a full disk is off.
func freeSpace(string) (uint64, error) { return math.MaxUint64, nil }
