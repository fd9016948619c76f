package replica

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/internal/core"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// comparison is a question to all connected devices for their fingerprints.
type comparison struct {
	waiting  map[core.SessionID]bool
	digest   [32]byte
	print    [32]byte
	results  []model.PeerVerification
	sessions []core.SessionID // of the results
	done     chan struct{}    // closed when nobody is waited for
}

// search is for the documents that differ from those of some devices.
type search struct {
	waiting map[core.SessionID]bool
	found   map[core.SessionID][]core.Difference
	done    chan struct{} // closed when nobody is waited for
}

// verifyPeers compares with the connected devices. Where documents differ they are
// named, and both sides take from the other what they lack; then it compares again.
func (r *Replica) verifyPeers(ctx context.Context, v *model.Verification) error {
	first, err := r.compareOnce(ctx)
	if err != nil {
		return err
	}
	v.Peers = append(v.Peers, first.results...)
	different := first.different()
	if len(different) == 0 {
		return nil
	}
	s, err := r.search(ctx, different)
	if err != nil {
		return err
	}
	again, err := r.compareOnce(ctx)
	if err != nil {
		return err
	}
	return r.call(ctx, func(l *loop) {
		for i, session := range first.sessions {
			if v.Peers[i].Result != resultDifferent {
				continue
			}
			l.nameAll(&v.Peers[i], s.found[session])
			if at := slices.Index(again.sessions, session); at >= 0 && again.results[at].Result == resultEqual {
				v.Peers[i].Result = resultRepaired
			}
		}
	})
}

// different returns the sessions with devices that hold the same envelopes and
// other documents.
func (c *comparison) different() (all []core.SessionID) {
	for i, p := range c.results {
		if p.Result == resultDifferent {
			all = append(all, c.sessions[i])
		}
	}
	return all
}

func (r *Replica) compareOnce(ctx context.Context) (*comparison, error) {
	var nonce [8]byte
	rand.Read(nonce[:]) // crypto/rand.Read never fails
	var c *comparison
	if err := r.call(ctx, func(l *loop) { c = l.compareAll(nonce) }); err != nil {
		return nil, err
	}
	return c, r.await(ctx, c.done, func(l *loop) { delete(l.comparing, nonce) })
}

// search has documents compared down to the last with some devices, and taken over.
func (r *Replica) search(ctx context.Context, sessions []core.SessionID) (*search, error) {
	s := &search{waiting: map[core.SessionID]bool{}, found: map[core.SessionID][]core.Difference{}, done: make(chan struct{})}
	if err := r.call(ctx, func(l *loop) { l.search(s, sessions) }); err != nil {
		return nil, err
	}
	return s, r.await(ctx, s.done, func(l *loop) {
		l.searches = slices.DeleteFunc(l.searches, func(o *search) bool { return o == s })
	})
}

// await waits for devices, and forgets in the loop what waits when the caller leaves.
func (r *Replica) await(ctx context.Context, done <-chan struct{}, forget func(*loop)) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		r.leave(ctx, forget)
		return fmt.Errorf("compare with connected devices: %w", ctx.Err())
	case <-r.done:
		return ErrClosed
	}
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
// wait to be sealed are in the documents and in no envelope, and of documents that are
// on their way there is more than of envelopes: as long as there are some, nobody else
// has the same, and the digest is one that nobody has.
func (l *loop) compareDigest() [32]byte {
	digest := l.core.Digest()
	if !l.backlog() && !l.core.Fetching() {
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
	c.sessions = append(c.sessions, e.Session)
	l.settle(e.Answer.Nonce)
}

// settle ends comparisons that wait for nobody any more.
func (l *loop) settle(nonce [8]byte) {
	if c := l.comparing[nonce]; c != nil && len(c.waiting) == 0 {
		delete(l.comparing, nonce)
		close(c.done)
	}
}

// search begins a search.
func (l *loop) search(s *search, sessions []core.SessionID) {
	l.searches = append(l.searches, s)
	for _, id := range sessions {
		s.waiting[id] = l.links[id] != nil
	}
	for _, id := range sessions {
		l.perform(l.core.Step(core.Descend{Session: id}))
	}
	l.endSearches()
}

// descended hands what was found to those who wait for it, and tells the person.
func (l *loop) descended(e core.Descended) {
	for _, s := range l.searches {
		if s.waiting[e.Session] {
			s.found[e.Session] = append(s.found[e.Session], e.Differ...)
			s.waiting[e.Session] = e.More
		}
	}
	l.endSearches()
	l.own = own{}
	if len(e.Differ) == 0 {
		return
	}
	p := model.PeerVerification{Device: e.Device.String()}
	l.nameAll(&p, e.Differ)
	l.config.Log.Warn("documents differ from another device's", "device", e.Device, "documents", p.Differing())
	l.r.hub.publish([]model.Event{{Kind: "repair", Device: p.Device, Note: p.Differing()}})
}

// endSearches tells those who wait for nobody any more.
func (l *loop) endSearches() {
	l.searches = slices.DeleteFunc(l.searches, func(s *search) bool {
		for _, waits := range s.waiting { // order-free: a disjunction
			if waits {
				return false
			}
		}
		close(s.done)
		return true
	})
}

// nameAll names documents that differ, once each. One that only the other device had is
// named once it is here.
func (l *loop) nameAll(p *model.PeerVerification, differ []core.Difference) {
	seen := map[[16]byte]bool{}
	for _, d := range differ {
		if seen[d.ID] {
			continue
		}
		if seen[d.ID] = true; len(p.Documents) == maxProblems {
			p.More++
			continue
		}
		doc := model.DifferentDocument{ID: account.DocumentID(d.ID).String(), Here: d.Here, There: d.There}
		if ref, ok := l.refOf(d.ID); ok {
			doc.Kind, doc.Entity = ref.Kind.String(), ref.Entity
		}
		p.Documents = append(p.Documents, doc)
	}
	slices.SortStableFunc(p.Documents, func(a, b model.DifferentDocument) int { return strings.Compare(a.String(), b.String()) })
}

// setPrint notes the fingerprint of what is durable.
func (l *loop) setPrint(print [32]byte) {
	l.print = print
	l.core.SetPrint(print, l.backlog())
}

// forget stops waiting for the answers of a session that has ended.
func (l *loop) forget(id core.SessionID) {
	for nonce, c := range l.comparing { // order-free: each apart
		if c.waiting[id] {
			delete(c.waiting, id)
			l.settle(nonce)
		}
	}
	for _, s := range l.searches {
		s.waiting[id] = false
	}
	l.endSearches()
}
