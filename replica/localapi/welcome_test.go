//go:build linux || darwin

package localapi

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestWelcome(t *testing.T) {
	for _, c := range []struct {
		peer uint32
		self int
		want bool
	}{
		{1000, 1000, true}, {0, 1000, true}, {0, 0, true},
		{1001, 1000, false}, {1000, 0, false}, {65534, 1000, false}, {1<<32 - 1, -1, false},
	} {
		if got := welcome(c.peer, c.self); got != c.want {
			t.Errorf("peer %d at %d: %v", c.peer, c.self, got)
		}
	}
}

// The kernel names this process as its own peer.
func TestPeerUID(t *testing.T) {
	dir, err := os.MkdirTemp("", "sl")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	far, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	if uid, err := peerUID(far); err != nil || int(uid) != os.Geteuid() {
		t.Errorf("uid %d, error %v, want %d", uid, err, os.Geteuid())
	}
	far.Close()
	if _, err := peerUID(far); err == nil {
		t.Error("a closed connection has a peer")
	}
}
