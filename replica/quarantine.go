package replica

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/store"
)

// What another device sends could end the process. The decoder in front of everything is
// there so that this cannot happen. If it happens all the same, the envelope would come
// again after every start and end every process. So what is being applied is noted where
// the next process finds it. An envelope that was under way when a process ended is
// applied alone from then on; if the process ends maxStrikes times while it alone is
// under way, it is set aside, its writer is frozen, and the person is told.
//
// Automerge, which ends the process when it is surprised, gets to see a document only
// when it saves it. That is noted in the same way, and what was noted last is to blame.
// A document that ends the process maxStrikes times is kept as its changes.

// Journal notes what is being applied. It outlives the process; it need not
// outlive the machine. Called by one goroutine at a time.
type Journal interface {
	// Left returns what had begun and not ended when the last process ended.
	Left() ([][32]byte, error)
	// Begin notes one more that is being applied, which its hash names.
	Begin(envelope [32]byte) error
	// End notes that nothing is.
	End() error
	Close() error
}

// ErrQuarantined says that an envelope has ended the process again and again, and
// was set aside.
var ErrQuarantined = errors.New("it ended this program each time it was applied, and is set aside")

// maxStrikes is after how many processes an envelope is set aside. One may also
// have been killed by somebody else, and so may two.
const maxStrikes = 3

// suspects are envelopes that were under way when a process ended, by hash, with
// how often they were alone then.
type suspects map[[32]byte]uint8

// openJournal counts what the last process left.
func (l *loop) openJournal() error {
	if _, err := get(l.config.Store, tableMeta, keySuspects, &l.suspects); err != nil {
		return err
	}
	if l.config.Journal == nil {
		return nil
	}
	left, err := l.config.Journal.Left()
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if len(left) == 0 {
		return nil
	}
	next := l.suspects.with(left)
	b := &store.Batch{}
	b.Put(tableMeta, keySuspects, encode(next))
	if err := l.config.Store.Commit(b); errors.Is(err, ErrDiskFull) {
		return nil // it is still in the journal
	} else if err != nil {
		return fmt.Errorf("note what was being applied: %w", err)
	}
	l.suspects = next
	l.config.Log.Warn("the last process ended while it applied what others sent, or saved documents", "noted", len(left))
	return l.config.Journal.End()
}

// with counts what was left once more. Of several envelopes it is not known which it
// was; a document came last, and was alone.
func (s suspects) with(left [][32]byte) suspects {
	next := maps.Clone(s)
	if next == nil {
		next = suspects{}
	}
	if last := left[len(left)-1]; isDocument(last) {
		left = [][32]byte{last}
	}
	left = slices.DeleteFunc(slices.Clone(left), func(id [32]byte) bool { return len(left) > 1 && isDocument(id) })
	for _, id := range left {
		if len(left) == 1 {
			next[id] = min(next[id]+1, maxStrikes)
		} else {
			next[id] += 0
		}
	}
	return next
}

// wary says whether envelopes are applied one at a time.
func (l *loop) wary() bool {
	for id, strikes := range l.suspects { // order-free: any one
		if strikes < maxStrikes && !isDocument(id) {
			return true
		}
	}
	return false
}

// under notes that an envelope, or a part of a snapshot, is applied from now on, if
// it may be. A journal that cannot be written is no reason to stop.
func (l *loop) under(id [32]byte, from setAsideRecord) error {
	if l.suspects[id] >= maxStrikes {
		l.noteSetAside(id, from)
		return ErrQuarantined
	}
	if l.config.Journal == nil {
		return nil
	}
	l.note(id)
	return nil
}

// note puts into the journal what is done from now on.
func (l *loop) note(id [32]byte) {
	l.begun = true
	if err := l.config.Journal.Begin(id); err != nil && !l.unjournaled {
		l.unjournaled = true
		l.config.Log.Warn("what ends the process will not be noticed", "err", err)
	}
}

// documentMark is how the journal names a document that is given to Automerge: no hash
// begins with so many zeros.
func documentMark(id account.DocumentID) (mark [32]byte) {
	copy(mark[16:], id[:])
	return mark
}

func isDocument(mark [32]byte) bool { return [16]byte(mark[:16]) == [16]byte{} }

// risk notes that Automerge is given a document, and says whether it may be.
func (l *loop) risk(id account.DocumentID) bool {
	mark := documentMark(id)
	if l.suspects[mark] >= maxStrikes {
		return false
	}
	if l.config.Journal != nil {
		l.note(mark)
	}
	return true
}

// setAsideMap is the device-local map of what is known of envelopes that are set
// aside, by hash. The envelopes themselves are not kept.
const setAsideMap = "set-aside"

// SetAside is an envelope that is not applied here any more.
type SetAside struct {
	Envelope string `json:"envelope"`         // its hash
	Device   string `json:"device,omitempty"` // whose it is; empty while it did not come again since
	Name     string `json:"name,omitempty"`   // of that device
	Writer   string `json:"writer,omitempty"`
	Seq      uint64 `json:"seq,omitempty"`
}

type setAsideRecord struct {
	_      struct{} `cbor:",toarray"`
	Device [16]byte
	Writer [16]byte
	Seq    uint64
}

// noteSetAside keeps whose envelope is set aside, for whoever asks later. It may
// fail: the envelope comes again.
func (l *loop) noteSetAside(id [32]byte, from setAsideRecord) {
	key := localKey(setAsideMap, string(id[:]))
	if _, err := l.config.Store.Get(tableLocal, key); err == nil {
		return
	}
	b := &store.Batch{}
	b.Put(tableLocal, key, encode(from))
	if err := l.config.Store.Commit(b); err != nil {
		l.config.Log.Warn("whose envelope is set aside is not kept", "err", err)
	}
}

// setAside returns what is set aside, by hash.
func (l *loop) setAside() (all []SetAside, err error) {
	for id, strikes := range l.suspects {
		if strikes < maxStrikes || isDocument(id) {
			continue
		}
		s := SetAside{Envelope: hex.EncodeToString(id[:])}
		var rec setAsideRecord
		found, err := get(l.config.Store, tableLocal, localKey(setAsideMap, string(id[:])), &rec)
		if err != nil && !errors.Is(err, ErrDamaged) {
			return nil, err
		}
		if found {
			device := encryption.DeviceID(rec.Device)
			s.Device, s.Writer, s.Seq = device.String(), encryption.WriterID(rec.Writer).String(), rec.Seq
			if m, known := l.r.id.KnownDevice(device); known {
				s.Name = m.Name
			}
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b SetAside) int { return cmp.Compare(a.Envelope, b.Envelope) })
	return all, nil
}

// over notes that nothing is applied any more.
func (l *loop) over() {
	if !l.begun {
		return
	}
	l.begun = false
	if err := l.config.Journal.End(); err != nil {
		l.config.Log.Warn("what was applied may be suspected without reason", "err", err)
	}
}

// clear makes it part of the group that an envelope is suspected no more.
func (l *loop) clear(g *group, id [32]byte) {
	if _, suspected := l.suspects[id]; !suspected {
		return
	}
	if g.suspects == nil {
		g.suspects = maps.Clone(l.suspects)
	}
	delete(g.suspects, id)
	g.batch.Put(tableMeta, keySuspects, encode(g.suspects))
}

// forgive forgets who is suspected, as the process ends in good order. What was
// set aside stays aside.
func (r *Replica) forgive(s suspects) error {
	kept := maps.Clone(s)
	maps.DeleteFunc(kept, func(_ [32]byte, strikes uint8) bool { return strikes < maxStrikes })
	if len(kept) == len(s) {
		return nil
	}
	b := &store.Batch{}
	b.Put(tableMeta, keySuspects, encode(kept))
	return r.config.Store.Commit(b)
}
