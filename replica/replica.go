package replica

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/core"
	"github.com/starling-sync/starling/replica/store"
)

// Replica is one device's replica of an account. All methods may be called
// from several goroutines.
type Replica struct {
	config *Config // read-only after Open
	id     *encryption.Identity
	hub    *hub

	intents chan *intent     // to the loop
	inbox   chan linkEvent   // likewise
	calls   chan func(*loop) // likewise
	written chan error       // outcome of the group in flight; capacity 1

	stop     chan struct{} // closed by Close
	done     chan struct{} // closed when the loop has ended
	closing  sync.Once
	closeErr error              // read-only once done is closed and Close returned
	accept   context.CancelFunc // ends the accepting goroutine
	workers  sync.WaitGroup     // the loop and the accepting goroutine
	links    sync.WaitGroup     // readers and writers of links

	byHand *driven // nil, unless the replica is driven by hand

	generation uint64 // of the store; 0 if nobody remembers it; of Open and Close

	mu        sync.Mutex
	lastHeard map[encryption.DeviceID]time.Time // guarded by mu
}

// Open opens the replica in dir, making its store on first use, and joins the
// network. It fails with ErrInUse when it is open already, here or in another
// process, with ErrWrongAccount when the store belongs to another account or
// device, with ErrReadOnly, ErrDiskFull, or ErrDamaged when a record is
// damaged that nothing else can be made from. After an error the store is
// closed and the network is not.
//
// A store on a full disk opens as long as the disk has the little that the
// store itself needs for that: everything can be read, and edits fail with
// ErrDiskFull until there is room.
func Open(dir string, c *Config) (*Replica, error) {
	config, err := c.withDefaults(dir)
	if err != nil {
		return nil, err
	}
	return openWith(dir, config)
}

// openWith is Open with a store that is open.
func openWith(dir string, config *Config) (*Replica, error) {
	r := newReplica(config)
	l, err := r.load()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open replica %s: %w", dir, err), r.closeStore())
	}
	r.workers.Go(func() { defer close(r.done); l.run(r.stop) })
	ctx, cancel := context.WithCancel(context.Background()) //lint:allow context.Background it ends in Close
	r.accept = cancel
	if config.Network != nil {
		r.workers.Go(func() { r.acceptAll(ctx) })
	}
	return r, nil
}

func newReplica(config *Config) *Replica {
	return &Replica{
		config: config, id: config.Identity,
		intents: make(chan *intent), inbox: make(chan linkEvent),
		calls: make(chan func(*loop)), written: make(chan error, 1),
		stop: make(chan struct{}), done: make(chan struct{}),
		lastHeard: map[encryption.DeviceID]time.Time{},
	}
}

// Close ends all sessions, waits for what is being written, and releases the
// store. Edits that are being written get their outcome, all other calls that
// wait get ErrClosed and did nothing. It is idempotent.
func (r *Replica) Close() error {
	r.closing.Do(func() {
		r.accept()
		var netErr error
		if r.config.Network != nil {
			netErr = r.config.Network.Close()
		}
		close(r.stop)
		r.workers.Wait()
		r.links.Wait()
		r.endGeneration()
		r.closeErr = errors.Join(netErr, r.closeStore())
	})
	return r.closeErr
}

func (r *Replica) closeStore() error {
	err := r.config.Store.Close()
	if r.config.Journal != nil {
		err = errors.Join(err, r.config.Journal.Close())
	}
	return err
}

func (r *Replica) acceptAll(ctx context.Context) {
	for {
		conn, peer, err := r.config.Network.Accept(ctx)
		if err != nil {
			if ctx.Err() == nil {
				r.config.Log.Error("the network has ended", "err", err)
			}
			return
		}
		link := newLink(0, conn, peer)
		if r.call(ctx, func(l *loop) { l.attach(link) }) != nil {
			link.close()
			return
		}
	}
}

// call runs fn in the loop and waits for it. After an error fn does not run.
func (r *Replica) call(ctx context.Context, fn func(*loop)) error {
	if err := ctx.Err(); err != nil {
		return err // a select would choose either way
	}
	if r.byHand != nil {
		r.byHand.call(fn)
		return nil
	}
	finished := make(chan struct{})
	select {
	case r.calls <- func(l *loop) { fn(l); close(finished) }:
		<-finished
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.done:
		return ErrClosed
	}
}

// ask runs fn in the loop and returns its error, or why it did not run.
func (r *Replica) ask(ctx context.Context, fn func(*loop) error) (err error) {
	if e := r.call(ctx, func(l *loop) { err = fn(l) }); e != nil {
		return e
	}
	return closed(err)
}

// deliver hands an event to the loop.
func (r *Replica) deliver(ev linkEvent) error {
	select {
	case r.inbox <- ev:
		return nil
	case <-r.done:
		return errStopped
	}
}

// load reads what the loop starts from.
func (r *Replica) load() (*loop, error) {
	f, nonce, err := r.openFormat()
	if err != nil {
		return nil, err
	}
	l := &loop{
		r: r, config: r.config, limits: defaultLogLimits(),
		links: map[core.SessionID]*link{}, saved: map[[32]byte]bool{}, comparing: map[[8]byte]*comparison{}, wanted: map[account.DocumentID]bool{},
		reads: map[encryption.DeviceID]int{}, lacking: map[account.DocumentID]lack{},
	}
	if err := errors.Join(l.loadRoster(), l.loadUnsure()); err != nil {
		return nil, err
	}
	moved, err := r.openPlace(f)
	if err != nil {
		return nil, err
	}
	if err := l.loadContent(f, nonce); err != nil {
		return nil, err
	}
	if err := l.openJournal(); err != nil {
		return nil, err
	}
	if moved != "" {
		l.rewind(moved)
	} else if f != r.format() {
		l.adopt()
	}
	_ = l.renew() // the person was told, and it is tried again
	if err := l.applySalvaged(); err != nil {
		r.config.Log.Warn("what was salvaged waits for the next start", "err", err)
	}
	return l, nil
}

// loadContent reads all but the roster. The author is the one that has written so
// far, also when its device goes by another id now.
func (l *loop) loadContent(f formatRecord, nonce [16]byte) error {
	r, s := l.r, l.config.Store
	chains, announced, err := loadLedger(s)
	if err != nil {
		return err
	}
	prints, err := openFingerprint(s, r.config.Log)
	if err != nil {
		return err
	}
	if err := r.reserveEvents(); err != nil {
		return err
	}
	l.author = core.Author{Device: encryption.DeviceID(f.Device), Nonce: nonce}
	l.author.Writer = encryption.WriterFor(l.author.Device, nonce)
	ledger := core.NewLedger(r.id, chains, announced)
	if err := l.loadBase(ledger); err != nil {
		return err
	}
	l.core = core.New(r.id, ledger, l.author)
	l.docs = newDocuments(s, [32]byte(r.id.Account()), crdt.Writer(l.author.Writer), prints)
	l.docs.remake = l.remake
	l.docs.risk = l.risk
	l.docs.warn = func(ref account.Ref, err error) {
		l.config.Log.Warn("a document is kept as its changes", "document", ref, "err", err)
	}
	l.docs.reload = func() (*fingerprint, error) { return openFingerprint(s, r.config.Log) }
	l.docs.count = func() (*fingerprint, error) { return sumDocuments(s) }
	if _, err := get(s, tableMeta, keyEpoch, &l.epoch); err != nil {
		return err
	}
	if _, err := get(s, tableMeta, keyCounters, &l.counters); err != nil {
		return err
	}
	l.core.SetBacklog(l.backlog())
	l.setPrint(prints.root())
	return nil
}

// openFormat checks whose store this is, and begins it if it is new. It
// returns the instance nonce, which lives as long as the database.
func (r *Replica) openFormat() (f formatRecord, nonce [16]byte, err error) {
	s := r.config.Store
	found, err := get(s, tableMeta, keyFormat, &f)
	if err != nil {
		return f, nonce, err
	}
	if !found {
		return r.beginFormat()
	}
	if f.Version != formatVersion {
		return f, nonce, fmt.Errorf("the store has format %d, this program knows %d: %w", f.Version, formatVersion, store.ErrNewer)
	}
	if f.Account != [32]byte(r.id.Account()) {
		return f, nonce, ErrWrongAccount
	}
	b, err := s.Get(tableMeta, keyInstance)
	if err != nil || len(b) != len(nonce) {
		return f, nonce, fmt.Errorf("instance record: %w", errors.Join(ErrDamaged, err))
	}
	return f, [16]byte(b), nil
}

func (r *Replica) beginFormat() (f formatRecord, nonce [16]byte, err error) {
	if _, err := io.ReadFull(r.config.Random, nonce[:]); err != nil {
		return f, nonce, err
	}
	f = r.format()
	b := &store.Batch{}
	b.Put(tableMeta, keyFormat, encode(f))
	b.Put(tableMeta, keyInstance, nonce[:])
	if len(r.config.Place) > 0 {
		b.Put(tableMeta, keyPlace, r.config.Place)
	}
	return f, nonce, r.config.Store.Commit(b)
}

// format is the record of this device's store.
func (r *Replica) format() formatRecord {
	return formatRecord{Version: formatVersion, Account: [32]byte(r.id.Account()), Device: [16]byte(r.id.Device())}
}

func loadLedger(s store.Store) (map[encryption.WriterID]encryption.Chain, map[encryption.WriterID]uint64, error) {
	chains := map[encryption.WriterID]encryption.Chain{}
	err := s.Scan(tableChains, nil, nil, func(key, value []byte) error {
		var rec chainRecord
		if err := cbor.Unmarshal(value, &rec); err != nil || len(key) != 16 {
			return &store.DamagedError{Table: tableChains, Key: append([]byte(nil), key...), Err: err}
		}
		chains[encryption.WriterID(key)] = rec.chain()
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("load chains: %w", err)
	}
	stored := map[[16]byte]uint64{}
	if _, err := get(s, tableMeta, keyAnnounced, &stored); err != nil {
		return nil, nil, err
	}
	announced := map[encryption.WriterID]uint64{}
	for w, seq := range stored {
		announced[w] = seq
	}
	return chains, announced, nil
}

// eventBlock is how many event ids are reserved at each opening. There are
// maxBlock blocks in the numbers that JSON carries exactly.
const (
	eventBlock = 1 << 32
	maxBlock   = 1 << 20
)

// reserveEvents makes sure that event ids grow over restarts, also when the
// process dies: each opening takes a block of them. When the disk is full or
// the count is damaged it takes one at random that no opening counts up to, so
// that who resumes from there later gets a gap, and the state can be read now.
func (r *Replica) reserveEvents() error {
	var random [8]byte
	if _, err := io.ReadFull(r.config.Random, random[:]); err != nil {
		return fmt.Errorf("reserve event ids: %w", err)
	}
	spare := maxBlock + binary.BigEndian.Uint64(random[:])%maxBlock
	var block uint64
	_, err := get(r.config.Store, tableMeta, keyEvents, &block)
	if errors.Is(err, ErrDamaged) {
		r.config.Log.Warn("the count of event ids is damaged; it goes on elsewhere", "err", err)
		block, err = spare, nil
	}
	if err != nil {
		return fmt.Errorf("reserve event ids: %w", err)
	}
	b := &store.Batch{}
	b.Put(tableMeta, keyEvents, encode(block+1))
	err = r.config.Store.Commit(b)
	if errors.Is(err, ErrDiskFull) {
		r.config.Log.Warn("the disk is full: nothing can be changed", "err", err)
		block, err = spare, nil
	}
	if err != nil {
		return fmt.Errorf("reserve event ids: %w", err)
	}
	r.hub = newHub(block*eventBlock + 2)
	return nil
}

// Apply makes the edits durable on this device, in order, all or none, however
// many they are. It never waits for another device.
//
// It fails with ErrBadEdit, before anything is written, when an edit is
// malformed; with ErrNotFound when one names a chat to be pinned beside that
// is not pinned; with ErrDiskFull, ErrClosed or ErrDamaged. After an error
// nothing was applied and the replica goes on, but for an error of the disk
// itself: then it is unknown until the next Open whether the edits, all or
// none, are there, and every Apply fails until then.
//
// When ctx ends before the edits have been taken, nothing was applied.
// Afterwards Apply waits for their outcome, which no longer depends on ctx.
func (r *Replica) Apply(ctx context.Context, edits []model.Edit) error {
	in, err := newIntent(edits)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("apply %s: %w", in, err)
	}
	if len(edits) == 0 {
		return nil
	}
	select {
	case r.intents <- in:
	case <-ctx.Done():
		return fmt.Errorf("apply %s: %w", in, ctx.Err())
	case <-r.done:
		return fmt.Errorf("apply %s: %w", in, ErrClosed)
	}
	return <-in.done
}

// newIntent checks the edits and finds their documents.
func newIntent(edits []model.Edit) (*intent, error) {
	in := &intent{edits: edits, refs: make([]account.Ref, len(edits)), done: make(chan error, 1)}
	for i, e := range edits {
		ref, err := account.RefOf(e)
		if err != nil {
			return nil, badEdit(i, len(edits), err)
		}
		in.refs[i] = ref
	}
	return in, nil
}

func badEdit(i, of int, err error) error {
	if of == 1 {
		return fmt.Errorf("%w: %w", ErrBadEdit, err)
	}
	return fmt.Errorf("%w: number %d of %d: %w", ErrBadEdit, i+1, of, err)
}
