package p2p

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/starling-sync/starling/encryption"
)

// Names of the protocols. A stream begins with one of them in a frame.
const (
	syncProtocol = "/starling/sync/1"
	linkProtocol = "/starling/link/1"
)

// handshake is one hello as a pure state machine, satisfied by
// *encryption.Hello. Next takes nil first on the initiating side, and then
// whatever frame arrived; out is sent if it is not nil, and done says that
// nothing more will be received. Peer and Skew are valid after done.
type handshake interface {
	Next(in []byte) (out []byte, done bool, err error)
	Peer() (encryption.DeviceID, [][]byte)
	Skew() time.Duration
}

// hello runs h over the stream.
func hello(stream network.MuxedStream, h handshake, initiator bool) error {
	var in []byte
	for first := true; ; first = false {
		if !first || !initiator {
			var err error
			if in, err = readFrame(stream, maxHelloFrame); err != nil {
				return fmt.Errorf("%w: %w", errHello, err)
			}
		}
		out, done, err := h.Next(in)
		if out != nil {
			if err := writeFrame(stream, out); err != nil {
				return fmt.Errorf("%w: %w", errHello, err)
			}
		}
		if err != nil {
			if out != nil {
				await(stream)
			}
			return fmt.Errorf("%w: %w", errHello, err)
		}
		if done {
			return nil
		}
	}
}

// await lets the last frame of a hello that fails arrive, which it might not if
// the connection were closed behind it: the other end closes when it has read it.
func await(stream network.MuxedStream) {
	if stream.CloseWrite() == nil && stream.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		_, _ = stream.Read(make([]byte, 1))
	}
}

// open is the dialling side: it opens the one stream of a new connection,
// names the protocol and authenticates in an epoch. It returns the device even
// if another stream with it is kept. On an error the caller closes conn.
func (h *Host) open(ctx context.Context, conn transport.CapableConn, tag encryption.EpochTag) (encryption.DeviceID, error) {
	var nobody encryption.DeviceID
	ctx, cancel := context.WithTimeout(ctx, helloTime)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	stream, err := conn.OpenStream(ctx)
	if err != nil {
		return nobody, fmt.Errorf("open stream: %w", err)
	}
	if err := stream.SetDeadline(time.Now().Add(helloTime)); err != nil {
		return nobody, fmt.Errorf("open stream: %w", err)
	}
	if err := writeFrame(stream, []byte(syncProtocol)); err != nil {
		return nobody, err
	}
	hs, err := h.account.greet(tag, []byte(conn.LocalPeer()), []byte(conn.RemotePeer()), h.clock.now(), rand.Reader)
	if err != nil {
		return nobody, err
	}
	peer, err := h.authenticate(conn, stream, hs, true)
	if err != nil {
		return nobody, err
	}
	return peer.Device, h.settle(conn, stream, peer)
}

// authenticate runs the hello and passes on the membership operations that
// came with it, also if they say that one of the two is not a member any more.
func (h *Host) authenticate(conn transport.CapableConn, stream network.MuxedStream, hs handshake, initiator bool) (encryption.Peer, error) {
	if err := hello(stream, hs, initiator); err != nil {
		var out *encryption.RemovedError
		if errors.As(err, &out) {
			h.learn(out.Ops)
		}
		return encryption.Peer{}, err
	}
	device, ops := hs.Peer()
	if device == h.account.device() {
		return encryption.Peer{}, fmt.Errorf("%w: the other end has this device's own keys", errHello)
	}
	h.learn(ops)
	return encryption.Peer{
		Device: device, Addr: conn.RemoteMultiaddr().String(), Outbound: initiator, Skew: hs.Skew(),
	}, nil
}

// learn takes the membership operations of a hello.
func (h *Host) learn(ops [][]byte) {
	if len(ops) > 0 {
		h.admit(ops)
		h.Refresh()
	}
}

// settle exchanges cards, lets the deciding side choose between the streams of
// the pair, and registers the session.
func (h *Host) settle(conn transport.CapableConn, stream network.MuxedStream, p encryption.Peer) error {
	holds, at, done := h.sessions.settle(p.Device)
	defer done()
	mine := card{holds: holds, at: at, addrs: cardFor(h.end.addrs(), conn.RemoteMultiaddr())}
	if err := writeFrame(stream, mine.encode()); err != nil {
		return err
	}
	frame, err := readFrame(stream, maxCard)
	if err != nil {
		return err
	}
	theirs, err := parseCard(frame)
	if err != nil {
		return err
	}
	s := newSession(p, conn, stream, h.sessionEnded)
	if h.sessions.decides(p.Device) {
		err = h.decide(s, theirs)
	} else {
		err = h.follow(s)
	}
	if err != nil {
		return err
	}
	return h.start(s, theirs)
}

// decide chooses between s and the session that the pair has, and says so.
func (h *Host) decide(s *session, theirs card) error {
	verdict, old, err := h.sessions.decide(s, theirs)
	if err != nil {
		return err
	}
	if old != nil {
		old.end()
	}
	if err := writeFrame(s.stream, verdict.append(nil)); err != nil {
		s.end()
		return err
	}
	return nil
}

// follow waits for the other end's choice.
func (h *Host) follow(s *session) error {
	frame, err := readFrame(s.stream, stampSize)
	if err != nil {
		return err
	}
	if len(frame) != stampSize {
		return errCard
	}
	old, err := h.sessions.follow(s, parseStamp(frame))
	if err != nil {
		return err
	}
	if old != nil {
		old.end()
	}
	return nil
}
