package replica

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"github.com/starling-sync/starling/replica/store"
)

// A store in which the truth itself is damaged cannot be mended from within. What
// can still be read of it is carried over into a new store (ReadSalvage, Salvage),
// which writes under a new writer and fetches the rest from the other devices.
//
// Envelopes are kept in the new store first and applied then, through the same
// verification as what other devices send. One that rests on another which is lost
// stays kept, is offered again at every Open, and is applied when the other devices
// have sent what it rests on: it may be an own one that was never sent. Own changes
// that were not sealed are kept likewise, until the document has what they rest on,
// and written again by the next new writer, as a store does that was put back
// (renew.go).

// SalvageKind says what a Salvaged is.
type SalvageKind string

// The kinds, in the order in which ReadSalvage returns them: what is lost for good
// without this store comes first, as the process may end over a damaged table.
const (
	SalvageOp       SalvageKind = "op"       // a membership operation
	SalvageEpoch    SalvageKind = "epoch"    // an epoch record or rewrap
	SalvageKey      SalvageKind = "key"      // an exported key of this device
	SalvagePending  SalvageKind = "pending"  // an own change that was not sealed; Number orders them
	SalvageLocal    SalvageKind = "local"    // a device-local record, under Key
	SalvageSuspects SalvageKind = "suspects" // envelopes that ended the program
	SalvageEnvelope SalvageKind = "envelope" // Number is its arrival
	SalvageEnd      SalvageKind = "end"      // there is no more; Lost and Expected say what is missing
)

// Salvaged is one record that was read out of a damaged store. Its values are
// secrets of this device.
type Salvaged struct {
	Kind   SalvageKind `json:"kind"`
	Number uint64      `json:"number,omitempty"`
	Key    []byte      `json:"key,omitempty"`
	Value  []byte      `json:"value,omitempty"`
	// Of SalvageEnd:
	Lost     int    `json:"lost,omitempty"`     // records of these kinds that could not be read, as far as it can be seen
	Expected uint64 `json:"expected,omitempty"` // envelopes that there were, 0 if that is not known
}

// ReadSalvage reads out of the store of dir what can be read, and hands it to emit
// as it comes. It does not look into what it reads. It ends early with the error of
// emit or of ctx; other errors are those of opening the store.
func ReadSalvage(ctx context.Context, dir string, c *Config, emit func(Salvaged) error) error {
	config, err := c.withDefaults(dir)
	if err != nil {
		return err
	}
	s := config.Store
	var lost int
	var n counters
	if _, err := get(s, tableMeta, keyCounters, &n); err != nil || begun(s) != nil {
		lost++
	}
	var base baseRecord
	if _, err := get(s, tableMeta, keyBase, &base); err != nil || len(base.Chains) > 0 {
		lost++ // what is in the documents alone, which only another device can give back
	}
	for _, t := range []struct {
		table store.Table
		from  []byte
		as    func(key, value []byte) (Salvaged, error)
	}{
		{tableMembers, nil, func(_, v []byte) (Salvaged, error) { return Salvaged{Kind: SalvageOp, Value: v}, nil }},
		{tableEpochs, nil, func(_, v []byte) (Salvaged, error) { return Salvaged{Kind: SalvageEpoch, Value: v}, nil }},
		{tableKeys, nil, func(_, v []byte) (Salvaged, error) { return Salvaged{Kind: SalvageKey, Value: v}, nil }},
		{tablePending, numberKey(n.Sealed), salvagedPending},
		{tableLocal, nil, func(k, v []byte) (Salvaged, error) { return Salvaged{Kind: SalvageLocal, Key: k, Value: v}, nil }},
		{tableMeta, keySuspects, salvagedSuspects},
		{tableLog, nil, salvagedEnvelope},
	} {
		err = s.Scan(t.table, nil, t.from, func(key, value []byte) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			one, err := t.as(key, value)
			if err != nil {
				lost++
				return nil
			}
			if one.Kind == "" {
				return nil
			}
			return emit(one)
		})
		var damaged *store.DamagedScan
		if errors.As(err, &damaged) {
			lost += damaged.Count
			if damaged.Err != nil {
				lost++
			}
		} else if err != nil {
			break
		}
		err = nil
	}
	if err == nil {
		err = emit(Salvaged{Kind: SalvageEnd, Lost: lost, Expected: n.Arrival - min(base.Dropped, n.Arrival)})
	}
	return errors.Join(err, noteLoss(s), (&Replica{config: config}).closeStore())
}

func salvagedPending(key, value []byte) (s Salvaged, err error) {
	if len(key) != 8 {
		return s, errors.New("malformed key")
	}
	var p pendingRecord
	if cbor.Unmarshal(value, &p) == nil && p.isSealed() {
		return s, nil
	}
	return Salvaged{Kind: SalvagePending, Number: binary.BigEndian.Uint64(key), Value: value}, nil
}

func salvagedSuspects(key, value []byte) (s Salvaged, err error) {
	if string(key) != string(keySuspects) {
		return s, nil
	}
	return Salvaged{Kind: SalvageSuspects, Value: value}, nil
}

func salvagedEnvelope(_, value []byte) (s Salvaged, err error) {
	var rec logRecord
	err = cbor.Unmarshal(value, &rec)
	return Salvaged{Kind: SalvageEnvelope, Number: rec.Arrival, Value: rec.Raw}, err
}

// Carried is what a new store has of a damaged one.
type Carried struct {
	Envelopes   int    `json:"envelopes"`   // that are in the log again
	Kept        int    `json:"kept"`        // that wait for something that is lost: envelopes and own changes
	Changes     int    `json:"changes"`     // own ones that were not sealed, which are written again
	Refused     int    `json:"refused"`     // records of the account that do not verify
	Others      int    `json:"others"`      // members beside this device
	Fingerprint string `json:"fingerprint"` // of the new store
	Lost        int    `json:"lost"`        // records that could not be read
	// Whole: the old store was read to its end, nothing was lost and nothing waits.
	Whole bool `json:"whole"`
}

// Salvage takes into this replica, whose store is new, what next returns, until
// it returns SalvageEnd or fails, which it does where the reader has ended early.
// Everything is durable when it returns.
func (r *Replica) Salvage(ctx context.Context, next func() (Salvaged, error)) (Carried, error) {
	var c Carried
	i := &intake{}
	var end Salvaged
	for end.Kind == "" {
		s, err := next()
		if err != nil {
			break // the reader's process has ended
		}
		if s.Kind == SalvageEnd {
			end = s
			break
		}
		if err := r.ask(ctx, func(l *loop) error { return i.take(l, s) }); err != nil {
			return c, fmt.Errorf("salvage: %w", err)
		}
	}
	err := r.ask(ctx, func(l *loop) (err error) {
		if err = i.finish(l, end.Kind == SalvageEnd && end.Lost == 0); err == nil {
			err = l.carried(&c)
		}
		return err
	})
	if err != nil {
		return c, fmt.Errorf("salvage: %w", closed(err))
	}
	c.Refused, c.Lost = i.refused, end.Lost
	c.Whole = end.Kind == SalvageEnd && end.Lost == 0 && c.Refused == 0 && c.Kept == 0 && uint64(c.Envelopes) == end.Expected
	return c, nil
}

// intake collects what is taken in.
type intake struct {
	roster  roster
	keys    [][]byte
	batch   store.Batch
	refused int
}

func (i *intake) take(l *loop, s Salvaged) error {
	switch s.Kind {
	case SalvageOp:
		i.roster.ops = append(i.roster.ops, s.Value)
	case SalvageEpoch:
		i.roster.records = append(i.roster.records, s.Value)
	case SalvageKey:
		i.keys = append(i.keys, s.Value)
	case SalvageLocal:
		i.batch.Put(tableLocal, s.Key, s.Value)
	case SalvageSuspects:
		i.batch.Put(tableMeta, keySuspects, s.Value)
		_ = cbor.Unmarshal(s.Value, &l.suspects) // it was sealed; what is not understood is tried again
	case SalvagePending:
		i.batch.Put(tableLocal, salvageKey(keptChange, s.Number, nil), s.Value)
	case SalvageEnvelope:
		i.batch.Put(tableLocal, salvageKey(keptEnvelope, s.Number, s.Value), s.Value)
	}
	if i.batch.Size() < importBytes {
		return nil
	}
	return i.flush(l)
}

func (i *intake) flush(l *loop) error {
	if i.batch.Len() == 0 {
		return nil
	}
	if err := l.config.Store.Commit(&i.batch); err != nil {
		return err
	}
	i.batch.Reset()
	return nil
}

// finish admits the roster, on which all else rests, and applies what can be. Of a
// store that was not read as a whole, what is missing may be of the roster.
func (i *intake) finish(l *loop, whole bool) error {
	if err := i.flush(l); err != nil {
		return err
	}
	if !whole {
		if err := l.beUnsure(); err != nil {
			return err
		}
	}
	for _, key := range i.keys {
		if err := l.r.id.ImportKeys(key); err != nil {
			i.refused++
			continue
		}
		if err := l.writeRoster(roster{key: key}); err != nil {
			return err
		}
	}
	if err := l.addRoster(i.roster); errors.Is(err, ErrDiskFull) {
		return err
	} else if err != nil {
		i.refused++ // of what does not hold, and what follows it, the others have the right one
		l.config.Log.Warn("not all of the account could be carried over", "err", err)
	}
	return l.applySalvaged()
}

// salvageMap is the device-local map of what was salvaged and is not applied yet:
// its kind, number, and of an envelope its hash.
const salvageMap = "salvaged"

const (
	keptEnvelope = 'e' // applied first
	keptChange   = 'p' // encoded pendingRecord
)

func salvageKey(kind byte, number uint64, raw []byte) []byte {
	key := binary.BigEndian.AppendUint64(append(localKey(salvageMap, ""), kind), number)
	if raw == nil {
		return key
	}
	hash := sha256.Sum256(raw)
	return append(key, hash[:]...)
}

// carried says how things stand after a salvage.
func (l *loop) carried(c *Carried) (err error) {
	if err = l.land(); err != nil {
		return err
	}
	c.Envelopes, c.Changes = int(l.counters.Arrival), int(l.counters.Pending-l.counters.Sealed)
	if c.Kept, err = l.salvagedLeft(); err != nil {
		return err
	}
	for _, m := range l.r.id.Members() {
		if m.ID != l.r.id.Device() {
			c.Others++
		}
	}
	c.Fingerprint = fmt.Sprintf("%x", l.print)
	return nil
}
