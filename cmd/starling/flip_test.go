package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/starling-sync/starling/replica/localapi/client"
)

var (
	flips    = flag.Int("flips", 1, "bytes that TestFlippedBits changes in each file, one at a time")
	flipSeed = flag.Uint64("flip-seed", 1, "seed of TestFlippedBits")
)

// TestFlippedBits changes one byte of each file of a store, again and again,
// of one that was closed and of one whose daemon was killed, and then asks for
// the state and for a verification. Either nothing is different, or one line
// says what is damaged, with the exit code for that. What happened to which
// kind of file is printed. More bytes:
//
//	go test ./cmd/starling -run '^TestFlippedBits$' -v -flips 50
//
// Three things are weaker than that. Over a table, Badger may end the process.
// A record whose key in a table is hit can be missing from the state until a
// verification says so. And of the log that a killed daemon leaves, Badger drops
// what follows the damage: the state is an earlier one then. The device must say
// so, and what it has lost must come back from the other device, also if it has
// written something meanwhile.
func TestFlippedBits(t *testing.T) {
	a, b := newMachine(t, "a"), newMachine(t, "b")
	a.run(nil, "init", "--name", "a", "--yes")
	a.up()
	a.invite(b)
	b.up(a.peers()...)
	for i := range 10 {
		a.run(nil, "chat", "read", fmt.Sprint("signal:", i), "--at", "2026-01-31T09:30:00Z", "--message", "m")
		b.run(nil, "contact", "set", fmt.Sprint("person-", i), "--name", "Somebody")
	}
	settle(t, a, b)
	a.down()
	a.up(b.peers()...) // so that there are tables, and a log after them
	a.run(nil, "chat", "mute", "signal:1")
	b.run(nil, "chat", "archive", "signal:2")
	settle(t, a, b)
	a.kill()
	killed := copyOf(t, a)
	a.verify() // which opens and closes the store
	closed := copyOf(t, a)
	random := rand.New(rand.NewPCG(*flipSeed, 0))
	for i, name := range []string{"killed", "closed"} {
		m := []*machine{killed, closed}[i]
		want, _, code := copyOf(t, m).try("state")
		if code != 0 || !bytes.Contains(want, []byte("signal:9")) {
			t.Fatalf("the %s store without damage: exit code %d, %s", name, code, want)
		}
		outcomes := map[string]map[string]int{}
		for _, file := range m.storeFiles() {
			for range *flips {
				if outcome := flip(t, m, b, file, random, want); outcome != "" {
					kind := kindOf(file)
					if outcomes[kind] == nil {
						outcomes[kind] = map[string]int{}
					}
					outcomes[kind][outcome]++
				}
			}
		}
		for _, kind := range slices.Sorted(maps.Keys(outcomes)) {
			t.Logf("%s, %-12s %v", name, kind, outcomes[kind])
		}
	}
}

// kindOf names the files that Badger numbers by their ending.
func kindOf(file string) string {
	if ext := filepath.Ext(file); ext != "" {
		return "*" + ext
	}
	return file
}

func (m *machine) storeFiles() (names []string) {
	m.t.Helper()
	files, err := os.ReadDir(filepath.Join(m.dir, "store"))
	m.check(err)
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names
}

// copyOf is a device with the same directory, without a daemon.
func copyOf(t *testing.T, m *machine) *machine {
	t.Helper()
	c := *m
	c.dir = filepath.Join(t.TempDir(), m.name)
	c.daemon, c.logs = nil, nil
	c.check(os.MkdirAll(filepath.Join(c.dir, "store"), 0o700))
	files := []string{"identity"}
	for _, name := range m.storeFiles() {
		files = append(files, filepath.Join("store", name))
	}
	for _, name := range files {
		data, err := os.ReadFile(filepath.Join(m.dir, name))
		c.check(err)
		c.write(name, data)
	}
	return &c
}

// write makes a file, with a hole instead of the zeroes at its end, of which
// Badger's logs have millions.
func (m *machine) write(name string, data []byte) {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	m.check(os.WriteFile(path, bytes.TrimRight(data, "\x00"), 0o600))
	m.check(os.Truncate(path, int64(len(data))))
}

// try runs one command to its end, however that is.
func (m *machine) try(args ...string) (stdout, stderr []byte, code int) {
	m.t.Helper()
	all := append(append([]string{"--dir", m.dir}, m.unlock...), args...)
	cmd := exec.CommandContext(m.t.Context(), m.program[0], all...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	err := cmd.Run()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		m.t.Fatal(err)
	}
	return out.Bytes(), problems.Bytes(), cmd.ProcessState.ExitCode()
}

// flip changes a byte in a copy of the device and says what came of it;
// nothing when the file has no byte that is used.
func flip(t *testing.T, m, other *machine, file string, random *rand.Rand, want []byte) string {
	t.Helper()
	m = copyOf(t, m)
	defer os.RemoveAll(m.dir)
	data, err := os.ReadFile(filepath.Join(m.dir, "store", file))
	m.check(err)
	used := len(bytes.TrimRight(data, "\x00"))
	if used == 0 {
		return ""
	}
	at := random.IntN(used)
	data[at] ^= byte(1 + random.IntN(255))
	m.write(filepath.Join("store", file), data)
	where := fmt.Sprintf("seed %d, byte %d of %d of %s", *flipSeed, at, used, file)
	damaged := exits[client.CodeDamaged].status
	state, said, code := m.try("state")
	line := withoutLog(said)
	switch {
	case code == damaged && oneLineOf(line):
		return "state refused"
	case brokenTable(file, line):
		return "state died"
	case code != 0:
		t.Errorf("%s: state ended with %d: %s", where, code, line)
		return "state failed otherwise"
	}
	_, line, code = m.try("verify")
	switch {
	case code == damaged && oneLineOf(line):
		if bytes.Equal(state, want) {
			return "verify refused"
		}
		return "state differs, verify refused"
	case brokenTable(file, line):
		return "verify died"
	case code != 0:
		t.Errorf("%s: verify ended with %d: %s", where, code, line)
		return "verify failed otherwise"
	case !bytes.Equal(state, want) && filepath.Ext(file) == ".mem":
		if !bytes.Contains(said, []byte("the end of the store is missing")) {
			t.Errorf("%s: the end is lost, and it only says %s", where, said)
		}
		return reunite(t, m, other, where, want)
	case !bytes.Equal(state, want):
		t.Errorf("%s: the state is silently another", where)
		return "silently different"
	}
	return "no difference"
}

// reunite lets a device with an earlier state meet the other one.
func reunite(t *testing.T, m, other *machine, where string, want []byte) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	m.up(other.peers()...)
	defer m.kill()
	devices := []*demoDevice{{name: m.name, client: m.client}, {name: other.name, client: other.client}}
	if err := until(ctx, changes(ctx, m.client, other.client), func() (bool, error) { return equal(ctx, devices) }); err != nil {
		t.Fatalf("%s: the devices do not become equal: %v", where, err)
	}
	m.verify()
	if state, _, _ := m.try("state"); !bytes.Equal(state, want) {
		t.Errorf("%s: the state is lost", where)
	}
	return "earlier state, whole again from the other device"
}

// brokenTable says whether the process died in a goroutine of Badger, where
// nobody can catch it, over a table that it could not read.
func brokenTable(file string, stderr []byte) bool {
	return filepath.Ext(file) == ".sst" && bytes.HasPrefix(stderr, []byte("panic: ")) &&
		bytes.Contains(stderr, []byte("github.com/dgraph-io/badger/v4"))
}

// withoutLog takes out what every copy of a directory says of itself.
func withoutLog(stderr []byte) []byte {
	var out []byte
	for line := range bytes.Lines(stderr) {
		if !bytes.Contains(line, []byte(newIdentity)) {
			out = append(out, line...)
		}
	}
	return out
}

func oneLineOf(stderr []byte) bool {
	return strings.HasPrefix(string(stderr), "starling: ") && bytes.Count(stderr, []byte("\n")) == 1
}
