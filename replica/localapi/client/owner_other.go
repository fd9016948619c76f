//go:build !unix

package client

// checkOwner has nothing to ask where files have no numeric owner.
func checkOwner(string, int) error { return nil }
