package change

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
)

// Limits on a saved document. They bound what reading one can take in memory
// and time, whatever its runs and its compressed columns claim. Within them a
// few hundred bytes can still stand for all these changes and operations.
const (
	MaxSaved         = 8 << 20  // bytes of the document
	MaxSavedInflated = 32 << 20 // bytes of its columns
	MaxSavedRestored = 64 << 20 // bytes of its changes
	MaxSavedChanges  = 1 << 17  // changes
	MaxSavedActors   = 1 << 14  // actors
	MaxSavedOps      = 1 << 20  // operations without deletions, and as many predecessors of all
)

// typeDocument is the chunk type of a saved document.
const typeDocument = 0

// ParseSaved reads a document as the core saves it and returns the changes that
// it holds, in its own order, in which each comes behind its dependencies. Each is
// what Parse returns for its bytes. Every error wraps ErrMalformed.
//
// A saved document does not have the bytes of the changes, but everything that they
// are made of. They are written again, and their hashes lead to the heads that the
// document names: so they are the changes that were saved, to the last bit.
//
// Like Parse it accepts one way of writing only, but for the order of the changes
// and the bytes into which columns are compressed.
func ParseSaved(saved []byte) ([]Change, error) {
	changes, err := parseSaved(saved)
	if err != nil {
		return nil, fmt.Errorf("parse saved document of %d bytes: %w: %w", len(saved), ErrMalformed, err)
	}
	return changes, nil
}

func parseSaved(saved []byte) ([]Change, error) {
	f, err := readFrame(saved, MaxSaved)
	if err != nil {
		return nil, err
	}
	if f.kind != typeDocument {
		return nil, fmt.Errorf("chunk type %d is not a document", f.kind)
	}
	if sum := sha256.Sum256(saved[len(magic)+checksumSize:]); !bytes.Equal(sum[:checksumSize], f.checksum) {
		return nil, errors.New("checksum does not match the contents")
	}
	s := savedDocument{left: MaxSavedRestored}
	r := reader{f.contents}
	for _, step := range []func(*reader) error{s.readActors, s.readHeads, s.readColumns, s.readHeadPlaces} {
		if err := step(&r); err != nil {
			return nil, err
		}
	}
	if err := r.end("the last head"); err != nil {
		return nil, err
	}
	return s.restore()
}

// savedDocument is a document chunk taken apart.
type savedDocument struct {
	actors [][ActorSize]byte // sorted
	heads  []Hash            // sorted
	places []uint64          // of the heads among the changes

	changeColumns [changeColumnCount][]byte
	opColumns     [rowColumnCount][]byte

	changes []savedChange
	deps    []uint32 // places of dependencies, of all changes one after the other
	rows    []row    // in the order of the document
	byID    []rowID  // their ids, by actor
	links   []link   // from a row to those that replace it, by these
	left    int      // bytes that changes may still take
}

// spend counts what changes take before they are made.
func (s *savedDocument) spend(n int) error {
	if s.left -= n; s.left < 0 {
		return fmt.Errorf("changes of more than %d bytes", MaxSavedRestored)
	}
	return nil
}

// savedChange is what a document says of a change, but for its operations.
type savedChange struct {
	actor    uint32
	seq      uint64
	lastOp   uint64
	time     int64
	deps     int // how many
	followed bool

	firstOp uint64
	rows    span // of its operations, in the order of ids
	links   span // to its operations, likewise
}

type span struct{ from, to int }

func (s *savedDocument) readActors(r *reader) error {
	n, err := r.uint(MaxSavedActors, "number of actors")
	if err != nil {
		return err
	}
	for range n {
		id, err := readActorID(r, "actor")
		if err != nil {
			return err
		}
		if k := len(s.actors); k > 0 && compareActors(s.actors[k-1], id) >= 0 {
			return errors.New("actors are not sorted or repeat")
		}
		s.actors = append(s.actors, id)
	}
	return nil
}

func (s *savedDocument) readHeads(r *reader) error {
	n, err := r.uint(MaxSavedActors, "number of heads")
	if err != nil {
		return err
	}
	b, err := r.take(n*uint64(len(Hash{})), "heads")
	if err != nil {
		return err
	}
	s.heads = make([]Hash, n)
	for i := range s.heads {
		s.heads[i] = Hash(b[i*len(Hash{}):])
		if i > 0 && s.heads[i-1].Compare(s.heads[i]) >= 0 {
			return errors.New("heads are not sorted or repeat")
		}
	}
	return nil
}

func (s *savedDocument) readHeadPlaces(r *reader) error {
	s.places = make([]uint64, len(s.heads))
	for i := range s.places {
		var err error
		if s.places[i], err = r.uint(MaxSavedChanges, "place of a head"); err != nil {
			return err
		}
	}
	return nil
}

// restore makes the changes of the columns.
func (s *savedDocument) restore() ([]Change, error) {
	if err := s.readChanges(); err != nil {
		return nil, fmt.Errorf("changes: %w", err)
	}
	if err := s.readRows(); err != nil {
		return nil, fmt.Errorf("operations: %w", err)
	}
	if err := s.assign(); err != nil {
		return nil, err
	}
	changes, err := s.build()
	if err != nil {
		return nil, err
	}
	return changes, s.checkHeads(changes)
}

// checkHeads compares the heads with the changes that no other one follows.
func (s *savedDocument) checkHeads(changes []Change) error {
	n := 0
	for i := range s.changes {
		if !s.changes[i].followed {
			n++
		}
	}
	if n != len(s.heads) {
		return fmt.Errorf("%d heads, but %d changes that none follows", len(s.heads), n)
	}
	for i, place := range s.places {
		if place >= uint64(len(changes)) || s.changes[place].followed || changes[place].Hash != s.heads[i] {
			return fmt.Errorf("the changes do not lead to head %s", s.heads[i])
		}
	}
	return nil
}

// readChanges takes the columns of the changes apart.
func (s *savedDocument) readChanges() error {
	c := newSavedChanges(&s.changeColumns)
	for c.more() {
		if len(s.changes) == MaxSavedChanges {
			return fmt.Errorf("more than %d", MaxSavedChanges)
		}
		one, err := s.readChange(c)
		if err != nil {
			return fmt.Errorf("change %d: %w", len(s.changes), err)
		}
		s.changes = append(s.changes, one)
	}
	return c.end()
}

func (s *savedDocument) readChange(c *savedChanges) (one savedChange, err error) {
	actor, err := present(c.actor.next())
	if err != nil {
		return one, fmt.Errorf("actor: %w", err)
	}
	if actor >= uint64(len(s.actors)) {
		return one, fmt.Errorf("actor %d of %d", actor, len(s.actors))
	}
	seq, err := present(c.seq.next())
	if err != nil {
		return one, fmt.Errorf("sequence number: %w", err)
	}
	last, err := present(c.lastOp.next())
	if err != nil {
		return one, fmt.Errorf("last operation: %w", err)
	}
	if one.time, err = present(c.time.next()); err != nil {
		return one, fmt.Errorf("time: %w", err)
	}
	one.actor, one.seq, one.lastOp = uint32(actor), uint64(seq), uint64(last)
	extra, err := present(c.extra.next())
	if err == nil && extra != uint64(Bytes) {
		err = fmt.Errorf("%d, want no bytes", extra)
	}
	if err != nil {
		return one, fmt.Errorf("extra: %w", err)
	}
	return one, s.readDeps(c, &one)
}

func (s *savedDocument) readDeps(c *savedChanges, one *savedChange) error {
	n, err := present(c.deps.next())
	if err != nil {
		return fmt.Errorf("dependencies: %w", err)
	}
	if n > MaxDeps {
		return fmt.Errorf("more than %d dependencies", MaxDeps)
	}
	one.deps = int(n)
	if err := s.spend(128 + int(n)*len(Hash{})); err != nil {
		return err
	}
	for range n {
		place, err := present(c.dep.next())
		if err != nil {
			return fmt.Errorf("dependency: %w", err)
		}
		if place >= int64(len(s.changes)) {
			return errors.New("a dependency that does not come before it")
		}
		s.changes[place].followed = true
		s.deps = append(s.deps, uint32(place))
	}
	return nil
}

var errAbsent = errors.New("there is none")

// present makes null an error.
func present[T any](v T, ok bool, err error) (T, error) {
	if err == nil && !ok {
		err = errAbsent
	}
	return v, err
}

// savedChanges reads the columns of the changes.
type savedChanges struct {
	actor, deps, extra     exact[uint64]
	seq, lastOp, time, dep exactDeltas
}

func newSavedChanges(columns *[changeColumnCount][]byte) *savedChanges {
	numbers := func(column int) exact[uint64] {
		return exact[uint64]{rest: reader{columns[column]}, read: readNumber, most: MaxSavedChanges}
	}
	deltas := func(column int, low, high int64) exactDeltas {
		values := exact[int64]{rest: reader{columns[column]}, read: readDelta, most: MaxSavedChanges * MaxDeps}
		return exactDeltas{exact: values, low: low, high: high}
	}
	return &savedChanges{
		actor: numbers(changeActor), deps: numbers(changeDeps), extra: numbers(changeExtra),
		seq: deltas(changeSeq, 1, MaxCounter), lastOp: deltas(changeLastOp, 1, MaxCounter),
		time: deltas(changeTime, math.MinInt64, math.MaxInt64), dep: deltas(changeDep, 0, MaxSavedChanges),
	}
}

func (c *savedChanges) more() bool { return c.actor.left > 0 || len(c.actor.rest.rest) > 0 }

func (c *savedChanges) end() error {
	return errors.Join(c.actor.end(), c.deps.end(), c.extra.end(), c.seq.end(), c.lastOp.end(), c.time.end(), c.dep.end())
}
