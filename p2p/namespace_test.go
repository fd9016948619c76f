package p2p_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/p2p"
	"github.com/starling-sync/starling/p2p/p2ptest"
)

// childDir names the identity of a test process that is one device in a
// network namespace.
const childDir = "STARLING_P2P_TEST_IDENTITY"

// TestMulticastBetweenNetworks runs two devices in two network namespaces that
// a cable joins. When they start, neither has an interface but loopback. The
// cable is plugged in later, and pulled out and plugged in again with other
// addresses. They must find each other by multicast alone each time.
func TestMulticastBetweenNetworks(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to make network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs the command ip (Debian: iproute2), to make network namespaces")
	}
	names := [2]string{fmt.Sprintf("starling-a-%d", os.Getpid()), fmt.Sprintf("starling-b-%d", os.Getpid())}
	for _, ns := range names {
		if out, err := exec.Command("ip", "netns", "add", ns).CombinedOutput(); err != nil {
			t.Skipf("needs the right to make network namespaces: %s", strings.TrimSpace(string(out)))
		}
		t.Cleanup(func() { ip(t, "netns", "del", ns) })
		ip(t, "-n", ns, "link", "set", "lo", "up")
	}
	first, second := namespaceAccount(t)
	a, b := startDevice(t, names[0], first), startDevice(t, names[1], second)
	for _, d := range []*device{a, b} {
		d.await("listening")
	}
	for _, subnet := range []string{"10.77.1", "10.77.2"} {
		ip(t, "-n", names[0], "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", names[1])
		for i, ns := range names {
			ip(t, "-n", ns, "addr", "add", fmt.Sprintf("%s.%d/24", subnet, i+1), "dev", "cable")
			ip(t, "-n", ns, "link", "set", "cable", "up")
		}
		begin := time.Now()
		a.await("talked")
		b.await("talked")
		t.Logf("found each other on %s.0 after %v", subnet, time.Since(begin))
		ip(t, "-n", names[0], "link", "del", "cable")
	}
}

func ip(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// namespaceAccount returns the directories of two devices of one account.
func namespaceAccount(t testing.TB) (first, second string) {
	t.Helper()
	key := encryption.UnlockKey(make([]byte, 32))
	first, second = t.TempDir(), t.TempDir()
	id, _, err := encryption.Create(first, key, &encryption.CreateOptions{Name: "first", Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	j, err := encryption.NewJoiner(&encryption.JoinOptions{Name: "second"})
	if err != nil {
		t.Fatal(err)
	}
	request := j.Request(encryption.Hash{1})
	welcome, err := p2ptest.Approve(id, request)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.OpenWelcome(request.Transcript, welcome); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Save(second, key); err != nil {
		t.Fatal(err)
	}
	return first, second
}

// device is a child process in a namespace.
type device struct {
	t     testing.TB
	lines chan string
}

func startDevice(t testing.TB, ns, dir string) *device {
	t.Helper()
	cmd := exec.Command("ip", "netns", "exec", ns, os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := cmd.StdinPipe() // its end tells the child to stop
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d := &device{t: t, lines: make(chan string, 1000)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for s := bufio.NewScanner(out); s.Scan(); {
			d.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		stdin.Close()
		<-done
		if err := cmd.Wait(); err != nil {
			t.Errorf("device in %s: %v", ns, err)
		}
	})
	return d
}

func (d *device) await(line string) {
	d.t.Helper()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for {
		select {
		case got := <-d.lines:
			if got == line {
				return
			}
			d.t.Log(got)
		case <-limit.C:
			d.t.Fatalf("a device did not get to %q", line)
		}
	}
}

// childDevice is a device of TestMulticastBetweenNetworks, until its standard
// input ends. It says "talked" whenever it has exchanged bytes with the other.
func childDevice(dir string) error {
	id, err := encryption.OpenIdentity(dir, encryption.UnlockKey(make([]byte, 32)))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	h, err := p2p.Listen(ctx, &p2p.Config{Identity: id})
	if err != nil {
		return err
	}
	defer h.Close()
	fmt.Println("listening")
	for {
		s, _, err := h.Accept(ctx)
		if err != nil {
			return nil
		}
		go func() {
			defer s.Close()
			if _, err := io.WriteString(s, "x"); err != nil {
				return
			}
			if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
				return
			}
			fmt.Println("talked")
			_, _ = s.Read(make([]byte, 1)) // until the cable is pulled out
		}()
	}
}
