package sim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/change"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// rebuild: documents that are given the changes of the log in another causal order,
// by nothing but package crdt, show the same.
func (c *checks) rebuild(d *device, want string) {
	w := c.w
	docs, err := changesOn(d)
	if err != nil {
		w.fail("the log of %s cannot be read: %v", d.name, err)
		return
	}
	have, err := d.rep.State()
	if err != nil {
		w.fail("%s cannot show its state: %v", d.name, err)
		return
	}
	s := model.State{
		Account: have.Account, Devices: have.Devices,
		Chats: []model.Chat{}, Contacts: []model.Contact{}, Labels: []model.Label{}, Settings: []model.Setting{},
	}
	for _, ref := range slices.SortedFunc(maps.Keys(docs), compareRefs) {
		doc, err := w.inAnyOrder(docs[ref])
		if err != nil {
			w.fail("%s cannot be made again: %v", ref, err)
			return
		}
		show(&s, ref, doc)
	}
	if got := text(withoutHostile(s)); got != want {
		w.fail("documents that were made again from the log of %s show another state:\n%s\n%s", d.name, want, got)
	}
}

func compareRefs(a, b account.Ref) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Entity, b.Entity))
}

// show adds what a document shows. Device names are the replica's to combine with
// the membership.
func show(s *model.State, ref account.Ref, doc *crdt.Document) {
	switch ref.Kind {
	case account.KindChat:
		s.Chats = append(s.Chats, account.ViewChat(doc, ref.Entity))
	case account.KindContact:
		if c, alive := account.ViewContact(doc, ref.Entity); alive {
			s.Contacts = append(s.Contacts, c)
		}
	case account.KindSettings:
		s.Settings = append(s.Settings, account.ViewSettings(doc)...)
	case account.KindLabels:
		s.Labels = append(s.Labels, account.ViewLabels(doc)...)
	}
}

// changesOn reads every change in the log of a device.
func changesOn(d *device) (map[account.Ref][]crdt.Change, error) {
	logs := map[account.Ref]*logged{}
	chains := map[encryption.WriterID]*encryption.Chain{}
	err := eachEnvelope(d.disk.mem, func(w encryption.WriterID, _ uint64, raw []byte) error {
		d.w.result.Envelopes++
		u, err := d.id.OpenEnvelope(raw)
		if err != nil {
			return err
		}
		content, head, err := u.Verify(d.id, chains[w])
		if content == nil {
			return err
		}
		chains[w] = &encryption.Chain{Device: content.Device, Seq: content.Seq, Head: head, Members: content.Members}
		elided := change.Context{Actor: w, Suffix: "/" + crdt.Writer(w).String()}
		batch, err := wire.DecodeBatch(elided, content.Batch)
		if err != nil {
			return err
		}
		for i, doc := range batch.Docs {
			ref := account.Ref{Kind: account.Kind(doc.Kind), Entity: doc.Entity}
			if logs[ref] == nil {
				logs[ref] = &logged{}
			}
			logs[ref].add(w, batch, i)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	docs := map[account.Ref][]crdt.Change{}
	for _, ref := range slices.SortedFunc(maps.Keys(logs), compareRefs) {
		if docs[ref], err = logs[ref].changes(); err != nil {
			return nil, err
		}
	}
	return docs, nil
}

// logged is what the logs have of one document.
type logged struct {
	writers []encryption.WriterID // in the order of the store
	runs    map[encryption.WriterID][]run
}

type run struct {
	batch *wire.Batch
	doc   int
}

func (l *logged) add(w encryption.WriterID, b *wire.Batch, doc int) {
	if l.runs == nil {
		l.runs = map[encryption.WriterID][]run{}
	}
	if l.runs[w] == nil {
		l.writers = append(l.writers, w)
	}
	l.runs[w] = append(l.runs[w], run{b, doc})
}

// changes makes all changes, each when what it follows is there.
func (l *logged) changes() (all []crdt.Change, err error) {
	sofar := crdt.NewDocument(crdt.Writer{1})
	for left := true; left; {
		left = false
		err = nil
		for _, w := range l.writers {
			for len(l.runs[w]) > 0 {
				var some []crdt.Change
				some, err = l.runs[w][0].batch.Of(l.runs[w][0].doc, sofar.At)
				if err == nil {
					_, err = sofar.Apply(some)
				}
				if err != nil {
					break
				}
				all, l.runs[w], left = append(all, some...), l.runs[w][1:], true
			}
		}
	}
	for _, w := range l.writers {
		if len(l.runs[w]) > 0 {
			return nil, fmt.Errorf("changes of writer %s that nothing leads to: %w", w, err)
		}
	}
	return all, nil
}

// inAnyOrder makes a document of changes, of which each comes after those that it
// depends on and the earlier ones of its writer.
func (w *world) inAnyOrder(changes []crdt.Change) (*crdt.Document, error) {
	doc := crdt.NewDocument(crdt.Writer{1})
	w.draw.plan.Shuffle(len(changes), func(i, j int) { changes[i], changes[j] = changes[j], changes[i] })
	var ordered []crdt.Change
	done, last := map[crdt.Hash]bool{}, map[[16]byte]uint64{}
	for len(changes) > 0 {
		i := slices.IndexFunc(changes, func(c crdt.Change) bool {
			return last[c.Actor]+1 == c.Seq && !slices.ContainsFunc(c.Deps, func(h crdt.Hash) bool { return !done[h] })
		})
		if i < 0 {
			break // Apply says what is missing
		}
		c := changes[i]
		ordered, changes = append(ordered, c), slices.Delete(changes, i, i+1)
		done[c.Hash], last[c.Actor] = true, c.Seq
	}
	_, err := doc.Apply(append(ordered, changes...))
	return doc, err
}
