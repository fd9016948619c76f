package replica

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/core"
	"github.com/starling-sync/starling/replica/internal/wire"
	"github.com/starling-sync/starling/replica/store"
)

// maxProblems bounds the lines of one verification.
const maxProblems = 100

// Verify opens every envelope again and checks signatures and chains, loads
// every document and compares it with its index entry and the fingerprint,
// and asks every connected device for its fingerprint. Problems are in the
// result; the error says that the check itself could not be made.
func (r *Replica) Verify(ctx context.Context) (model.Verification, error) {
	v := model.Verification{Problems: []string{}, Peers: []model.PeerVerification{}}
	var err error
	if e := r.call(ctx, func(l *loop) { err = l.verify(&v) }); e != nil || err != nil {
		return v, errors.Join(e, err)
	}
	if err := r.verifyPeers(ctx, &v); err != nil {
		return v, err
	}
	v.OK = len(v.Problems) == 0
	for _, p := range v.Peers {
		v.OK = v.OK && p.Result != resultDifferent
	}
	return v, nil
}

// The results of comparing with one peer.
const (
	resultEqual         = "equal"
	resultDifferent     = "different"
	resultNotComparable = "not comparable"
)

func problem(v *model.Verification, format string, args ...any) {
	if len(v.Problems) < maxProblems {
		v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
	}
}

// verify checks the store at one point between two groups. What is in flight
// may be there or not, so it is waited for.
func (l *loop) verify(v *model.Verification) error {
	if l.flying != nil {
		l.finish(<-l.r.written)
	}
	print := l.docs.prints.root()
	v.Fingerprint = fmt.Sprintf("%x", print)
	if err := l.verifyLog(v); err != nil {
		return err
	}
	return l.verifyDocuments(v)
}

func (l *loop) verifyLog(v *model.Verification) error {
	chains := map[encryption.WriterID]encryption.Chain{}
	err := l.config.Store.Scan(tableLog, nil, nil, func(key, value []byte) error {
		v.Envelopes++
		if err := l.verifyEnvelope(chains, value); err != nil {
			problem(v, "envelope %x: %v", key, err)
		}
		return nil
	})
	if err := noteDamage(v, "envelope", err); err != nil {
		return err
	}
	for _, w := range l.core.Writers() {
		if got, want := chains[w].Seq, l.core.Seq(w); got != want {
			problem(v, "log of writer %s: %d envelopes in order, %d expected", w, got, want)
		}
	}
	return nil
}

func (l *loop) verifyEnvelope(chains map[encryption.WriterID]encryption.Chain, value []byte) error {
	var rec logRecord
	if err := cbor.Unmarshal(value, &rec); err != nil {
		return err
	}
	u, err := l.r.id.OpenEnvelope(rec.Raw)
	if err != nil {
		return err
	}
	var prior *encryption.Chain
	if c, ok := chains[u.Writer]; ok {
		prior = &c
	}
	c, hash, err := u.Verify(l.r.id, prior)
	if err != nil {
		return err
	}
	chains[u.Writer] = encryption.Chain{Device: c.Device, Seq: c.Seq, Head: hash, Members: c.Members}
	return nil
}

func (l *loop) verifyDocuments(v *model.Verification) error {
	sums := &fingerprint{}
	err := l.config.Store.Scan(tableDocs, nil, nil, func(key, value []byte) error {
		v.Documents++
		var rec docRecord
		if err := cbor.Unmarshal(value, &rec); err != nil || len(key) != 16 {
			problem(v, "document %x: malformed record", key)
			return nil
		}
		id := account.DocumentID(key)
		sums.replace(id, [32]byte{}, rec.Leaf)
		if err := l.verifyDocument(id, &rec); err != nil {
			problem(v, "%s: %v", rec.ref(), err)
		}
		return nil
	})
	if err := noteDamage(v, "document", err); err != nil {
		return err
	}
	if sums.root() != l.docs.prints.root() {
		problem(v, "fingerprint: it does not match the documents")
	}
	return nil
}

// verifyDocument checks one saved document against its own record and index
// entry.
func (l *loop) verifyDocument(id account.DocumentID, rec *docRecord) error {
	if rec.ref().ID(l.docs.account) != id {
		return errors.New("stored under the id of another document")
	}
	doc, err := crdt.LoadDocument(rec.Saved, l.docs.writer)
	if err != nil {
		return err
	}
	if leafOf(id, doc.Heads()) != rec.Leaf {
		return errors.New("the saved document is not at the recorded heads")
	}
	want := viewOf(&document{ref: rec.ref(), id: id, doc: doc})
	got, err := l.config.Store.Get(tableIndex, indexKey(rec.ref()))
	switch {
	case errors.Is(err, store.ErrNotFound) && want == nil:
		return nil
	case err != nil:
		return fmt.Errorf("index entry: %w", err)
	case want == nil || !bytes.Equal(got, encode(want)):
		return errors.New("the index entry does not match the document")
	}
	return nil
}

// noteDamage turns records that a scan left out into problems.
func noteDamage(v *model.Verification, what string, err error) error {
	var damaged *store.DamagedScan
	if !errors.As(err, &damaged) || damaged.Err != nil {
		return err
	}
	for _, d := range damaged.Records {
		problem(v, "%s %x: %v", what, d.Key, d)
	}
	return nil
}

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
		return fmt.Errorf("compare with connected devices: %w", ctx.Err())
	case <-r.done:
		return ErrClosed
	}
	v.Peers = append(v.Peers, c.results...)
	return nil
}

func (l *loop) compareAll(nonce [8]byte) *comparison {
	c := &comparison{
		waiting: map[core.SessionID]bool{}, digest: l.core.Digest(), print: l.print,
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

func (l *loop) answerCompare(e core.AnswerCompare) {
	l.send(core.Send{Session: e.Session, Message: &wire.Compared{
		Nonce: e.Nonce, Digest: l.core.Digest(), Fingerprint: l.print,
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
