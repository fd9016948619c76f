package p2p_test

import "strings"

// cutID splits an address at its /p2p/ part.
func cutID(s string) (addr, id string, ok bool) { return strings.Cut(s, "/p2p/") }

func transportOf(s string) string { return field(s, 3) }
func portOf(s string) string      { return field(s, 4) }

func field(s string, n int) string {
	f := strings.Split(s, "/")
	if n >= len(f) {
		return ""
	}
	return f[n]
}
