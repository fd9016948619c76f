package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/starling-sync/starling/replica/store"
	"github.com/starling-sync/starling/replica/store/storetest"
)

// raw returns what Badger has at a key.
func raw(t *testing.T, s *Store, key []byte) []byte {
	t.Helper()
	txn := s.db.NewTransactionAt(s.commit.ts, false)
	defer txn.Discard()
	item, err := txn.Get(key)
	if err != nil {
		t.Fatal(err)
	}
	value, err := item.ValueCopy(nil)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// TestTamperedRecord changes sealed records below the store, as somebody does
// who can write Badger's files; each is named and the others are read.
func TestTamperedRecord(t *testing.T) {
	s := mustOpen(t, t.TempDir(), testConfig())
	b := new(store.Batch)
	for _, k := range []string{"a", "b", "c"} {
		b.Put(1, []byte(k), []byte("value of "+k))
	}
	b.Put(2, []byte("b"), []byte("value of b"))
	if err := s.Commit(b); err != nil {
		t.Fatal(err)
	}
	key := dataKey(1, []byte("b"))
	good := raw(t, s, key)
	cases := map[string][]byte{
		"empty":                 {},
		"short":                 good[:recordOverhead-1],
		"truncated":             good[:len(good)-1],
		"longer":                append(bytes.Clone(good), 0),
		"another key's":         raw(t, s, dataKey(1, []byte("a"))),
		"another table's":       raw(t, s, dataKey(2, []byte("b"))),
		"of the store's own":    raw(t, s, metaKey(schemaName)),
		"plain":                 []byte("value of b, which is not sealed at all, however long it is"),
		"of an unknown version": append([]byte{schemaVersion + 1}, good[1:]...),
	}
	for bit := range len(good) * 8 {
		flipped := bytes.Clone(good)
		flipped[bit/8] ^= 1 << (bit % 8)
		cases[fmt.Sprint("bit ", bit)] = flipped
	}
	for name, value := range cases {
		t.Run(name, func(t *testing.T) {
			overwrite(t, s, op{key: key, value: value})
			storetest.RequireDamaged(t, s, 1, []string{"a", "c"}, []string{"b"})
			_, err := s.Get(1, []byte("b"))
			if !strings.Contains(err.Error(), "table 01 key 62") {
				t.Fatalf("the error does not name the record: %v", err)
			}
			if v, err := s.Get(2, []byte("b")); err != nil || string(v) != "value of b" {
				t.Fatalf("another table: %q, %v", v, err)
			}
		})
	}
	overwrite(t, s, op{key: key, value: good})
	if v, err := s.Get(1, []byte("b")); err != nil || string(v) != "value of b" {
		t.Fatalf("the record as it was: %q, %v", v, err)
	}
}

// overwrite changes a value through the committer, which does not look at what
// it writes.
func overwrite(t *testing.T, s *Store, o op) {
	t.Helper()
	r := &request{done: make(chan error, 1)}
	r.add(o)
	if err := s.commit.submit(r); err != nil {
		t.Fatal(err)
	}
}

// TestOverwriteHeals: a damaged record can be written and deleted again.
func TestOverwriteHeals(t *testing.T) {
	s := mustOpen(t, t.TempDir(), testConfig())
	overwrite(t, s, op{key: dataKey(1, []byte("k")), value: []byte("damage")})
	if _, err := s.Get(1, []byte("k")); !errors.Is(err, store.ErrDamaged) {
		t.Fatal(err)
	}
	b := new(store.Batch)
	b.Put(1, []byte("k"), []byte("new"))
	if err := s.Commit(b); err != nil {
		t.Fatal(err)
	}
	if v, err := s.Get(1, []byte("k")); err != nil || string(v) != "new" {
		t.Fatalf("%q, %v", v, err)
	}
}

func TestWrongKeys(t *testing.T) {
	dir := prepare(t)
	badgerKey, recordKey := testConfig(), testConfig()
	badgerKey.BadgerKey[0]++
	recordKey.RecordKey[0]++
	if _, err := Open(dir, badgerKey); !errors.Is(err, store.ErrWrongKey) {
		t.Errorf("another key for Badger: %v", err)
	}
	if _, err := Open(dir, recordKey); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("another key for records: %v", err)
	}
	for _, c := range []*Config{nil, {}, {BadgerKey: [32]byte{1}}, {RecordKey: [32]byte{1}}} {
		if _, err := Open(dir, c); err == nil || !strings.Contains(err.Error(), "keys are required") {
			t.Errorf("without keys: %v", err)
		}
	}
	s := mustOpen(t, dir, testConfig())
	if v, err := s.Get(1, []byte("before")); err != nil || string(v) != "1" {
		t.Errorf("the right keys: %q, %v", v, err)
	}
}

func TestSchema(t *testing.T) {
	config := testConfig()
	seal, err := newSealer(&config.RecordKey)
	if err != nil {
		t.Fatal(err)
	}
	key := metaKey(schemaName)
	version := func(v uint64) []byte { return seal.seal(key, binary.AppendUvarint(nil, v)) }
	for _, c := range []struct {
		name  string
		value []byte
		err   error
	}{
		{"a newer version", version(schemaVersion + 1), store.ErrNewer},
		{"version 0", version(0), store.ErrDamaged},
		{"no version", seal.seal(key, nil), store.ErrDamaged},
		{"more than a version", seal.seal(key, []byte{1, 1}), store.ErrDamaged},
		{"not sealed", []byte{1}, store.ErrDamaged},
		{"deleted", nil, store.ErrDamaged},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := prepare(t)
			tamper(t, dir, op{key: key, value: c.value})
			if _, err := Open(dir, testConfig()); !errors.Is(err, c.err) {
				t.Fatalf("%v, want %v", err, c.err)
			}
		})
	}
}

// TestDamagedFiles puts nonsense in the place of each of Badger's own files.
// Badger may end the process over it, so that a child opens the store.
func TestDamagedFiles(t *testing.T) {
	for _, c := range []struct {
		name  string
		files string
		to    func(path string) error
	}{
		{"the manifest is nonsense", "MANIFEST", func(p string) error { return os.WriteFile(p, []byte("nonsense"), 0o600) }},
		{"the manifest is cut", "MANIFEST", func(p string) error { return os.Truncate(p, 5) }},
		{"the manifest is missing", "MANIFEST", os.Remove},
		{"the manifest is empty", "MANIFEST", func(p string) error { return os.Truncate(p, 0) }},
		{"the manifest has lost all tables", "MANIFEST", func(p string) error { return os.Truncate(p, 8) }},
		{"the key registry is missing", "KEYREGISTRY", os.Remove},
		{"a table is missing", "*.sst", os.Remove},
		{"a table is empty", "*.sst", func(p string) error { return os.Truncate(p, 0) }},
		{"a table is cut", "*.sst", func(p string) error { return os.Truncate(p, 100) }},
		{"the key registry is nonsense", "KEYREGISTRY", func(p string) error { return os.WriteFile(p, make([]byte, 90), 0o600) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := prepare(t)
			paths, err := filepath.Glob(filepath.Join(dir, c.files))
			if err != nil || len(paths) == 0 {
				t.Fatalf("no file %s: %v", c.files, err)
			}
			if err := c.to(paths[0]); err != nil {
				t.Fatal(err)
			}
			out, err := child("open", dir).CombinedOutput()
			if err == nil || !bytes.Contains(out, []byte(store.ErrDamaged.Error())) && !bytes.Contains(out, []byte(store.ErrWrongKey.Error())) {
				t.Fatalf("%v: %s", err, out)
			}
		})
	}
}

// TestLostEnd takes away what was committed last, in ways that Badger does not
// notice.
func TestLostEnd(t *testing.T) {
	dir := prepare(t)
	older := filepath.Join(t.TempDir(), "older")
	if err := copyTree(dir, older); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, dir, testConfig())
	mustCommit(t, s, journalBatch("new"))
	mustClose(t, s)
	whole := mustOpen(t, dir, testConfig())
	if err := whole.Lost(); err != nil {
		t.Fatalf("nothing is lost: %v", err)
	}
	mustClose(t, whole)

	tip, err := os.ReadFile(filepath.Join(dir, tipFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(older, tipFile), tip, 0o600); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, older, testConfig())
	if err := s.Lost(); !errors.Is(err, store.ErrDamaged) {
		t.Fatalf("the end is lost: %v", err)
	}
	if v, err := s.Get(1, []byte("before")); err != nil || string(v) != "1" {
		t.Fatalf("what is left: %q, %v", v, err)
	}
	mustClose(t, s)
	s = mustOpen(t, older, testConfig())
	if err := s.Lost(); !errors.Is(err, store.ErrDamaged) {
		t.Fatalf("the end is lost, and nothing was written since: %v", err)
	}
	mustCommit(t, s, journalBatch("again"))
	mustClose(t, s)
	s = mustOpen(t, older, testConfig())
	if err := s.Lost(); err != nil {
		t.Fatalf("after the next Close: %v", err)
	}
	mustClose(t, s)
	for _, damage := range [][]byte{{}, []byte("tip"), append([]byte{1}, tip[:len(tip)-1]...)} {
		if err := os.WriteFile(filepath.Join(older, tipFile), damage, 0o600); err != nil {
			t.Fatal(err)
		}
		s = mustOpen(t, older, testConfig())
		if err := s.Lost(); err != nil {
			t.Fatalf("a damaged file with the tip: %v", err)
		}
		mustClose(t, s)
	}
}

// The process is killed, and then the log of the last commits is damaged.
// Badger drops them without a word; the file with the tip knows better, until
// something was written in their place.
func TestLostEndAfterKill(t *testing.T) {
	dir := prepare(t)
	s := mustOpen(t, dir, testConfig())
	for i := range 20 {
		b := &store.Batch{}
		b.Put(1, []byte{byte(i)}, []byte("value"))
		mustCommit(t, s, b)
	}
	killed := filepath.Join(t.TempDir(), "killed")
	if err := copyTree(dir, killed); err != nil { // as a kill would leave it
		t.Fatal(err)
	}
	mustClose(t, s)
	whole := filepath.Join(t.TempDir(), "whole")
	if err := copyTree(killed, whole); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, whole, testConfig())
	if err := s.Lost(); err != nil {
		t.Fatalf("nothing is lost: %v", err)
	}
	mustClose(t, s)

	logs, err := filepath.Glob(filepath.Join(killed, "*.mem"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("no log: %v", err)
	}
	data, err := os.ReadFile(logs[len(logs)-1])
	if err != nil {
		t.Fatal(err)
	}
	data[len(bytes.TrimRight(data, "\x00"))/2] ^= 1
	if err := os.WriteFile(logs[len(logs)-1], data, 0o600); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, killed, testConfig())
	if err := s.Lost(); !errors.Is(err, store.ErrDamaged) {
		t.Fatalf("the end is lost: %v", err)
	}
	mustCommit(t, s, journalBatch("again"))
	mustClose(t, s)
	s = mustOpen(t, killed, testConfig())
	defer mustClose(t, s)
	if err := s.Lost(); err != nil {
		t.Fatalf("after the next commit: %v", err)
	}
}

// childCheck opens a store with bit rot and prints what it finds of the
// records of TestBitRot.
func childCheck(dir string) error {
	s, err := Open(dir, testConfig())
	if err != nil {
		return err
	}
	found := 0
	err = s.Scan(1, nil, nil, func(k, v []byte) error {
		if !bytes.Equal(v, rotValue(k)) {
			fmt.Printf("altered %x\n", k)
		}
		found++
		return nil
	})
	fmt.Println("found", found, err)
	if s.Lost() != nil {
		fmt.Println(s.Lost())
	}
	for i := range rotRecords {
		k := number(i)
		if v, err := s.Get(1, k); err == nil && !bytes.Equal(v, rotValue(k)) {
			fmt.Printf("altered %x\n", k)
		}
	}
	return s.Close()
}

const rotRecords = 300

func number(i int) []byte            { return fmt.Appendf(nil, "%08d", i) }
func rotValue(key []byte) []byte     { return bytes.Repeat(key, 1+int(key[7]-'0')) }
func copyTree(from, to string) error { return os.CopyFS(to, os.DirFS(from)) }

// TestBitRot flips bits in every file of a store: nothing altered is ever
// returned as if it were good. What is missing is counted only, because Badger
// drops the end of a damaged log without a word; a replica notices by the
// chains of its own records.
func TestBitRot(t *testing.T) {
	clean := t.TempDir()
	s := mustOpen(t, clean, testConfig())
	b := new(store.Batch)
	for i := range rotRecords {
		b.Put(1, number(i), rotValue(number(i)))
	}
	if err := s.Commit(b); err != nil {
		t.Fatal(err)
	}
	// A copy of a store that is open is one after a crash: its records are in
	// the log, and those of a closed one in a table.
	crashed := filepath.Join(t.TempDir(), "crashed")
	if err := copyTree(clean, crashed); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	counts := map[string]int{}
	r := rand.New(rand.NewPCG(1, 1))
	for _, dir := range []string{clean, crashed} {
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			for range 3 {
				counts[rot(t, dir, filepath.Base(file), r)]++
			}
		}
	}
	if counts["whole"] == 0 || counts["error"] == 0 {
		t.Errorf("the outcomes are too alike: %v", counts)
	}
	t.Log(counts)
}

// rot flips a bit among the first bytes of a file, where there is something,
// and returns what a child makes of the store.
func rot(t *testing.T, dir, file string, r *rand.Rand) string {
	t.Helper()
	broken := filepath.Join(t.TempDir(), "broken")
	if err := copyTree(dir, broken); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(broken, file)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	used := len(bytes.TrimRight(data, "\x00"))
	if used == 0 {
		return "whole"
	}
	data[r.IntN(used)] ^= 1 << r.IntN(8)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := child("check", broken).CombinedOutput()
	switch text := string(out); {
	case strings.Contains(text, "altered"):
		t.Errorf("%s: %s", file, text)
		return "altered"
	case strings.Contains(text, "found 300 <nil>"):
		return "whole" // a damaged tip is replaced
	case strings.Contains(text, "damaged") || strings.Contains(text, store.ErrWrongKey.Error()):
		return "error"
	case err != nil && !strings.Contains(text, "found"):
		return "ended the process"
	}
	return "missing"
}
