//go:build linux || darwin

package localapi_test

import (
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/starling-sync/starling/replica/localapi"
	"github.com/starling-sync/starling/replica/localapi/apitest"
	"github.com/starling-sync/starling/replica/localapi/client"
)

func TestListenModes(t *testing.T) {
	socket := socketIn(t)
	l, err := localapi.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	dir, _ := os.Stat(filepath.Dir(socket))
	file, _ := os.Lstat(socket)
	if dir.Mode() != fs.ModeDir|0o700 || file.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("modes %v and %v", dir.Mode(), file.Mode())
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(socket); !os.IsNotExist(err) {
		t.Errorf("after Close: %v", err)
	}
	if again, err := localapi.Listen(socket); err != nil {
		t.Errorf("again: %v", err)
	} else {
		again.Close()
	}
}

func TestListenInUse(t *testing.T) {
	d := start(t, nil)
	_, err := localapi.Listen(d.socket)
	wantCode(t, err, client.CodeInUse)
	if _, err := d.client.ListChats(t.Context()); err != nil {
		t.Errorf("the daemon that was there: %v", err)
	}
}

// A socket whose daemon died is replaced.
func TestListenStale(t *testing.T) {
	socket := socketIn(t)
	if err := os.Mkdir(filepath.Dir(socket), 0o700); err != nil {
		t.Fatal(err)
	}
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	l, err := localapi.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

// Of many daemons that start over a dead one's socket, one wins, and its
// socket stays.
func TestListenRace(t *testing.T) {
	socket := socketIn(t)
	if err := os.Mkdir(filepath.Dir(socket), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		dead.SetUnlinkOnClose(false)
		dead.Close()
		var mu sync.Mutex
		var won []net.Listener
		var done sync.WaitGroup
		for range 8 {
			done.Go(func() {
				l, err := localapi.Listen(socket)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won = append(won, l)
				} else if client.CodeOf(err) != client.CodeInUse {
					t.Errorf("a loser gets %v", err)
				}
			})
		}
		done.Wait()
		if len(won) != 1 {
			t.Fatalf("%d daemons listen", len(won))
		}
		if conn, err := net.Dial("unix", socket); err != nil {
			t.Errorf("the winner's socket: %v", err)
		} else {
			conn.Close()
		}
		won[0].Close()
	}
}

// Nothing but a socket is removed, neither at the start nor at the end.
func TestListenKeepsFiles(t *testing.T) {
	socket := socketIn(t)
	dir := filepath.Dir(socket)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	precious := filepath.Join(dir, "precious")
	makers := map[string]func() error{
		"file":      func() error { return os.WriteFile(socket, []byte("x"), 0o600) },
		"directory": func() error { return os.Mkdir(socket, 0o700) },
		"pipe":      func() error { return syscall.Mkfifo(socket, 0o600) },
		"link":      func() error { return os.Symlink(precious, socket) },
	}
	for name, make := range makers {
		if err := make(); err != nil {
			t.Fatal(err)
		}
		_, err := localapi.Listen(socket)
		wantCode(t, err, client.CodeInUse)
		if _, err := os.Lstat(socket); err != nil {
			t.Errorf("the %s is gone: %v", name, err)
		}
		os.Remove(socket)
	}
	l, err := localapi.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(socket)
	makers["file"]()
	l.Close()
	if _, err := os.Lstat(socket); err != nil {
		t.Errorf("Close removed a file that took the place: %v", err)
	}
}

func TestListenDirectory(t *testing.T) {
	socket := socketIn(t)
	dir := filepath.Dir(socket)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []fs.FileMode{0o777, 0o720, 0o702} {
		os.Chmod(dir, mode)
		_, err := localapi.Listen(socket)
		wantCode(t, err, client.CodePermission)
	}
	os.Chmod(dir, 0o700)
	if os.Getuid() != 0 {
		t.Skip("needs root: the rest gives the directory to another user")
	}
	if err := os.Chown(dir, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	_, err := localapi.Listen(socket)
	wantCode(t, err, client.CodePermission)
}

func TestListenLongPath(t *testing.T) {
	dir := filepath.Dir(socketIn(t))
	longest := filepath.Join(dir, strings.Repeat("x", client.MaxSocketPath()-len(dir)-1))
	l, err := localapi.Listen(longest)
	if err != nil {
		t.Fatalf("%d bytes: %v", len(longest), err)
	}
	l.Close()
	_, err = localapi.Listen(longest + "x")
	wantCode(t, err, client.CodeBadRequest)
	if !strings.Contains(err.Error(), "the system allows") {
		t.Errorf("the error says %q", err)
	}
	wantCode(t, client.New(longest+"x").Apply(t.Context(), nil), client.CodeBadRequest)
}

func TestDefaultSocket(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "/run/user/1000")
	const want = "/run/user/1000/starling/96b53e47e3fc.sock" // printf %s /srv/data | sha256sum
	for _, dir := range []string{"/srv/data", "/srv/data/", "/srv/./x/../data"} {
		if got := localapi.DefaultSocket(dir); got != want {
			t.Errorf("%s: %s, want %s", dir, got, want)
		}
	}
	if localapi.DefaultSocket("/srv/other") == want {
		t.Error("two directories share a socket")
	}
	for _, unset := range []string{"", "relative"} {
		t.Setenv("XDG_RUNTIME_DIR", unset)
		t.Setenv("TMPDIR", "/tmp")
		if got := localapi.DefaultSocket("/srv/data"); !strings.HasPrefix(got, "/tmp/starling-") || filepath.Base(got) != filepath.Base(want) {
			t.Errorf("without a runtime directory: %s", got)
		}
	}
}

// TestOtherUser runs this test again as another user, who must get nothing,
// although the modes of the files are opened for them.
func TestOtherUser(t *testing.T) {
	if socket := os.Getenv("STARLING_TEST_SOCKET"); socket != "" {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatalf("connect: %v", err) // the modes would have sufficed
		}
		defer conn.Close()
		io.WriteString(conn, "GET /v1/state HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if answer, _ := io.ReadAll(conn); len(answer) > 0 {
			t.Fatalf("a stranger was answered: %s", answer)
		}
		return
	}
	if os.Getuid() != 0 {
		t.Skip("needs root: only root can run a process as another user")
	}
	d := serve(t, apitest.New(nil), nil, nil)
	run := filepath.Dir(d.socket)
	for path, mode := range map[string]fs.FileMode{filepath.Dir(run): 0o755, run: 0o755, d.socket: 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	binary := filepath.Join(filepath.Dir(run), "test")
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Skipf("needs /proc/self/exe: %v", err)
	}
	if err := os.WriteFile(binary, self, 0o755); err != nil {
		t.Fatal(err)
	}
	child := exec.Command(binary, "-test.run=^TestOtherUser$")
	child.Dir = "/"
	child.Env = append(os.Environ(), "STARLING_TEST_SOCKET="+d.socket)
	child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("the other user: %v\n%s", err, out)
	}
	if _, err := d.client.ListChats(t.Context()); err != nil {
		t.Errorf("the daemon afterwards: %v", err)
	}
}
