package replica_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/store"
)

// The tables, as on disk.
const (
	tableMeta store.Table = iota + 1
	tableMembers
	tableLog
	tableChains
	tablePending
	tableDocs
	tableIndex
	tablePrints
	tableLocal
)

// onDisk is the directories of a device with records in every table.
type onDisk struct {
	home, dir string
	state     string
}

// identity opens the device anew, as a new process does.
func (o onDisk) identity(t *testing.T) *encryption.Identity {
	t.Helper()
	id, err := encryption.OpenIdentity(o.home, key())
	try(t, err)
	return id
}

// here is where every copy of a directory is, for tests that copy it for other
// reasons than to see that this is noticed.
var here = []byte("here")

func (o onDisk) open(t *testing.T) (*replica.Replica, error) {
	t.Helper()
	r, err := replica.Open(o.dir, &replica.Config{Identity: o.identity(t), Place: here})
	if err == nil {
		t.Cleanup(func() { r.Close() })
	}
	return r, err
}

// prepare makes a device on a real store: it has exchanged changes of its own
// and of another one, and has made some alone since.
func prepare(t *testing.T) onDisk {
	t.Helper()
	o := onDisk{home: t.TempDir(), dir: t.TempDir()}
	id, _, err := encryption.Create(o.home, key(), &encryption.CreateOptions{Name: "a", Now: start})
	try(t, err)
	a := &device{id: id, cable: newCable()}
	a.Replica, err = replica.Open(o.dir, &replica.Config{Identity: id, Place: here, Network: a.cable})
	try(t, err)
	b := open(t, join(t, a, "b"))
	ctx := t.Context()
	try(t, a.Apply(ctx, []model.Edit{unread("c"), unread("d")}))
	try(t, b.Chat("c").Mute(ctx, model.Forever))
	connect(a, b)
	inSync(t, a, b)
	for _, d := range []*device{b, a, b} { // each edit depends on the one before
		try(t, d.Chat("c").MarkUnread(ctx))
		try(t, d.Chat("c").MarkRead(ctx, account.Position{Time: 1, ID: "m"}))
		inSync(t, a, b)
	}
	events := a.Watch(ctx, replica.Now)
	try(t, b.Close())
	await(t, events, func(ev model.Event) bool { return ev.Note == "disconnected" })
	try(t, a.Apply(ctx, []model.Edit{unread("e"), {Op: model.ChatPin, ID: "c"}, {Op: model.ChatPin, ID: "d"}}))
	try(t, a.Local("n").Put(ctx, "k", []byte("v")))
	o.state = stateOf(t, a.Replica)
	try(t, a.Close())
	return o
}

// copied returns a copy of the store, so that it can be spoilt.
func (o onDisk) copied(t *testing.T) onDisk {
	t.Helper()
	o2 := onDisk{home: o.home, dir: t.TempDir(), state: o.state}
	try(t, os.CopyFS(o2.dir, os.DirFS(o.dir)))
	return o2
}

// flip changes one byte of the sealed record of which pick says so, below the
// store, as a failing disk does, and returns its key.
func (o onDisk) flip(t *testing.T, table store.Table, pick func(key []byte) bool) []byte {
	t.Helper()
	secret := o.identity(t).BadgerKey().Reveal()
	options := badger.DefaultOptions(filepath.Join(o.dir, replica.StoreDir)).
		WithEncryptionKey(secret[:]).WithIndexCacheSize(2 << 20).WithLogger(nil).WithMetricsEnabled(false).
		WithMemTableSize(7 << 20).WithValueLogFileSize(16 << 20)
	db, err := badger.OpenManaged(options)
	try(t, err)
	defer func() { try(t, db.Close()) }()
	now := db.MaxVersion()
	txn := db.NewTransactionAt(now, true)
	defer txn.Discard()
	key, value := find(t, txn, []byte{'d', byte(table)}, pick)
	value[len(value)/2] ^= 1
	try(t, txn.Set(key, value))
	try(t, txn.CommitAt(now+1, nil))
	return key[2:]
}

// find returns the first record with the prefix that is picked.
func find(t *testing.T, txn *badger.Txn, prefix []byte, pick func([]byte) bool) (key, value []byte) {
	t.Helper()
	iterator := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer iterator.Close()
	for iterator.Rewind(); iterator.Valid(); iterator.Next() {
		if key = iterator.Item().KeyCopy(nil); pick(key[len(prefix):]) {
			value, err := iterator.Item().ValueCopy(nil)
			try(t, err)
			return key, value
		}
	}
	t.Fatalf("no such record of table %d", prefix[1])
	return nil, nil
}

func first([]byte) bool { return true }

func is(want string) func([]byte) bool {
	return func(key []byte) bool { return string(key) == want }
}

// Records from which nothing else can be made keep the store closed, and the
// error names the record; it opens again when the record is as it was.
func TestDamageThatOpenRefuses(t *testing.T) {
	whole := prepare(t)
	cases := map[string]struct {
		table store.Table
		pick  func([]byte) bool
	}{
		"format":     {tableMeta, is("format")},
		"instance":   {tableMeta, is("instance")},
		"counters":   {tableMeta, is("counters")},
		"announced":  {tableMeta, is("announced")},
		"membership": {tableMembers, first},
		"chain":      {tableChains, first},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			o := whole.copied(t)
			key := o.flip(t, c.table, c.pick)
			_, err := o.open(t)
			want := fmt.Sprintf("table %02x key %x", byte(c.table), key)
			if !errors.Is(err, replica.ErrDamaged) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), o.dir) {
				t.Fatalf("open gives %v, want %q in it", err, want)
			}
			o.flip(t, c.table, c.pick)
			r, err := o.open(t)
			try(t, err)
			if got := stateOf(t, r); got != o.state {
				t.Errorf("the state is\n%s, was\n%s", got, o.state)
			}
			verified(t, r)
		})
	}
}

// damaged opens a copy with one record spoilt, checks that Verify names it,
// and returns it.
func damaged(t *testing.T, whole onDisk, table store.Table, pick func([]byte) bool, named string) *replica.Replica {
	t.Helper()
	o := whole.copied(t)
	o.flip(t, table, pick)
	r, err := o.open(t)
	try(t, err)
	v, err := r.Verify(t.Context())
	if err != nil || v.OK || !strings.Contains(strings.Join(v.Problems, "\n"), named) {
		t.Fatalf("verification is %+v, %v, want %q", v, err, named)
	}
	return r
}

// Documents, the fingerprint and the count of events are made anew, and the
// index with the next edit of the entity; afterwards nothing is missing.
func TestDamageThatIsRepaired(t *testing.T) {
	whole := prepare(t)
	ctx := t.Context()
	cases := map[string]struct {
		table store.Table
		pick  func([]byte) bool
		named string
		edit  model.Edit // what touches the record
		state bool       // can be read before
	}{
		"index":       {tableIndex, is("\x01d"), "chat d: index entry: store: damaged record: table 07 key 0164", unread("d"), false},
		"fingerprint": {tablePrints, first, "damaged record: table 08", unread("c"), true},
	}
	for _, id := range []string{"c", "d", "e"} { // of both devices, one, not sealed
		c := cases["index"]
		c.table, c.pick, c.state = tableDocs, isDocument(t, whole, id), true
		c.named, c.edit = "chat "+id+": its document "+documentID(t, whole, id).String()+" is damaged", unread(id)
		cases["document "+id] = c
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := damaged(t, whole, c.table, c.pick, c.named)
			if _, err := r.State(ctx); (err == nil) != c.state || err != nil && !errors.Is(err, replica.ErrDamaged) {
				t.Errorf("state gives %v", err)
			}
			try(t, r.Apply(ctx, []model.Edit{{Op: model.ChatArchive, ID: c.edit.ID}}))
			try(t, r.Apply(ctx, []model.Edit{{Op: model.ChatUnarchive, ID: c.edit.ID}}))
			verified(t, r)
			if got := stateOf(t, r); got != whole.state {
				t.Errorf("the state is\n%s, was\n%s", got, whole.state)
			}
		})
	}
	o := whole.copied(t)
	o.flip(t, tableMeta, is("events"))
	r, err := o.open(t)
	try(t, err)
	verified(t, r)
}

// isDocument picks the document of a chat.
func isDocument(t *testing.T, whole onDisk, id string) func([]byte) bool {
	t.Helper()
	want := documentID(t, whole, id)
	return is(string(want[:]))
}

func documentID(t *testing.T, whole onDisk, id string) account.DocumentID {
	t.Helper()
	return account.Ref{Kind: account.KindChat, Entity: id}.ID([32]byte(whole.identity(t).Account()))
}

// What is damaged of the log, of the changes that wait, and of the records of
// this device alone is named; everything else goes on.
func TestDamageThatStays(t *testing.T) {
	whole := prepare(t)
	ctx := t.Context()
	t.Run("log", func(t *testing.T) {
		r := damaged(t, whole, tableLog, first, "envelope")
		try(t, r.Apply(ctx, []model.Edit{unread("new")}))
	})
	t.Run("pending", func(t *testing.T) {
		r := damaged(t, whole, tablePending, first, "changes that wait to be sealed: store: damaged record: table 05")
		try(t, r.Apply(ctx, []model.Edit{unread("new")}))
	})
	t.Run("local", func(t *testing.T) {
		r := damaged(t, whole, tableLocal, first, "damaged record: table 09")
		if _, err := r.Local("n").Get("k"); !errors.Is(err, replica.ErrDamaged) || !strings.Contains(err.Error(), "local n/k") {
			t.Errorf("get gives %v", err)
		}
		try(t, r.Local("n").Put(ctx, "k", []byte("again")))
		verified(t, r)
	})
}

// A document and an envelope that it needs are both damaged: it cannot be
// made anew, the error names both, and nothing else is touched.
func TestDamagedDocumentWithoutItsLog(t *testing.T) {
	o := prepare(t).copied(t)
	o.flip(t, tableDocs, isDocument(t, o, "c"))
	o.flip(t, tableLog, first)
	r, err := o.open(t)
	try(t, err)
	err = r.Apply(t.Context(), []model.Edit{unread("new"), {Op: model.ChatUnmute, ID: "c"}})
	if !errors.Is(err, replica.ErrDamaged) || !strings.Contains(err.Error(), "table 06") || !strings.Contains(err.Error(), "table 03") || !strings.Contains(err.Error(), `"c"`) {
		t.Fatalf("apply gives %v", err)
	}
	if got := stateOf(t, r); got != o.state {
		t.Errorf("the state is\n%s, was\n%s", got, o.state)
	}
	try(t, r.Apply(t.Context(), []model.Edit{unread("new")}))
}
