package p2p

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	// dialTime bounds one attempt at all addresses of one peer, in which
	// transport and TLS handshakes have to finish.
	dialTime = 5 * time.Second
	// publicTCPDelay is how long TCP waits for QUIC towards a public address,
	// where a second handshake is not free and a dead port says nothing.
	publicTCPDelay = 250 * time.Millisecond
	maxDials       = 24 // addresses tried in one attempt
)

// An answer is that of another host than the one that was dialled.
type answer struct {
	addr ma.Multiaddr
	id   peer.ID // which it has proved
}

// dial races all addresses and returns the first connection whose other end
// proved to be id. The others are cancelled or closed. If there is none, it
// returns who answered instead, nearest first; a host that has changed its key
// is found among them. Once somebody has answered, the others have only so much
// patience left: a dead QUIC port would take all of dialTime.
func (e *endpoint) dial(ctx context.Context, id peer.ID, addrs []ma.Multiaddr, patience time.Duration) (transport.CapableConn, []answer, error) {
	f := e.current()
	if !f.gate.InterceptPeerDial(id) {
		return nil, nil, fmt.Errorf("dial %s: %w", id, errSelf)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	addrs = addrs[:min(len(addrs), maxDials)]
	type result struct {
		addr int
		conn transport.CapableConn
		err  error
	}
	results := make(chan result, len(addrs))
	for i, a := range addrs {
		go func() {
			conn, err := f.dial(ctx, id, a)
			results <- result{i, conn, err}
		}()
	}
	var won transport.CapableConn
	others := make([]peer.ID, len(addrs))
	var errs []error
	for range addrs {
		r := <-results
		switch {
		case r.err != nil:
			errs, others[r.addr] = append(errs, r.err), actual(r.err)
			if others[r.addr] != "" {
				defer time.AfterFunc(patience, cancel).Stop()
			}
		case won == nil:
			won = r.conn
			cancel()
		default:
			r.conn.Close()
		}
	}
	if won == nil {
		return nil, answers(addrs, others), fmt.Errorf("dial %s: %w", id, errors.Join(errs...))
	}
	return won, nil, nil
}

// actual is who answered in place of the host that was dialled, or empty.
func actual(err error) peer.ID {
	var mismatch sec.ErrPeerIDMismatch
	if errors.As(err, &mismatch) {
		return mismatch.Actual
	}
	return ""
}

// answers has every host once.
func answers(addrs []ma.Multiaddr, ids []peer.ID) []answer {
	seen := map[peer.ID]bool{"": true}
	var out []answer
	for i, id := range ids {
		if !seen[id] {
			out = append(out, answer{addrs[i], id})
		}
		seen[id] = true
	}
	return out
}

func (f *face) dial(ctx context.Context, id peer.ID, a ma.Multiaddr) (transport.CapableConn, error) {
	t := f.quic
	if isTCP(a) {
		t = f.tcp
		if err := holdBack(ctx, a); err != nil {
			return nil, err
		}
	}
	if t == nil || !t.CanDial(a) {
		return nil, fmt.Errorf("%s: no transport", a)
	}
	conn, err := t.Dial(ctx, a, id)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a, err)
	}
	return conn, nil
}

// holdBack is the dial ranking: none for a nearby address, a head start for
// QUIC towards a public one.
func holdBack(ctx context.Context, a ma.Multiaddr) error {
	if nearby(a) {
		return nil
	}
	t := time.NewTimer(publicTCPDelay)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
