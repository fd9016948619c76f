package replica

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/store"
)

// Part is one part of what Examine looks at.
type Part string

// The parts, in the order in which they are examined.
const (
	PartStore     Part = "store"     // it opens, with the keys of the identity
	PartRecords   Part = "records"   // every record of every table opens its seal
	PartAccount   Part = "account"   // what is read before anything else: members, keys, epochs, chains
	PartEnd       Part = "end"       // no commits are missing at the end
	PartLog       Part = "log"       // every envelope: signature, chain, gaps
	PartWaiting   Part = "waiting"   // own changes that are not sealed, and what a salvage kept for later
	PartDocuments Part = "documents" // documents, index, fingerprint, and that they agree with the log
	PartSetAside  Part = "set-aside" // envelopes that ended the program
)

// Remedy is what brings back what is damaged.
type Remedy string

const (
	RemedyNone  Remedy = ""      // nothing is damaged, or nothing brings it back
	RemedyMend  Remedy = "mend"  // Mend may make it anew from what this device has; if not, it is RemedyFetch
	RemedyFetch Remedy = "fetch" // another device has it: Salvage begins a new store, which fetches it
)

// Trouble is one thing that Examine has found.
type Trouble struct {
	What   string `json:"what"` // for an operator
	Remedy Remedy `json:"remedy"`
}

// Examined is what Examine says of one part.
type Examined struct {
	Part     Part       `json:"part"`
	Begun    bool       `json:"begun,omitempty"` // the part begins: nothing else is said
	Alive    bool       `json:"alive,omitempty"` // it goes on: nothing else is said
	Troubles []Trouble  `json:"troubles,omitempty"`
	Count    int        `json:"count"`              // of what was looked at: records, members, envelopes, changes, documents
	Others   int        `json:"others,omitempty"`   // PartAccount: members beside this device
	Standing string     `json:"standing,omitempty"` // PartAccount
	Kept     int        `json:"kept,omitempty"`     // PartWaiting: salvaged records that wait for others to come
	SetAside []SetAside `json:"set_aside,omitempty"`
	Print    string     `json:"fingerprint,omitempty"` // PartDocuments
}

// Examine opens the store of dir and checks it part by part, more than Open does,
// and tells report when a part begins and how it ended, so that all is known that
// was found before the process ends over a damaged table. The error says why it
// could not go on; it is of the last part that was begun. It must be the only one
// that uses the store, and does to it what Open and Close do.
func Examine(ctx context.Context, dir string, c *Config, report func(Examined)) error {
	e := &examination{ctx: ctx, report: report}
	e.begin(PartStore)
	config, err := c.withDefaults(dir)
	if err != nil {
		return err
	}
	if err := begun(config.Store); err != nil {
		return errors.Join(err, (&Replica{config: config}).closeStore())
	}
	e.end(Examined{})
	if err := errors.Join(e.records(config.Store), noteLoss(config.Store)); err != nil {
		return errors.Join(err, (&Replica{config: config}).closeStore())
	}
	e.begin(PartAccount)
	lost := lossOf(config.Store)
	r, err := openWith(dir, config)
	if err != nil {
		return err
	}
	err = e.replica(r, lost)
	return errors.Join(err, r.Close())
}

// begun says whether the store has ever been a replica's. One that has lost all its
// files would begin anew without a word.
func begun(s store.Store) error {
	var f formatRecord
	if found, err := get(s, tableMeta, keyFormat, &f); err == nil && !found {
		return fmt.Errorf("%w: the store is empty", ErrDamaged)
	}
	return nil // another error is for the records
}

// examination is one in the making.
type examination struct {
	ctx    context.Context
	report func(Examined)
	part   Part
	steps  int
}

func (e *examination) begin(p Part) {
	e.part = p
	e.report(Examined{Part: p, Begun: true})
}

func (e *examination) end(r Examined) {
	r.Part = e.part
	e.report(r)
}

// aliveEvery is after how many records it is said that things go on.
const aliveEvery = 1000

// ended says that things go on, and whether they may.
func (e *examination) ended() error {
	if e.steps++; e.steps%aliveEvery == 0 {
		e.report(Examined{Part: e.part, Alive: true})
	}
	return e.ctx.Err()
}

// allTables are the tables that there are.
var allTables = []store.Table{
	tableMeta, tableMembers, tableLog, tableChains, tablePending, tableDocs,
	tableIndex, tablePrints, tableLocal, tableEpochs, tableKeys,
}

// tableNames are for people.
var tableNames = map[store.Table]string{
	tableMeta: "the store's own counters", tableMembers: "who belongs to the account", tableLog: "the history of changes",
	tableChains: "how far each device has written", tablePending: "changes that wait to be sent", tableDocs: "documents",
	tableIndex: "the index of the documents", tablePrints: "the fingerprint", tableLocal: "addresses of other devices",
	tableEpochs: "content keys", tableKeys: "keys of this device",
}

// remedyFor is what brings a record of a table back.
func remedyFor(t store.Table, key []byte) Remedy {
	switch {
	case t == tableDocs, t == tableIndex, t == tablePrints, t == tableLocal, t == tablePending:
		return RemedyMend
	case t == tableMeta && string(key) == string(keyEvents): // Open counts on elsewhere
		return RemedyMend
	}
	return RemedyFetch
}

// records reads every record, and every block of every table where the store can.
func (e *examination) records(s store.Store) error {
	e.begin(PartRecords)
	out := Examined{}
	for _, t := range allTables {
		err := s.Scan(t, nil, nil, func(_, _ []byte) error {
			out.Count++
			return e.ended()
		})
		var damaged *store.DamagedScan
		switch {
		case e.ctx.Err() != nil:
			return e.ctx.Err()
		case errors.As(err, &damaged):
			out.Troubles = append(out.Troubles, troublesOf(t, damaged)...)
		case err != nil:
			return err
		}
	}
	if c, ok := s.(interface{ CheckTables() error }); ok {
		if err := c.CheckTables(); err != nil {
			out.Troubles = append(out.Troubles, Trouble{"a file of the store: " + err.Error(), RemedyFetch})
		}
	}
	e.end(out)
	return nil
}

func troublesOf(t store.Table, damaged *store.DamagedScan) (all []Trouble) {
	for _, d := range damaged.Records {
		all = append(all, Trouble{fmt.Sprintf("%s: %v", tableNames[t], d), remedyFor(t, d.Key)})
	}
	if damaged.Count > len(damaged.Records) {
		all = append(all, Trouble{fmt.Sprintf("%s: %d more damaged records", tableNames[t], damaged.Count-len(damaged.Records)), remedyFor(t, nil)})
	}
	if damaged.Err != nil {
		all = append(all, Trouble{fmt.Sprintf("%s: they could not be read to the end: %v", tableNames[t], damaged.Err), RemedyFetch})
	}
	return all
}

// lossOf says that the store has lost its end, nil if it has not.
func lossOf(s store.Store) error {
	if l, ok := s.(loser); ok {
		return l.Lost()
	}
	return nil
}

// noteLoss keeps, also if the replica does not open, that the store has lost its
// end: it says so only until the next commit.
func noteLoss(s store.Store) error {
	lost := lossOf(s)
	if lost == nil {
		return nil
	}
	var known string
	if found, err := get(s, tableMeta, keyRewound, &known); found || err != nil {
		return nil // it is noted, or nothing can be noted there
	}
	b := &store.Batch{}
	b.Put(tableMeta, keyRewound, encode(lost.Error()))
	if err := s.Commit(b); err != nil && !errors.Is(err, ErrDiskFull) {
		return fmt.Errorf("note that the end is lost: %w", err)
	}
	return nil
}

// replica examines what only a replica that is open can say.
func (e *examination) replica(r *Replica, lost error) error {
	members := r.id.Members()
	self := slices.ContainsFunc(members, func(m encryption.Member) bool { return m.ID == r.id.Device() })
	others := len(members)
	if self {
		others--
	}
	e.end(Examined{Count: len(members), Others: others, Standing: string(r.Standing())})
	e.begin(PartEnd)
	end := Examined{}
	if lost != nil {
		end.Troubles = []Trouble{{lost.Error(), RemedyNone}}
	}
	e.end(end)
	return r.ask(e.ctx, e.content)
}

// content examines what the loop owns.
func (e *examination) content(l *loop) error {
	_ = l.land() // whoever waits for it was answered
	v := newVerification(&model.Verification{}, e.ended)
	for _, s := range []struct {
		part   Part
		remedy Remedy
		checks []func(*verification) error
		fill   func(*Examined) error
	}{
		{PartLog, RemedyFetch, []func(*verification) error{l.verifyLog}, func(x *Examined) error { x.Count = v.Envelopes; return nil }},
		{PartWaiting, RemedyMend, []func(*verification) error{l.verifyPending}, l.examineWaiting},
		{PartDocuments, RemedyMend, []func(*verification) error{l.verifyDocuments, l.verifyIndex}, func(x *Examined) error {
			x.Count, x.Print = v.Documents, hex.EncodeToString(l.print[:])
			return nil
		}},
		{PartSetAside, RemedyNone, nil, l.examineSetAside},
	} {
		e.begin(s.part)
		out := Examined{}
		for _, check := range s.checks {
			if err := check(v); err != nil {
				return err
			}
		}
		for _, p := range v.Problems {
			out.Troubles = append(out.Troubles, Trouble{p, s.remedy})
		}
		if v.left > 0 {
			out.Troubles = append(out.Troubles, Trouble{fmt.Sprintf("and %d more problems", v.left), s.remedy})
		}
		v.Problems, v.left = nil, 0
		if err := s.fill(&out); err != nil {
			return err
		}
		e.end(out)
	}
	return nil
}

func (l *loop) examineWaiting(x *Examined) (err error) {
	x.Count = int(l.counters.Pending - l.counters.Sealed)
	x.Kept, err = l.salvagedLeft()
	return err
}

func (l *loop) examineSetAside(x *Examined) (err error) {
	x.SetAside, err = l.setAside()
	x.Count = len(x.SetAside)
	return err
}
