//go:build !linux && !darwin

package localapi

import (
	"net"
	"runtime"

	"github.com/starling-sync/starling/replica/localapi/client"
)

// DefaultSocket is as on the systems where Listen works.
func DefaultSocket(dir string) string { return client.DefaultSocket(dir) }

// Listen gives an Error with CodeInternal: on this system nobody has written
// and tried how to ask who connects.
func Listen(path string) (net.Listener, error) {
	return nil, client.Errorf(client.CodeInternal, "socket %s: not supported on %s", path, runtime.GOOS)
}
