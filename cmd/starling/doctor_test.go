package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/fxamacker/cbor/v2"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/store"
	"github.com/starling-sync/starling/replica/store/disk"
)

// childDies names, in the environment of a test, a task, a part of it, and how the
// child of doctor ends when it begins that part.
const childDies = "STARLING_TEST_CHILD"

func init() {
	want := strings.Split(os.Getenv(childDies), ":")
	if len(want) != 3 {
		return
	}
	childHook = func(task, part string) {
		if task == want[0] && part == want[1] {
			dieOf(want[2])
		}
	}
}

// dieOf ends the process as damage does.
func dieOf(how string) {
	switch how {
	case "panic": // where nobody can catch it, as in a goroutine of Badger
		go func() { panic("a table is damaged") }()
	case "abort": // as the Automerge core does
		_ = syscall.Kill(os.Getpid(), syscall.SIGABRT)
	case "kill": // as a system does that has no memory left
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "bus": // as a disk does that cannot deliver a page
		f, err := os.CreateTemp("", "starling-bus-*")
		if err != nil {
			panic(err)
		}
		_ = os.Remove(f.Name())
		_ = f.Truncate(1 << 16)
		page, err := unix.Mmap(int(f.Fd()), 0, 1<<16, unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			panic(err)
		}
		_ = f.Truncate(0)
		os.Stdout.Write(page[1<<12:][:1:1]) // the kernel says EFAULT
		_ = page[1<<12] + 1
		println(page[1<<12])
	}
	select {} // as a disk does that never answers
}

// spoil NAME TABLE KEY|N changes one byte of the sealed value of a record, below the
// store, as a failing disk does: of the one with a key, or of the N-th of the table,
// counted from 0.
func cmdSpoil(ts *testscript.TestScript, _ bool, args []string) {
	table, err := strconv.Atoi(args[1])
	ts.Check(err)
	unlock, err := encryption.ReadKeyFile(ts.MkAbs(args[0] + ".key"))
	ts.Check(err)
	id, err := encryption.OpenIdentity(ts.MkAbs(args[0]), unlock)
	ts.Check(err)
	secret := id.BadgerKey().Reveal()
	db, err := badger.OpenManaged(badger.DefaultOptions(filepath.Join(ts.MkAbs(args[0]), replica.StoreDir)).
		WithEncryptionKey(secret[:]).WithIndexCacheSize(2 << 20).WithLogger(nil).WithMetricsEnabled(false).
		WithMemTableSize(7 << 20).WithValueLogFileSize(16 << 20))
	ts.Check(err)
	now := db.MaxVersion()
	txn := db.NewTransactionAt(now, true)
	key, value := findRecord(ts, txn, []byte{'d', byte(table)}, args[2])
	value[len(value)/2] ^= 1
	ts.Check(txn.Set(key, value))
	ts.Check(txn.CommitAt(now+1, nil))
	txn.Discard()
	ts.Check(db.Close())
}

func findRecord(ts *testscript.TestScript, txn *badger.Txn, prefix []byte, which string) (key, value []byte) {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	n, notNumber := strconv.Atoi(which)
	for it.Rewind(); it.Valid(); it.Next() {
		key := it.Item().KeyCopy(nil)
		if n--; notNumber != nil && string(key[len(prefix):]) == which || notNumber == nil && n < 0 {
			value, err := it.Item().ValueCopy(nil)
			ts.Check(err)
			return key, value
		}
	}
	ts.Fatalf("table %d has no record %s", prefix[1], which)
	return nil, nil
}

// TestDoctorNamesWhatIsSetAside has an envelope set aside, as a process leaves it
// that was ended by it three times.
func TestDoctorNamesWhatIsSetAside(t *testing.T) {
	m := newMachine(t, "a")
	m.run(nil, "init", "--name", "a", "--yes")
	m.run(nil, "chat", "unread", "signal:1")
	unlock, err := encryption.ReadKeyFile(m.dir + ".key")
	m.check(err)
	id, err := encryption.OpenIdentity(m.dir, unlock)
	m.check(err)
	s, err := disk.Open(filepath.Join(m.dir, replica.StoreDir), &disk.Config{
		BadgerKey: id.BadgerKey().Reveal(), RecordKey: id.RecordKey().Reveal(),
	})
	m.check(err)
	b := &store.Batch{}
	raw, err := cbor.Marshal(map[[32]byte]uint8{{7}: 3})
	m.check(err)
	b.Put(1, []byte("suspects"), raw)
	m.check(s.Commit(b))
	m.check(s.Close())
	d := m.diagnose()
	i := slices.IndexFunc(d.findings, func(f finding) bool { return f.Check == "set aside" })
	if d.code != 0 || i < 0 || d.findings[i].Result != resultNote || !strings.Contains(d.findings[i].Details[0], "0700000000") {
		t.Errorf("doctor ends with %d and says %+v", d.code, d.findings)
	}
}

// TestDoctorKeepsSecretsToItself looks at what a child is started with.
func TestDoctorKeepsSecretsToItself(t *testing.T) {
	m := newMachine(t, "a")
	m.run(nil, "init", "--name", "a", "--yes")
	m.run(nil, "chat", "unread", "signal:1")
	secret, err := os.ReadFile(m.dir + ".key")
	m.check(err)
	t.Setenv(childDies, taskExamine+":"+string(replica.PartLog)+":hang")
	p := m.start("doctor", "--limit", "1m")
	for {
		var f finding
		if m.check(p.next(&f)); f.Check == "newest changes" {
			break
		}
	}
	children, err := filepath.Glob("/proc/[0-9]*/cmdline")
	m.check(err)
	seen := 0
	for _, path := range children {
		line, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(line, []byte(childCommand)) || !bytes.Contains(line, []byte(m.dir)) {
			continue // it has ended, or is not ours
		}
		seen++
		environ, err := os.ReadFile(filepath.Join(filepath.Dir(path), "environ"))
		m.check(err)
		if key := bytes.TrimSpace(secret); bytes.Contains(line, key) || bytes.Contains(environ, key) {
			t.Error("the key of the directory can be seen from outside")
		}
	}
	m.check(p.cmd.Process.Signal(os.Interrupt))
	_ = p.wait()
	if seen != 1 {
		t.Skipf("needs /proc, to see the arguments of other processes: %d children are seen", seen)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != exits[codeInterrupted].status {
		t.Errorf("interrupted, doctor ends with %d", code)
	}
}
