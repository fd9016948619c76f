//go:build unix

package main

import "syscall"

// withoutCoreDumps keeps keys out of files that a crash would leave. It is a
// precaution: where the system refuses, nothing else is lost.
func withoutCoreDumps() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_CORE, &limit) == nil {
		limit.Cur = 0
		_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &limit)
	}
}
