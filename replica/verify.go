package replica

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/change"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/wire"
	"github.com/starling-sync/starling/replica/store"
)

// maxProblems bounds the lines of one verification. One more says how many
// were left out.
const maxProblems = 100

// Verify opens every envelope again and checks signatures and chains, loads
// every document and compares it with its index entry and the fingerprint,
// and compares with every connected device. Documents that differ are named, and each
// of the two takes from the other what it lacks. Problems are in the result; the error says that the check itself could not be made. Edits wait
// meanwhile; it ends with ctx.
func (r *Replica) Verify(ctx context.Context) (model.Verification, error) {
	v := model.Verification{Problems: []string{}, Peers: []model.PeerVerification{}}
	check := newVerification(&v, ctx.Err)
	err := r.ask(ctx, func(l *loop) error {
		err := l.verify(check)
		l.refetchAll(check.wrong)
		if check.miscounted {
			l.recount()
		}
		return err
	})
	if err == nil {
		err = r.verifyPeers(ctx, &v)
	}
	if err != nil {
		return v, fmt.Errorf("verify: %w", closed(err))
	}
	v.OK = len(v.Problems) == 0
	for _, p := range v.Peers {
		v.OK = v.OK && p.Result != resultDifferent
	}
	return v, nil
}

// recount makes the fingerprint that of the documents in the store, so that other
// devices can tell which of them are not as theirs. It is left as it is while some
// cannot be read.
func (l *loop) recount() {
	if _, err := sumDocuments(l.config.Store); err != nil {
		return
	}
	l.docs.abort() // what is in memory may be of documents that are not there
	l.docs.due = true
	l.launch()
	_ = l.land() // it is tried again
}

// The results of comparing with one peer.
const (
	resultEqual         = "equal"
	resultDifferent     = "different"
	resultRepaired      = "repaired"
	resultNotComparable = "not comparable"
)

// verification is one in the making.
type verification struct {
	*model.Verification
	ended func() error // of the caller's context
	left  int          // problems that had no room
	last  map[account.Ref]lastChanges
	seen  map[account.DocumentID]bool
	wrong []account.DocumentID // whose records could not be read
	bad   []account.Ref        // documents that can be read, and are not as they should be

	miscounted bool // the fingerprint is not that of the documents
}

// lastChanges are the numbers of the newest change of each writer to one document, as
// the log and the changes that wait have them. Whoever has these has all before them.
type lastChanges map[encryption.WriterID]uint64

func newVerification(v *model.Verification, ended func() error) *verification {
	return &verification{
		Verification: v, ended: ended,
		last: map[account.Ref]lastChanges{}, seen: map[account.DocumentID]bool{},
	}
}

// note says that a document must have a change of a writer.
func (v *verification) note(ref account.Ref, w encryption.WriterID, seq uint64) {
	if v.last[ref] == nil {
		v.last[ref] = lastChanges{}
	}
	v.last[ref][w] = max(v.last[ref][w], seq)
}

func (v *verification) problem(format string, args ...any) {
	if len(v.Problems) < maxProblems {
		v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
		return
	}
	v.left++
}

// verify checks the store at one point between two groups. What is in flight
// may be there or not, so it is waited for.
func (l *loop) verify(v *verification) error {
	_ = l.land() // whoever waits for it was answered
	v.Fingerprint = fmt.Sprintf("%x", l.print)
	for _, part := range []func(*verification) error{l.verifyLog, l.verifyPending, l.verifyDocuments, l.verifyIndex, l.verifyRest} {
		if err := part(v); err != nil {
			return err
		}
	}
	if v.left > 0 {
		v.Problems = append(v.Problems, fmt.Sprintf("and %d more problems", v.left))
	}
	return nil
}

// verifyLog says of each writer what is wrong first; what follows in its log
// cannot be checked without it.
func (l *loop) verifyLog(v *verification) error {
	a, broken := newAudit(l.r.id, &l.base), map[string]bool{}
	err := l.config.Store.Scan(tableLog, nil, nil, func(key, value []byte) error {
		v.Envelopes++
		writer := string(key[:min(len(key), 16)])
		if broken[writer] {
			return v.ended()
		}
		_, content, err := a.open(value)
		if err == nil {
			err = v.noteAll(content)
		}
		if err != nil {
			broken[writer] = true
			v.problem("envelope %x: %v", key, err)
		}
		return v.ended()
	})
	damaged, err := damagedRecords(err)
	if err != nil {
		return err
	}
	for _, d := range damaged {
		v.problem("envelope %x: %v", d.Key, d)
	}
	for _, w := range l.core.Writers() {
		if got, want := a.chains[w].Seq, l.core.Seq(w); got != want {
			v.problem("log of writer %s: %d envelopes in order, %d expected", w, got, want)
		}
	}
	return nil
}

// noteAll says what the documents must have of an envelope.
func (v *verification) noteAll(c *encryption.Content) error {
	batch, err := wire.DecodeBatch(elision(c.Writer), c.Batch)
	if err != nil {
		return err
	}
	for i, d := range batch.Docs {
		last, err := batch.Last(i)
		if err != nil {
			return fmt.Errorf("last change of document %d: %w", i, err)
		}
		v.note(account.Ref{Kind: account.Kind(d.Kind), Entity: d.Entity}, c.Writer, last)
	}
	return nil
}

func (l *loop) verifyPending(v *verification) error {
	err := l.eachPending(func(_ []byte, c localChange) error {
		parsed, err := change.Parse(c.raw)
		if err != nil {
			v.problem("change of %s that waits to be sealed: %v", c.ref, err)
			return v.ended()
		}
		v.note(c.ref, parsed.Actor, parsed.Seq)
		return v.ended()
	})
	if errors.Is(err, store.ErrDamaged) {
		v.problem("changes that wait to be sealed: %v", err)
		return nil
	}
	return err
}

func (l *loop) verifyDocuments(v *verification) error {
	sums := &fingerprint{}
	err := eachDocument(l.config.Store, nil, nil, func(id account.DocumentID, doc *docStored) error {
		v.Documents++
		v.seen[id] = true
		sums.replace(id, [32]byte{}, doc.Leaf)
		if err := l.verifyDocument(id, doc, v.last[doc.ref()]); err != nil {
			v.problem("%s: %v", doc.ref(), err)
			v.bad = append(v.bad, doc.ref())
		}
		return v.ended()
	}, func(d *store.DamagedError) error {
		v.Documents++
		v.problem("document %x: malformed record", d.Key)
		return v.ended()
	})
	damaged, err := damagedRecords(err)
	if err != nil {
		return err
	}
	for _, d := range damaged {
		v.problem("document %x: %v", d.Key, d)
		if id := d.Key; len(id) >= 16 {
			v.wrong = append(v.wrong, account.DocumentID(id[:16]))
		}
	}
	if sums.root() != l.print {
		v.miscounted = true
		v.problem("fingerprint: it does not match the documents")
	}
	return nil
}

// verifyDocument checks one saved document against its own record, the log and
// its index entry.
func (l *loop) verifyDocument(id account.DocumentID, rec *docStored, last lastChanges) error {
	if rec.ref().ID(l.docs.account) != id {
		return errors.New("stored under the id of another document")
	}
	doc, err := rec.load(l.docs.writer)
	if err != nil {
		return err
	}
	if leafOf(id, doc.Heads()) != rec.Leaf {
		return errors.New("the saved document is not at the recorded heads")
	}
	for w, seq := range last {
		if _, ok := doc.At(change.Place{Actor: w, Seq: seq}); !ok {
			return fmt.Errorf("it lacks changes of writer %s that the log has", w)
		}
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

// verifyIndex says what the documents are about that cannot be read, and which
// are missing: their records name only a hash. Damaged entries were named with
// their documents.
func (l *loop) verifyIndex(v *verification) error {
	named := map[account.DocumentID]bool{}
	err := l.config.Store.Scan(tableIndex, nil, nil, func(key, _ []byte) error {
		if len(key) == 0 {
			v.problem("index: an entry without a kind")
			return v.ended()
		}
		named[l.verifyNamed(v, account.Ref{Kind: account.Kind(key[0]), Entity: string(key[1:])})] = true
		return v.ended()
	})
	if _, err = damagedRecords(err); err != nil {
		return err
	}
	for _, ref := range slices.SortedFunc(maps.Keys(v.last), compareRefs) { // what the index may have lost too
		if !named[ref.ID(l.docs.account)] {
			l.verifyNamed(v, ref)
		}
	}
	return nil
}

// verifyNamed checks that there is a document of what something is about.
func (l *loop) verifyNamed(v *verification, ref account.Ref) account.DocumentID {
	id := ref.ID(l.docs.account)
	switch {
	case slices.Contains(v.wrong, id):
		v.problem("%s: its document %s is damaged", ref, id)
	case !v.seen[id]:
		v.problem("%s: its document %s is missing", ref, id)
	default:
		return id
	}
	v.bad = append(v.bad, ref)
	return id
}

func compareRefs(a, b account.Ref) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Entity, b.Entity))
}

// verifyRest reads the records that the replica has in memory while it runs.
func (l *loop) verifyRest(v *verification) error {
	for _, t := range []store.Table{tableMeta, tableMembers, tableChains, tablePrints, tableLocal, tableEpochs, tableKeys} {
		err := l.config.Store.Scan(t, nil, nil, func(_, _ []byte) error { return v.ended() })
		damaged, err := damagedRecords(err)
		if err != nil {
			return err
		}
		for _, d := range damaged {
			v.problem("%v", d)
		}
	}
	return nil
}

// damagedRecords returns the records that a scan left out, or the error that
// ended it early.
func damagedRecords(err error) ([]*store.DamagedError, error) {
	var damaged *store.DamagedScan
	if !errors.As(err, &damaged) || damaged.Err != nil {
		return nil, err
	}
	return damaged.Records, nil
}
