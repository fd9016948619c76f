package disk

import (
	"sync"

	"github.com/starling-sync/starling/replica/store"
)

// snapshots knows the newest visible timestamp and which older ones are still
// being read, and so what Badger may forget.
type snapshots struct {
	// discard tells Badger that nobody reads below a timestamp any more.
	discard func(ts uint64)

	mu      sync.Mutex
	visible uint64         // guarded by mu; the newest commit that readers see
	reading map[uint64]int // guarded by mu; how many readers at each timestamp
	closed  bool           // guarded by mu
	idle    *sync.Cond     // signalled when the last reader has gone
}

func newSnapshots(visible uint64, discard func(uint64)) *snapshots {
	s := &snapshots{discard: discard, visible: visible, reading: map[uint64]int{}}
	s.idle = sync.NewCond(&s.mu)
	discard(visible)
	return s
}

// acquire returns the timestamp at which to read, until release.
func (s *snapshots) acquire() (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, store.ErrClosed
	}
	s.reading[s.visible]++
	return s.visible, nil
}

func (s *snapshots) release(ts uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reading[ts]--; s.reading[ts] > 0 {
		return
	}
	delete(s.reading, ts)
	s.advance()
	if len(s.reading) == 0 {
		s.idle.Broadcast()
	}
}

// publish makes everything up to ts visible.
func (s *snapshots) publish(ts uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.visible = ts
	s.advance()
}

// advance lets Badger forget what nobody can see. The caller holds mu.
func (s *snapshots) advance() {
	oldest := s.visible
	for ts := range s.reading {
		oldest = min(oldest, ts)
	}
	s.discard(oldest)
}

func (s *snapshots) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// close refuses new readers and waits for those that there are.
func (s *snapshots) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for len(s.reading) > 0 {
		s.idle.Wait()
	}
}
