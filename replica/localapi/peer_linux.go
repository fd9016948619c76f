package localapi

import (
	"fmt"
	"net"
	"syscall"
)

// peerUID asks the kernel who connected: SO_PEERCRED, fixed at connect(2).
func peerUID(conn *net.UnixConn) (uint32, error) {
	return credentials(conn, func(fd int) (uint32, error) {
		cred, err := syscall.GetsockoptUcred(fd, syscall.SOL_SOCKET, syscall.SO_PEERCRED)
		if err != nil {
			return 0, fmt.Errorf("peer credentials: %w", err)
		}
		return cred.Uid, nil
	})
}
