package p2p

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/starling-sync/starling/encryption"
)

// lingerTime bounds how long a closed stream waits for the other end to have
// read what was written last.
const lingerTime = time.Second

// A peer that vanishes without a word is missed after beatInterval + beatTime
// at the latest. The answer may have to wait behind data under way, so it gets
// more time than any round trip takes.
const (
	beatInterval = 10 * time.Second
	beatTime     = 20 * time.Second
	// doubtTime is for the answer when there is reason to think that the
	// connection is dead.
	doubtTime = 5 * time.Second
)

// A session is one authenticated stream with one device, on a connection of
// its own. It is what Accept hands out.
type session struct {
	peer   encryption.Peer
	id     peer.ID
	conn   transport.CapableConn
	stream network.MuxedStream
	onEnd  func(*session)

	doubts  chan struct{} // a token asks beat to look at once
	reading sync.Mutex    // held by who reads: the muxer wakes one reader at the end
	closed  atomic.Bool   // Close was called
	closing sync.Once
	ending  sync.Once
	ended   chan struct{} // closed when the connection is gone
}

func newSession(p encryption.Peer, conn transport.CapableConn, stream network.MuxedStream, onEnd func(*session)) *session {
	return &session{
		peer: p, id: conn.RemotePeer(), conn: conn, stream: stream,
		onEnd: onEnd, ended: make(chan struct{}), doubts: make(chan struct{}, 1),
	}
}

func (s *session) Read(b []byte) (int, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	if s.closed.Load() {
		return 0, net.ErrClosed
	}
	return s.stream.Read(b)
}

func (s *session) Write(b []byte) (int, error) { return s.stream.Write(b) }

func (s *session) SetDeadline(t time.Time) error      { return s.stream.SetDeadline(t) }
func (s *session) SetReadDeadline(t time.Time) error  { return s.stream.SetReadDeadline(t) }
func (s *session) SetWriteDeadline(t time.Time) error { return s.stream.SetWriteDeadline(t) }

// Close says that nothing more will be written and ends the session once the
// other end has closed too, at the latest after lingerTime. It does not wait
// for that. Reads that are blocked return.
func (s *session) Close() error {
	s.closing.Do(func() {
		s.closed.Store(true)
		if err := s.stream.CloseWrite(); err != nil {
			s.end()
			return
		}
		go s.linger()
	})
	return nil
}

func (s *session) linger() {
	timer := time.AfterFunc(lingerTime, s.end)
	defer timer.Stop()
	_ = s.stream.SetReadDeadline(time.Unix(1, 0)) // whoever reads lets go
	s.reading.Lock()
	defer s.reading.Unlock()
	_ = s.stream.SetReadDeadline(time.Time{}) // the timer ends what follows
	_, _ = io.Copy(io.Discard, s.stream)      // ends with the stream, the connection or the timer
	s.end()
}

// end drops the connection at once. It may be called again and by anybody.
func (s *session) end() {
	s.ending.Do(func() {
		s.conn.Close()
		s.onEnd(s)
		close(s.ended)
	})
}

// doubt is called when the network has changed, here or at the other end.
func (s *session) doubt() { poke(s.doubts) }

// beat asks the other end for a sign of life now and then. The transports have
// keep-alives of their own, but QUIC's can take 45 seconds to give up.
func (s *session) beat() {
	ticks := time.NewTicker(beatInterval)
	defer ticks.Stop()
	for {
		wait := beatTime
		select {
		case <-s.ended:
			return
		case <-ticks.C:
		case <-s.doubts:
			wait = doubtTime
		}
		if timedOut(s.ping(wait)) {
			s.end()
			return
		}
	}
}

// ping opens a stream, which watch at the other end resets: that is the answer.
// Errors other than the deadline's are signs of life, or watch sees them too.
func (s *session) ping(wait time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), wait) //lint:allow context.Background the session ends the connection and so the call
	defer cancel()
	stream, err := s.conn.OpenStream(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Reset() }()
	if err := stream.SetDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	if _, err := stream.Write([]byte{0}); err != nil {
		return err
	}
	_, err = stream.Read(make([]byte, 1))
	return err
}

// timedOut recognises the deadlines of contexts, QUIC and yamux.
func timedOut(err error) bool {
	var timeout net.Error // also implemented by context.DeadlineExceeded
	return errors.As(err, &timeout) && timeout.Timeout()
}

// watch notices the death of the connection, however it comes about, and
// resets every further stream that the other end opens on it.
func (s *session) watch() {
	defer s.end()
	for {
		extra, err := s.conn.AcceptStream()
		if err != nil {
			return
		}
		_ = extra.Reset()
	}
}
