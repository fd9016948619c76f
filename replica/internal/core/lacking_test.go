package core

import (
	"errors"
	"testing"

	"github.com/starling-sync/starling/encryption"
)

// A writer whose envelope lacks something waits, for longer each time, unless
// documents come; it is frozen when that goes on for ever.
func TestLacksEndInAFreeze(t *testing.T) {
	w := encryption.WriterID{1}
	x := New(identity("a", ""), NewLedger(identity("a", ""), nil, nil), Author{})
	lacking := errors.New("an earlier change is missing")
	for n := range maxLacks {
		if !x.Lacks(w, lacking) || !x.waits(w) {
			t.Fatalf("frozen, or not waiting, at try %d", n+1)
		}
		waited := 0
		for ; x.waits(w); waited++ {
			x.Step(Committed{})
		}
		if waited != 2<<n {
			t.Errorf("try %d: %d groups", n+1, waited)
		}
	}
	if x.Lacks(w, lacking) || x.Lacking() || x.frozen[w] == nil {
		t.Error("not frozen in the end")
	}
}

// Documents that have come end the wait, and an envelope that was applied ends the
// count.
func TestLacksAreFilled(t *testing.T) {
	w := encryption.WriterID{1}
	x := New(identity("a", ""), NewLedger(identity("a", ""), nil, nil), Author{})
	x.Lacks(w, errors.New("an earlier change is missing"))
	if x.Filled(); x.waits(w) || !x.Lacking() {
		t.Error("it waits though documents came, or is not tried again")
	}
	x.stage(encryption.Chain{Seq: 1}, Entry{Writer: w, Seq: 1})
	if x.Step(Committed{}); x.Lacking() {
		t.Error("it was applied, and is still taken to lack something")
	}
}
