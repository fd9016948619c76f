package p2p

import (
	"crypto/rand"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/transport"
)

// accept takes connections from one listener until it is closed.
func (h *Host) accept(l transport.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			h.end.lost(l)
			return
		}
		if !h.track(conn) {
			conn.Close()
			return
		}
		h.spawn(func() { h.serve(conn) })
	}
}

// serve authenticates one inbound connection. Whatever fails, and however,
// the other end sees the connection close without a byte from us.
func (h *Host) serve(conn transport.CapableConn) {
	waiting := h.pending.enter(func() { conn.Close() })
	err := h.serveStream(conn, func() { h.pending.leave(waiting) })
	h.pending.leave(waiting)
	if err != nil {
		h.drop(conn)
		h.log.Debug("dropped an inbound connection", "addr", conn.RemoteMultiaddr(), "err", err)
	}
}

// serveStream takes the one stream of the connection. An unknown protocol,
// and linking while no invite is open, are read like a hello and fail like
// one, so that a stranger cannot tell them apart.
func (h *Host) serveStream(conn transport.CapableConn, authenticated func()) error {
	stream, err := conn.AcceptStream()
	if err != nil {
		return err
	}
	if err := stream.SetDeadline(time.Now().Add(helloTime)); err != nil {
		return err
	}
	name, err := readFrame(stream, maxName)
	if err != nil {
		return err
	}
	switch string(name) {
	case syncProtocol:
		return h.serveSync(conn, stream)
	case linkProtocol:
		return h.serveLink(conn, stream, authenticated)
	}
	return refuse(stream)
}

var errProtocol = errors.New("no such protocol")

// refuse reads one frame as a hello would and fails.
func refuse(stream network.MuxedStream) error {
	if _, err := readFrame(stream, maxHelloFrame); err != nil {
		return err
	}
	return errProtocol
}

func (h *Host) serveSync(conn transport.CapableConn, stream network.MuxedStream) error {
	hs := h.account.answer([]byte(conn.LocalPeer()), []byte(conn.RemotePeer()), h.clock.now(), rand.Reader)
	peer, err := h.authenticate(conn, stream, hs, false)
	if err != nil {
		return err
	}
	return h.settle(conn, stream, peer)
}
