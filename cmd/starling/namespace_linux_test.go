package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/starling-sync/starling/crdt/model"
)

// namespaces makes two network namespaces. The test is skipped where that is
// not allowed.
func namespaces(t *testing.T) (names [2]string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to make network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs the command ip (Debian: iproute2), to make network namespaces")
	}
	for i := range names {
		names[i] = fmt.Sprintf("starling-%c-%d", 'x'+rune(i), os.Getpid())
		if out, err := exec.Command("ip", "netns", "add", names[i]).CombinedOutput(); err != nil {
			t.Skipf("needs the right to make network namespaces: %s", strings.TrimSpace(string(out)))
		}
		t.Cleanup(func() { ip(t, "netns", "del", names[i]) })
	}
	return names
}

// cable makes two network namespaces that a cable joins, with the addresses
// 10.78.1.1 and 10.78.1.2.
func cable(t *testing.T) (names [2]string) {
	t.Helper()
	names = namespaces(t)
	ip(t, "-n", names[0], "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", names[1])
	for i, ns := range names {
		ip(t, "-n", ns, "link", "set", "lo", "up")
		ip(t, "-n", ns, "addr", "add", fmt.Sprintf("10.78.1.%d/24", i+1), "dev", "cable")
		ip(t, "-n", ns, "link", "set", "cable", "up")
	}
	return names
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// connect puts a machine at one end of a cable, where it listens on every
// interface and looks for others by multicast.
func (m *machine) connect(ns string) {
	m.program = append([]string{"ip", "netns", "exec", ns}, m.program...)
	m.listen = nil
}

// inside calls fn on a thread that is in a network namespace, and ends that
// thread.
func inside(t *testing.T, ns string, fn func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: nobody else may get this thread
		f, err := os.Open("/run/netns/" + ns)
		if err == nil {
			defer f.Close()
			err = unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
		}
		if err == nil {
			err = fn()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatalf("in %s: %v", ns, err)
	}
}

// TestNamespaces runs two daemons on two networks that a cable joins. Neither
// is told where the other is: after linking they find each other by multicast
// alone, and what is read on one is read on the other.
func TestNamespaces(t *testing.T) {
	names := cable(t)
	a, b := newMachine(t, "a"), newMachine(t, "b")
	a.connect(names[0])
	b.connect(names[1])
	a.run(nil, "init", "--name", "a", "--yes")
	a.up()
	a.invite(b)
	a.down() // and comes back at another port, of which b knows nothing
	a.up()
	b.up()
	began := time.Now()
	a.connected()
	b.connected()
	t.Logf("connected %v after both were up", time.Since(began).Round(time.Millisecond))
	for i, from := range []*machine{a, b} {
		to := []*machine{b, a}[i]
		message := "from-" + from.name
		from.run(nil, "chat", "read", "signal:1", "--at", fmt.Sprintf("2026-01-31T09:30:0%dZ", i), "--message", message)
		settle(t, a, b)
		var chat model.Chat
		if to.run(&chat, "chat", "show", "signal:1"); chat.Read == nil || chat.Read.ID != message {
			t.Errorf("%s shows %+v, want it read up to %s", to.name, chat.Read, message)
		}
		to.verify()
	}
}
