package replica

import (
	"errors"
	"testing"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
)

// What an envelope rests on that is neither here nor in it is lacking, until the document
// has it. Where there is no such thing the envelope itself is wrong.
func TestLacksByHash(t *testing.T) {
	author := crdt.NewDocument(crdt.Writer{1})
	var all []crdt.Change
	for until := range 3 {
		e := author.Edit(0)
		if err := account.Apply(e, model.Edit{Op: model.ChatMute, ID: "one", Until: model.Time(until + 1)}); err != nil {
			t.Fatal(err)
		}
		c, err := e.Commit()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, *c)
	}
	here := &document{ref: account.Ref{Kind: account.KindChat, Entity: "one"}, doc: crdt.NewDocument(crdt.Writer{2})}
	err := lacks(here, all[1:], encryption.WriterID{1}, crdt.ErrMissing)
	var m *missing
	if !errors.As(err, &m) || len(m.hashes) != 1 || m.hashes[0] != all[0].Hash || m.in(here.doc) || !errors.Is(err, crdt.ErrMissing) {
		t.Fatalf("%v lacks %v", err, m)
	}
	if _, err := here.doc.Apply(all[:1]); err != nil {
		t.Fatal(err)
	}
	if !m.in(here.doc) {
		t.Error("it lacks what has come")
	}
	if err := lacks(here, all, encryption.WriterID{1}, crdt.ErrMissing); errors.As(err, &m) {
		t.Errorf("an envelope in disorder lacks %v", m.hashes)
	}
}
