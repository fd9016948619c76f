package replica

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/internal/core"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// comparison is a question to all connected devices for their fingerprints.
type comparison struct {
	waiting map[core.SessionID]bool
	digest  [32]byte
	print   [32]byte
	results []model.PeerVerification
	done    chan struct{} // closed when nobody is waited for
}

func (r *Replica) verifyPeers(ctx context.Context, v *model.Verification) error {
	var nonce [8]byte
	rand.Read(nonce[:]) // crypto/rand.Read never fails
	var c *comparison
	if err := r.call(ctx, func(l *loop) { c = l.compareAll(nonce) }); err != nil {
		return err
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		r.leave(ctx, func(l *loop) { delete(l.comparing, nonce) })
		return fmt.Errorf("compare with connected devices: %w", ctx.Err())
	case <-r.done:
		return ErrClosed
	}
	v.Peers = append(v.Peers, c.results...)
	return nil
}

func (l *loop) compareAll(nonce [8]byte) *comparison {
	c := &comparison{
		waiting: map[core.SessionID]bool{}, digest: l.compareDigest(), print: l.print,
		done: make(chan struct{}),
	}
	for _, p := range l.core.Peers() {
		if p.Known {
			c.waiting[p.Session] = true
		}
	}
	l.comparing[nonce] = c
	l.perform(l.core.Step(core.CompareAll{Nonce: nonce}))
	l.settle(nonce)
	return c
}

// compareDigest is the digest of what the fingerprint was taken of. Own changes that
// wait to be sealed are in the documents and in no envelope: as long as there are
// some, nobody else has the same, and the digest is one that nobody has.
func (l *loop) compareDigest() [32]byte {
	digest := l.core.Digest()
	if !l.backlog() {
		return digest
	}
	return sha256.Sum256(slices.Concat([]byte("starling/pending/v1\x00"), digest[:], l.print[:]))
}

func (l *loop) answerCompare(e core.AnswerCompare) {
	l.send(core.Send{Session: e.Session, Message: &wire.Compared{
		Nonce: e.Nonce, Digest: l.compareDigest(), Fingerprint: l.print,
	}})
}

func (l *loop) compared(e core.PeerCompared) {
	c := l.comparing[e.Answer.Nonce]
	if c == nil || !c.waiting[e.Session] {
		return
	}
	delete(c.waiting, e.Session)
	result := resultNotComparable
	if e.Answer.Digest == c.digest {
		result = resultEqual
		if e.Answer.Fingerprint != c.print {
			result = resultDifferent
		}
	}
	c.results = append(c.results, model.PeerVerification{Device: e.Device.String(), Result: result})
	l.settle(e.Answer.Nonce)
}

// settle ends comparisons that wait for nobody any more.
func (l *loop) settle(nonce [8]byte) {
	if c := l.comparing[nonce]; c != nil && len(c.waiting) == 0 {
		delete(l.comparing, nonce)
		close(c.done)
	}
}

// forget stops waiting for the answers of a session that has ended.
func (l *loop) forget(id core.SessionID) {
	for nonce, c := range l.comparing {
		if c.waiting[id] {
			delete(c.waiting, id)
			l.settle(nonce)
		}
	}
}
