package localapi

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// peerUID asks the kernel who connected: LOCAL_PEERCRED, which is what
// getpeereid(3) reads.
func peerUID(conn *net.UnixConn) (uint32, error) {
	return credentials(conn, func(fd int) (uint32, error) {
		cred, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
		if err != nil {
			return 0, fmt.Errorf("peer credentials: %w", err)
		}
		return cred.Uid, nil
	})
}
