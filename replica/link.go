package replica

import (
	"bufio"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/core"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// maxOutbox bounds the bytes that wait for a device that does not read. The
// exchange's window keeps an honest stream far below it.
const maxOutbox = 32 << 20

var errSlowPeer = errors.New("the other device does not read what it is sent")

// link is one stream with the goroutines that read and write it.
type link struct {
	id   core.SessionID
	peer encryption.Peer
	conn io.ReadWriteCloser // nil when the replica is driven by hand

	mu     sync.Mutex
	cond   sync.Cond   // on mu; signalled when outbox or closed changes
	outbox []byte      // guarded by mu: encoded frames
	framer wire.Framer // guarded by mu
	closed bool        // guarded by mu
	ending bool        // guarded by mu: nothing more is sent
}

func newLink(id core.SessionID, conn io.ReadWriteCloser, peer encryption.Peer) *link {
	l := &link{id: id, conn: conn, peer: peer}
	l.cond.L = &l.mu
	return l
}

// send queues a message. It never blocks.
func (l *link) send(m wire.Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.ending {
		return nil
	}
	out, err := l.frame(m)
	if err != nil {
		return err
	}
	if len(out) > maxOutbox {
		return errSlowPeer
	}
	l.outbox = out
	l.cond.Signal()
	return nil
}

// frame appends the frame of m to what waits. Whoever drives a replica by hand reads
// each frame by itself.
func (l *link) frame(m wire.Message) ([]byte, error) {
	if l.conn == nil {
		return wire.AppendFrame(l.outbox, m)
	}
	return l.framer.Append(l.outbox, m)
}

// close ends both goroutines. It is idempotent.
func (l *link) close() {
	l.mu.Lock()
	wasClosed := l.closed
	l.closed = true
	l.cond.Signal()
	l.mu.Unlock()
	if !wasClosed && l.conn != nil {
		l.conn.Close()
	}
}

// drainTime is how long a device may take to read the last that it is sent.
const drainTime = 2 * time.Second

// drain closes the link once everything that was sent is written, or drainTime
// has passed.
func (l *link) drain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed && !l.ending {
		l.ending = true
		l.cond.Signal()
		if l.conn != nil {
			time.AfterFunc(drainTime, l.close)
		}
	}
}

func isEnded(l *link) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// write sends what is queued until the link closes.
func (l *link) write() {
	var spare []byte
	for {
		l.mu.Lock()
		for len(l.outbox) == 0 && !l.closed && !l.ending {
			l.cond.Wait()
		}
		frames := l.outbox
		l.outbox = spare[:0]
		done := l.closed || l.ending && len(frames) == 0
		l.mu.Unlock()
		if done {
			l.close()
			return
		}
		if _, err := l.conn.Write(frames); err != nil {
			l.close()
			return
		}
		if spare = frames; cap(spare) > 1<<20 {
			spare = nil
		}
	}
}

// read hands every message to deliver until the stream or deliver fails, and
// returns why.
func (l *link) read(deliver func(wire.Message) error) error {
	r := wire.NewReader(bufio.NewReaderSize(l.conn, 64<<10))
	for {
		m, err := r.Read()
		if err != nil {
			return err
		}
		if err := deliver(m); err != nil {
			return err
		}
	}
}
