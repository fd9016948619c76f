package replica

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/core"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// loop is the state of the one goroutine that owns the exchange, the
// documents and the group in flight. Nothing else touches its fields.
type loop struct {
	r        *Replica
	config   *Config
	core     *core.Exchange
	docs     *documents
	author   core.Author
	counters counters // as the store has them
	swept    uint64   // of the changes that wait, those below do not hurry
	print    [32]byte // fingerprint of what the store has
	links    map[core.SessionID]*link
	nextLink core.SessionID

	queue  []*intent // waiting, in order of arrival
	flying *group    // being written; nil when none is

	saved     map[[32]byte]bool // hashes of the operations and epoch records in the store
	untold    untold
	early     [][]byte    // epoch records that came before what they need
	mark      rosterMark  // of what of the roster is in the store
	nextKey   uint64      // number of the next key in the store
	leaving   []*link     // that write their last
	later     *time.Timer // until the network is told; nil for none
	ticking   *time.Timer // until the exchange hears that time has passed; nil for none
	resting   *time.Timer // until documents are made small; nil for none
	standing  encryption.Standing
	rate      encryption.OperationLimiter // of what is asked for
	epoch     epochRecord                 // the current one
	comparing map[[8]byte]*comparison
	waiters   []*waiter
	faults    int
	sealing   bool // own changes are sealed though nobody is there to take them
	stale     bool // the author must not be written under; see rewind
	due       bool // and it was not tried yet to change that
	kept      int  // salvaged changes that wait; see applySalvaged
	unsure    bool // of its own operations; see sure.go

	suspects    suspects // as the store has them
	unjournaled bool     // the journal could not be written, and that was said
	begun       bool     // something is in the journal

	owed   []core.Serve  // documents that others wait for
	parts  []core.Absorb // documents that others sent, in the order in which they came
	limits logLimits
	base   baseRecord                  // as the store has it
	wanted map[account.DocumentID]bool // damaged here, and asked for

	lacking  map[account.DocumentID]lack // what envelopes wait for
	own      own                         // what this device has written; read when it is needed
	searches []*search                   // of those who wait for the end of descents
	reads    map[encryption.DeviceID]int // of the whole log, because of a device; see maxRebuilds
}

// linkEvent is what a link's reader tells the loop: a message, or the end.
type linkEvent struct {
	link *link
	msg  wire.Message
	err  error
}

// run is the loop. It returns after stop is closed and the last group is
// written.
func (l *loop) run(stop <-chan struct{}) {
	for {
		select {
		case in := <-l.r.intents:
			l.queue = append(l.queue, in)
			l.takeWaiting()
		case ev := <-l.r.inbox:
			l.receive(ev)
		case call := <-l.r.calls:
			call(l)
		case err := <-l.r.written:
			l.finish(err)
		case <-stop:
			l.shutDown()
			return
		}
		l.launch()
		l.wait()
		l.rest()
	}
}

// leaveFor is how long a tick of the exchange takes.
const leaveFor = time.Second

// restFor is how long a device has to rest before its documents are made small, so that
// this delays nobody.
const restFor = 10 * time.Second

// rest makes documents small later.
func (l *loop) rest() {
	switch {
	case l.resting != nil:
		l.resting.Reset(restFor)
	case len(l.docs.loose) > 0:
		l.resting = time.AfterFunc(restFor, func() {
			_ = l.r.call(context.Background(), func(l *loop) { //lint:allow context.Background it ends when the replica is closed
				l.resting, l.docs.tidy = nil, len(l.docs.loose) > 0
			})
		})
	}
}

// wait lets the exchange know later that time has passed, if it matters.
func (l *loop) wait() {
	if l.ticking != nil || !l.core.Leaves() {
		return
	}
	l.ticking = time.AfterFunc(leaveFor, func() {
		_ = l.r.call(context.Background(), func(l *loop) { //lint:allow context.Background it ends when the replica is closed
			l.ticking = nil
			l.perform(l.core.Step(core.Tick{}))
		})
	})
}

// takeWaiting collects the intents that are there already, so that callers
// who come together share a transaction.
func (l *loop) takeWaiting() {
	for {
		select {
		case in := <-l.r.intents:
			l.queue = append(l.queue, in)
		default:
			return
		}
	}
}

// launch begins a group if none is in flight and there is something to do.
func (l *loop) launch() {
	for l.flying == nil && l.hasWork() {
		_ = l.begin() // whoever waits for it was answered, and the person was told
	}
}

// begin begins a group.
func (l *loop) begin() error {
	g, err := l.build()
	l.perform(l.core.Step(nil)) // what building it reported
	if err != nil {
		return err
	}
	if g.batch.Len() == 0 {
		l.answer(g.intents, nil)
		l.healed(g)
		l.absorbed(g) // what it brought was known, and the next part may come
		return nil
	}
	l.flying = g
	l.write(g)
	return nil
}

// land waits for the group in flight.
func (l *loop) land() error {
	if l.flying == nil {
		return nil
	}
	err := l.outcome()
	l.finish(err)
	return err
}

func (l *loop) hasWork() bool {
	return l.due || l.docs.due || l.docs.tidy || len(l.queue)+len(l.parts) > 0 || l.seals() && l.backlog() || l.core.Ready()
}

// seals says whether own changes become envelopes now.
func (l *loop) seals() bool {
	return !l.stale && (l.sealing || l.core.Greeted() || l.alone())
}

// loneBacklog is how many changes wait before the only device of an account seals
// them: others have no say in that, and sealed they take a tenth of the room.
const loneBacklog = 8192

func (l *loop) alone() bool {
	return l.counters.Pending-l.counters.Sealed >= loneBacklog && len(l.r.id.Members()) == 1 && l.standing.State == encryption.StandingMember
}

// backlog says whether own changes wait to be sealed.
func (l *loop) backlog() bool { return l.counters.backlog() }

// finish is called when the group in flight is durable, or is known not to
// be. The order is: persisted, then acknowledged, then sent.
func (l *loop) finish(err error) {
	g := l.flying
	l.flying = nil
	if err != nil {
		l.answer(g.intents, fmt.Errorf("write: %w", err))
		l.fault("", fmt.Errorf("write: %w", err))
		l.takeBack()
		return
	}
	l.counters, l.swept = g.next, max(l.swept, g.swept)
	l.due = l.due || l.kept > 0 // it may be what salvaged changes wait for
	l.setPrint(l.docs.prints.root())
	if g.suspects != nil {
		l.suspects = g.suspects
	}
	if g.base != nil {
		l.base = *g.base
	}
	l.healed(g)
	l.r.hub.publish(g.events) // first: who subscribes after Apply has returned does not see what it did
	l.answer(g.intents, nil)
	l.perform(l.core.Step(core.Committed{}))
	l.absorbed(g)
	l.perform(l.core.SetBacklog(l.backlog()))
	l.sendOwed()
	if len(l.core.Unvouched()) > 0 { // by envelopes of this group, of devices that are out
		l.confirm()
	}
}

// takeBack forgets a group that was not written.
func (l *loop) takeBack() {
	l.docs.abort()
	l.parts = nil
	l.perform(l.core.Step(core.Aborted{}))
}

// receive takes one event of a link.
func (l *loop) receive(ev linkEvent) {
	if l.links[ev.link.id] != ev.link {
		return
	}
	if ev.err != nil {
		l.unlink(ev.link, ev.err)
		return
	}
	l.r.heard(ev.link.peer.Device)
	l.perform(l.core.Step(core.Received{Session: ev.link.id, Message: ev.msg}))
}

// perform performs effects in their order.
func (l *loop) perform(effects []core.Effect) {
	for _, e := range effects {
		switch e := e.(type) {
		case core.Send:
			l.send(e)
		case core.Load:
			e.From = slices.DeleteFunc(e.From, l.goes)
			l.perform(l.core.Step(l.load(e)))
		case core.Admit:
			l.admitRoster(e)
		case core.Disconnect:
			if link := l.links[e.Session]; link != nil {
				l.end(link, e)
			}
		case core.Report:
			l.fault(e.Device.String(), e.Err)
		case core.Rewound:
			l.rewind(e.Err.Error())
		case core.HandOn:
			l.handOn(e)
		case core.Serve:
			l.sendDocuments(e)
		case core.Absorb:
			l.parts = append(l.parts, e)
		case core.Progress:
			l.progress()
		case core.AnswerCompare:
			l.answerCompare(e)
		case core.PeerCompared:
			l.compared(e)
		case core.AnswerProbe:
			l.answerProbe(e)
		case core.Look:
			l.look(e)
		case core.Descended:
			l.descended(e)
		}
	}
}

func (l *loop) send(e core.Send) {
	link := l.links[e.Session]
	if link == nil {
		return
	}
	if err := link.send(e.Message); err != nil {
		l.unlink(link, err)
	}
}

// attach begins a session on a new stream.
func (l *loop) attach(link *link) {
	if err := errors.Join(l.tellRoster(), l.welcomePeer(link.peer.Device)); err != nil {
		l.fault("", err)
		link.close()
		return
	}
	l.confirm()
	l.nextLink++
	link.id = l.nextLink
	l.links[link.id] = link
	l.r.heard(link.peer.Device)
	l.config.Log.Info("connected", "device", link.peer.Device, "addr", link.peer.Addr)
	l.serve(link)
	l.r.hub.publish([]model.Event{{Kind: "peer", Entity: link.peer.Device.String(), Device: link.peer.Device.String(), Note: "connected"}})
	l.perform(l.core.Step(core.Connected{Session: link.id, Device: link.peer.Device}))
}

// end ends a session as the exchange asks for.
func (l *loop) end(link *link, e core.Disconnect) {
	if e.Flush {
		link.drain()
		l.leaving = append(slices.DeleteFunc(l.leaving, isEnded), link)
		l.detach(link, e.Reason)
		return
	}
	l.unlink(link, e.Reason)
}

// unlink ends a session.
func (l *loop) unlink(link *link, reason error) {
	link.close()
	l.detach(link, reason)
}

// detach forgets a session whose link is closed or about to be.
func (l *loop) detach(link *link, reason error) {
	delete(l.links, link.id)
	l.config.Log.Info("disconnected", "device", link.peer.Device, "reason", reason)
	l.r.hub.publish([]model.Event{{Kind: "peer", Entity: link.peer.Device.String(), Device: link.peer.Device.String(), Note: "disconnected"}})
	l.perform(l.core.Step(core.Disconnected{Session: link.id}))
	l.forget(link.id)
	l.progress()
}

func (l *loop) unlinkAll(reason error) {
	for _, id := range slices.Sorted(maps.Keys(l.links)) {
		l.unlink(l.links[id], reason)
	}
}

// fault tells the operator and the subscribers that something was refused.
func (l *loop) fault(device string, err error) {
	l.faults++
	l.config.Log.Warn("fault", "device", device, "err", err)
	l.r.hub.publish([]model.Event{{Kind: "fault", Device: device, Note: err.Error()}})
}

// shutDown waits for the group in flight and ends everything.
func (l *loop) shutDown() {
	if l.flying != nil {
		err := l.outcome()
		if err == nil {
			l.r.hub.publish(l.flying.events)
		}
		l.answer(l.flying.intents, err)
	}
	l.answer(l.queue, ErrClosed)
	for _, link := range l.links {
		link.close()
	}
	for _, link := range l.leaving {
		link.close()
	}
	for _, t := range []*time.Timer{l.later, l.ticking, l.resting} {
		if t != nil {
			t.Stop()
		}
	}
	for _, w := range l.waiters {
		w.done <- ErrClosed
	}
	if err := errors.Join(l.r.forgive(l.suspects), l.saveHolds()); err != nil {
		l.config.Log.Warn("close: the next process is slower than it has to be", "err", err)
	}
}

var errStopped = errors.New("replica is closing")
