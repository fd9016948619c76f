//go:build linux || darwin

package localapi

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/starling-sync/starling/replica/localapi/client"
)

// DefaultSocket returns where the daemon of the replica in dir listens, as
// client.DefaultSocket says, where its rule stands for programs that do not
// link this package.
func DefaultSocket(dir string) string { return client.DefaultSocket(dir) }

// Listen binds a Unix socket for this user and root only. The directory is
// made with mode 0700 when it is missing; when it is there it must belong to
// this user, and nobody else may write to it, lest the socket be replaced. The
// socket gets 0600, and each peer is asked for its user id. Close removes the
// socket.
//
// A socket that a dead daemon left is replaced; nothing but a socket is ever
// removed. Errors: CodeInUse when a daemon answers there or the path is
// something else, CodePermission for the directory, CodeBadRequest for a path
// that is too long.
func Listen(path string) (net.Listener, error) {
	path, err := client.CheckSocketPath(path)
	if err != nil {
		return nil, err
	}
	unlock, err := lockDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := removeStale(path); err != nil {
		return nil, err
	}
	return bind(path)
}

// bind makes the socket. Its directory lets nobody else in, so that it does
// not matter that the mode is set a moment later.
func bind(path string) (net.Listener, error) {
	inner, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, client.Errorf(client.CodeInternal, "listen: %w", err)
	}
	inner.SetUnlinkOnClose(false) // it would remove whatever stands there by then
	err = os.Chmod(path, 0o600)
	info, statErr := os.Lstat(path)
	if err = errors.Join(err, statErr); err != nil {
		inner.Close()
		return nil, client.Errorf(client.CodeInternal, "listen: %w", err)
	}
	return &listener{UnixListener: inner, path: path, made: info}, nil
}

// lockDir makes or checks the directory and holds a lock on it, so that of two
// daemons that start at once one does not remove the socket of the other.
func lockDir(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, client.Errorf(client.CodePermission, "socket directory: %w", err)
	}
	file, err := os.Open(dir)
	if err != nil {
		return nil, client.Errorf(client.CodePermission, "socket directory: %w", err)
	}
	if err := errors.Join(checkDir(file), flock(file)); err != nil {
		file.Close()
		return nil, client.Errorf(client.CodePermission, "socket directory %s: %w", dir, err)
	}
	return func() { file.Close() }, nil
}

// flock waits for the lock. Whoever holds it does so for a moment only.
func flock(file *os.File) error {
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
		if err != syscall.EINTR {
			return err
		}
	}
}

func checkDir(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != os.Geteuid() {
		return errors.New("belongs to another user")
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("has mode %04o, so that others could replace the socket: chmod go-w", mode)
	}
	return nil
}

// removeStale removes the socket at path if nobody answers there.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return client.Errorf(client.CodePermission, "socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return client.Errorf(client.CodeInUse, "socket %s: there is something else than a socket", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		conn.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return client.Errorf(client.CodeInUse, "socket %s: a daemon listens there already", path)
	}
	if err := os.Remove(path); err != nil {
		return client.Errorf(client.CodePermission, "stale socket: %w", err)
	}
	return nil
}

// listener accepts the connections of this user and root.
type listener struct {
	*net.UnixListener
	path string
	made fs.FileInfo // what Close may remove

	once sync.Once
}

// Accept closes the connections of others without a word and goes on.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if uid, err := peerUID(conn); err == nil && welcome(uid, os.Geteuid()) {
			return conn, nil
		}
		conn.Close()
	}
}

// welcome says whether a process with the user id peer may use the socket of
// self.
func welcome(peer uint32, self int) bool { return int64(peer) == int64(self) || peer == 0 }

// Close stops listening and removes the socket, unless the path is by now
// another one.
func (l *listener) Close() error {
	var err error
	l.once.Do(func() {
		if info, statErr := os.Lstat(l.path); statErr == nil && os.SameFile(info, l.made) {
			err = os.Remove(l.path)
		}
	})
	return errors.Join(err, l.UnixListener.Close())
}

// credentials runs get on the file descriptor of conn.
func credentials(conn *net.UnixConn, get func(fd int) (uint32, error)) (uid uint32, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("peer credentials: %w", err)
	}
	var getErr error
	if err := raw.Control(func(fd uintptr) { uid, getErr = get(int(fd)) }); err != nil {
		return 0, fmt.Errorf("peer credentials: %w", err)
	}
	return uid, getErr
}
