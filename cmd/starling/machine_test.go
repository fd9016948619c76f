package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/starling-sync/starling/replica/localapi/client"
)

// machine is a device of a test outside the scripts: a directory and the
// processes on it.
type machine struct {
	t       testing.TB
	name    string
	dir     string
	socket  string
	program []string // what runs starling, with what stands before its arguments
	unlock  []string // the flags that open the directory
	listen  []string // the flags of the network

	client *client.Client
	daemon *process // nil while there is none
	addrs  []string // of the daemon that was ready last
	logs   []byte   // of the daemons that have ended
}

// newMachine is a device that listens on loopback and opens with a key file.
func newMachine(t testing.TB, name string) *machine {
	t.Helper()
	self, err := exec.LookPath("starling") // testscript.Main puts it there
	if err != nil {
		t.Fatal(err)
	}
	run, err := os.MkdirTemp("", "starling") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(run) })
	m := &machine{
		t: t, name: name, dir: filepath.Join(t.TempDir(), name), socket: filepath.Join(run, "s"),
		program: []string{self}, listen: []string{"--listen", "127.0.0.1:0", "--no-discovery"},
	}
	m.unlock = []string{"--key-file", m.dir + ".key"}
	m.client = client.New(m.socket)
	t.Cleanup(func() { m.client.Close(); m.kill() })
	return m
}

// start runs starling on the directory. The process ends with the test.
func (m *machine) start(args ...string) *process {
	m.t.Helper()
	all := append(append([]string{}, m.program[1:]...), "--json", "--dir", m.dir)
	all = append(append(all, m.unlock...), args...)
	p := &process{cmd: exec.CommandContext(m.t.Context(), m.program[0], all...)}
	p.cmd.Stderr = &p.errors
	stdout, err := p.cmd.StdoutPipe()
	m.check(err)
	p.stdin, err = p.cmd.StdinPipe()
	m.check(err)
	m.check(p.cmd.Start())
	p.events = json.NewDecoder(stdout)
	p.wait = sync.OnceValue(func() error { return p.failure(p.cmd.Wait()) })
	return p
}

// run runs one command to its end and decodes what it prints into v, if not nil.
func (m *machine) run(v any, args ...string) {
	m.t.Helper()
	p := m.start(args...)
	if v == nil {
		v = &json.RawMessage{}
	}
	defer p.within(patience)()
	if err := errors.Join(p.next(v), p.done()); err != nil {
		m.t.Fatalf("%s: starling %s: %v", m.name, strings.Join(args, " "), err)
	}
}

// up starts the daemon and waits until it is ready.
func (m *machine) up(args ...string) {
	m.t.Helper()
	m.daemon = m.launch(args...)
	m.await()
}

// launch starts a daemon and waits for nothing.
func (m *machine) launch(args ...string) *process {
	m.t.Helper()
	return m.start(append(append([]string{"up", "--api", m.socket}, m.listen...), args...)...)
}

// await waits until the daemon is ready.
func (m *machine) await() {
	m.t.Helper()
	defer m.daemon.within(patience)()
	var ready struct{ Addrs []string }
	if err := m.daemon.next(&ready); err != nil {
		m.t.Fatalf("the daemon of %s did not get ready: %v", m.name, err)
	}
	m.addrs = ready.Addrs
}

// kill ends the daemon as a crash does.
func (m *machine) kill() {
	if m.daemon == nil {
		return
	}
	p := m.daemon
	m.daemon = nil
	_ = p.cmd.Process.Kill() // it has ended by itself, perhaps
	_ = p.wait()
	m.logs = append(m.logs, p.errors.String()...)
}

// down ends the daemon as a person does.
func (m *machine) down() {
	m.t.Helper()
	p := m.daemon
	m.daemon = nil
	defer p.within(patience)()
	m.check(p.cmd.Process.Signal(syscall.SIGTERM))
	m.check(p.done())
	m.logs = append(m.logs, p.errors.String()...)
}

// peers are the flags by which another daemon dials this one.
func (m *machine) peers() []string {
	var flags []string
	for _, addr := range m.addrs {
		flags = append(flags, "--peer", addr)
	}
	return flags
}

// invite links a new device through the daemon of this one.
func (m *machine) invite(other *machine) {
	m.t.Helper()
	link := m.start("link")
	join := other.start(append(append([]string{"join", "--name", other.name}, other.listen...), "-")...)
	defer link.within(patience)()
	defer join.within(patience)()
	if _, err := handOver(link, join); err != nil {
		m.t.Fatalf("link %s: %v", other.name, err)
	}
	m.check(errors.Join(join.done(), link.done()))
}

func (m *machine) check(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatalf("%s: %v", m.name, err)
	}
}

// within kills a process that hangs, unless it is stopped before.
func (p *process) within(d time.Duration) (stop func()) {
	timer := time.AfterFunc(d, func() { _ = p.cmd.Process.Kill() })
	return func() { timer.Stop() }
}

// connected waits until the daemon is connected to another, and returns the
// address of that.
func (m *machine) connected() (addr string) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	m.check(until(ctx, changes(ctx, m.client), func() (bool, error) {
		s, err := m.client.Status(ctx)
		for _, p := range s.Peers {
			if p.Connected {
				addr = p.Addr
			}
		}
		return addr != "", err
	}))
	return addr
}

// settle waits until all daemons hold the same.
func settle(t testing.TB, machines ...*machine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var devices []*demoDevice
	for _, m := range machines {
		devices = append(devices, &demoDevice{name: m.name, client: m.client})
	}
	if _, err := converged(ctx, devices); err != nil {
		t.Fatal(err)
	}
}
