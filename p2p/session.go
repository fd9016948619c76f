package p2p

import (
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/starling-sync/starling/encryption"
)

// lingerTime bounds how long a closed stream waits for the other end to have
// read what was written last.
const lingerTime = time.Second

// A session is one authenticated stream with one device, on a connection of
// its own. It is what Accept hands out.
type session struct {
	peer   encryption.Peer
	id     peer.ID
	conn   transport.CapableConn
	stream network.MuxedStream
	onEnd  func(*session)

	closing sync.Once
	ending  sync.Once
	ended   chan struct{} // closed when the connection is gone
}

func newSession(p encryption.Peer, conn transport.CapableConn, stream network.MuxedStream, onEnd func(*session)) *session {
	return &session{
		peer: p, id: conn.RemotePeer(), conn: conn, stream: stream,
		onEnd: onEnd, ended: make(chan struct{}),
	}
}

func (s *session) Read(b []byte) (int, error)  { return s.stream.Read(b) }
func (s *session) Write(b []byte) (int, error) { return s.stream.Write(b) }

func (s *session) SetDeadline(t time.Time) error      { return s.stream.SetDeadline(t) }
func (s *session) SetReadDeadline(t time.Time) error  { return s.stream.SetReadDeadline(t) }
func (s *session) SetWriteDeadline(t time.Time) error { return s.stream.SetWriteDeadline(t) }

// Close says that nothing more will be written and ends the session once the
// other end has closed too, at the latest after lingerTime. It does not wait
// for that. Reads that are blocked return.
func (s *session) Close() error {
	s.closing.Do(func() {
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
	_, _ = io.Copy(io.Discard, s.stream) // ends with the stream, the connection or the timer
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
