package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// newIdentity is what a daemon says that finds that its directory is another.
const newIdentity = "writes under a new identity from now on"

// twinOf is a copy of a device's directory, to be run beside it.
func twinOf(t *testing.T, m *machine) *machine {
	t.Helper()
	twin := copyOf(t, m)
	twin.name += "'"
	run, err := os.MkdirTemp("", "starling")
	m.check(err)
	t.Cleanup(func() { os.RemoveAll(run) })
	twin.socket = filepath.Join(run, "s")
	twin.client = client.New(twin.socket)
	t.Cleanup(func() { twin.client.Close(); twin.kill() })
	return twin
}

// sees waits until a daemon's status is as it should be.
func (m *machine) sees(what string, is func(model.Status) bool) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	if err := until(ctx, changes(ctx, m.client), func() (bool, error) {
		s, err := m.client.Status(ctx)
		return is(s), err
	}); err != nil {
		m.t.Fatalf("%s: %s: %v", m.name, what, err)
	}
}

// holds fails the test unless the state has all of these chats.
func (m *machine) holds(chats ...string) {
	m.t.Helper()
	var state model.State
	m.run(&state, "state")
	held := map[string]bool{}
	for _, c := range state.Chats {
		held[c.ID] = true
	}
	for _, id := range chats {
		if !held[id] {
			m.t.Errorf("%s has lost chat %q", m.name, id)
		}
	}
}

// TestCopiedDirectory copies the directory of one of three running devices,
// and runs the copy beside the original. Both write. All four become equal,
// the copy says what it is, and the others that one of them runs twice.
func TestCopiedDirectory(t *testing.T) {
	a, b, c := newMachine(t, "a"), newMachine(t, "b"), newMachine(t, "c")
	a.run(nil, "init", "--name", "a", "--yes")
	a.up()
	a.invite(b)
	b.up(a.peers()...)
	a.invite(c)
	c.up(append(a.peers(), b.peers()...)...)
	a.run(nil, "chat", "mute", "before")
	settle(t, a, b, c)
	twin := twinOf(t, a)
	a.run(nil, "chat", "mute", "of the original")
	twin.up(append(b.peers(), c.peers()...)...)
	twin.run(nil, "chat", "mute", "of the copy")
	a.run(nil, "chat", "mute", "of the original too")
	settle(t, a, b, c, twin)
	for _, m := range []*machine{a, b, c, twin} {
		m.holds("before", "of the original", "of the copy", "of the original too")
	}
	b.sees("a device runs twice", func(s model.Status) bool { return s.Counts.Faults > 0 })
	twin.sees("it is a copy", func(s model.Status) bool { return s.Counts.Faults > 0 })
	twin.kill()
	if !strings.Contains(string(twin.logs), newIdentity) {
		t.Errorf("the copy does not say what it is:\n%s", string(twin.logs))
	}
	a.verify()
}

// TestRestoredDirectory puts an old copy over the directory of a device that
// has written more since, which another device has. Where the directory is
// another one then, the device says so at its start; where only the files in
// it are, the other device tells it. Nothing that was acknowledged is lost.
func TestRestoredDirectory(t *testing.T) {
	for name, restore := range map[string]func(t *testing.T, m, from *machine){
		"another directory": func(t *testing.T, m, from *machine) {
			m.check(os.RemoveAll(m.dir))
			m.check(os.Rename(from.dir, m.dir))
		},
		"its files": func(t *testing.T, m, from *machine) {
			for _, file := range m.storeFiles() {
				m.check(os.Remove(filepath.Join(m.dir, "store", file)))
			}
			for _, file := range from.storeFiles() {
				data, err := os.ReadFile(filepath.Join(from.dir, "store", file))
				m.check(err)
				m.write(filepath.Join("store", file), data)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newMachine(t, "a"), newMachine(t, "b")
			a.run(nil, "init", "--name", "a", "--yes")
			a.up()
			a.invite(b)
			b.up(a.peers()...)
			a.run(nil, "chat", "mute", "before")
			settle(t, a, b)
			a.down()
			old := copyOf(t, a)
			a.up(b.peers()...)
			for i := range 5 {
				a.run(nil, "chat", "mute", fmt.Sprint("lost-", i))
			}
			settle(t, a, b)
			a.down()

			restore(t, a, old)
			_, alone, code := a.try("chat", "mute", "alone") // without a daemon
			if code != 0 {
				t.Fatalf("alone: %s", alone)
			}
			a.up(b.peers()...)
			a.run(nil, "chat", "mute", "since")
			settle(t, a, b)
			for _, m := range []*machine{a, b} {
				m.holds("before", "alone", "since", "lost-0", "lost-4")
			}
			a.verify()
			a.run(nil, "chat", "mute", "later")
			settle(t, a, b)
			a.down()
			b.sees("all is well there", func(s model.Status) bool { return s.Counts.Faults == 0 })
			if !strings.Contains(string(alone)+string(a.logs), newIdentity) {
				t.Errorf("it does not say that it was restored:\n%s%s", alone, string(a.logs))
			}
		})
	}
}
