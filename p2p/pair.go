package p2p

import (
	"bytes"
	"errors"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/starling-sync/starling/encryption"
)

// A stamp orders what one run of a host says: stamps with the same run number
// are comparable, others say that the host was restarted in between.
type stamp struct {
	run uint64 // random, drawn at start
	n   uint64 // counts up
}

// before reports whether a was issued before b by the same run.
func (a stamp) before(b stamp) bool { return a.run == b.run && a.n < b.n }

// errSuperseded: the pair keeps another stream instead.
var errSuperseded = errors.New("another stream of this pair is in use")

// sessions is the table of live sessions, at most one per device, and the
// queue of those that Accept has not handed out.
//
// When two devices connect at the same time, or one of them again, the device
// with the smaller id decides for both, and the other follows (see SPEC.md,
// "One stream per pair"). So there is no moment at which each side prefers
// another stream, and none at which both drop the last one.
type sessions struct {
	self func() encryption.DeviceID
	run  uint64

	mu       sync.Mutex
	n        uint64                           // guarded by mu; last stamp issued
	live     map[encryption.DeviceID]*pairing // guarded by mu
	settling map[encryption.DeviceID]int      // guarded by mu; streams between card and verdict
	queue    []*session                       // guarded by mu; at most one per device
	ready    chan struct{}                    // has a token while the queue may hold something
}

// pairing is the registered session of a pair and what chose it.
type pairing struct {
	s       *session
	card    stamp // of the other end's card; set on the deciding side
	verdict stamp // of the decision
}

func newSessions(self func() encryption.DeviceID, run uint64) *sessions {
	return &sessions{
		self: self, run: run, ready: make(chan struct{}, 1),
		live: map[encryption.DeviceID]*pairing{}, settling: map[encryption.DeviceID]int{},
	}
}

// decides reports whether this device is the one that decides for the pair.
func (t *sessions) decides(other encryption.DeviceID) bool {
	self := t.self()
	return bytes.Compare(self[:], other[:]) < 0
}

// settle begins the choice for a new stream: holds says that this side has
// another one, or has one for which the choice is under way. The caller calls
// done when the choice is made.
func (t *sessions) settle(d encryption.DeviceID) (holds bool, at stamp, done func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	holds = t.live[d] != nil || t.settling[d] > 0
	t.settling[d]++
	return holds, t.stamp(), func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.settling[d]--; t.settling[d] == 0 {
			delete(t.settling, d)
		}
	}
}

// stamp needs mu.
func (t *sessions) stamp() stamp {
	t.n++
	return stamp{run: t.run, n: t.n}
}

// decide registers a new stream on the deciding side, unless the pair has one
// that the other end still counts on: it says so in its card, or it wrote
// this card before that of the registered stream. The session that was
// replaced is returned for ending.
func (t *sessions) decide(s *session, theirs card) (verdict stamp, old *session, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	had := t.live[s.peer.Device]
	if had != nil && (theirs.holds || theirs.at.before(had.card)) {
		return stamp{}, nil, errSuperseded
	}
	verdict = t.stamp()
	return verdict, t.register(s, &pairing{s: s, card: theirs.at, verdict: verdict}), nil
}

// follow registers a stream that the deciding side has chosen, unless a later
// decision has arrived before.
func (t *sessions) follow(s *session, verdict stamp) (old *session, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if had := t.live[s.peer.Device]; had != nil && verdict.before(had.verdict) {
		return nil, errSuperseded
	}
	return t.register(s, &pairing{s: s, verdict: verdict}), nil
}

// register needs mu.
func (t *sessions) register(s *session, p *pairing) (old *session) {
	if had := t.live[s.peer.Device]; had != nil {
		old = had.s
		t.unqueue(old)
	}
	t.live[s.peer.Device] = p
	return old
}

// offer queues a registered session for Accept, if it is still the current one.
func (t *sessions) offer(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.live[s.peer.Device]; p != nil && p.s == s {
		t.queue = append(t.queue, s)
		t.signal()
	}
}

// signal needs mu.
func (t *sessions) signal() {
	select {
	case t.ready <- struct{}{}:
	default:
	}
}

// unqueue needs mu.
func (t *sessions) unqueue(s *session) {
	for i, q := range t.queue {
		if q == s {
			t.queue = append(t.queue[:i:i], t.queue[i+1:]...)
			return
		}
	}
}

// remove takes an ended session out.
func (t *sessions) remove(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unqueue(s)
	if p := t.live[s.peer.Device]; p != nil && p.s == s {
		delete(t.live, s.peer.Device)
	}
}

// next takes the oldest session that was not handed out, or nil.
func (t *sessions) next() *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) == 0 {
		return nil
	}
	s := t.queue[0]
	t.queue = t.queue[1:]
	if len(t.queue) > 0 {
		t.signal()
	}
	return s
}

// with returns the live session with a host, or nil.
func (t *sessions) with(id peer.ID) *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.live {
		if p.s.id == id {
			return p.s
		}
	}
	return nil
}

// of returns the live session with a device, or nil.
func (t *sessions) of(d encryption.DeviceID) *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.live[d]; p != nil {
		return p.s
	}
	return nil
}

// all returns the live sessions.
func (t *sessions) all() []*session {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []*session
	for _, p := range t.live {
		out = append(out, p.s)
	}
	return out
}
