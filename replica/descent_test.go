package replica_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/internal/wire"
)

func chatRef(id string) account.Ref { return account.Ref{Kind: account.KindChat, Entity: id} }

// changesOf returns what a device has of a document.
func changesOf(t *testing.T, d *device, ref account.Ref) (all []crdt.Change) {
	t.Helper()
	try(t, d.Underneath(t.Context(), func(changes []crdt.Change) []crdt.Change {
		all = slices.Clone(changes)
		return changes
	}, ref))
	return all
}

// forge makes the change that the writer of the last one might have made behind the
// first n changes, and did not.
func forge(t *testing.T, changes []crdt.Change, n int, by crdt.Writer) crdt.Change {
	t.Helper()
	doc := crdt.NewDocument(by)
	_, err := doc.Apply(changes[:n])
	try(t, err)
	e := doc.Edit(4_000_000_000_000)
	try(t, account.Apply(e, model.Edit{Op: model.ChatMute, ID: "forged", Until: 77}))
	c, err := e.Commit()
	try(t, err)
	return *c
}

// edited are two devices in sync with some changes of two chats, of which a has made
// the first and the last.
func edited(t *testing.T) (a, b *device, cut func()) {
	t.Helper()
	a, b = pair(t)
	cut = connect(a, b)
	ctx := t.Context()
	try(t, errors.Join(a.TailsFrom(ctx, 50), b.TailsFrom(ctx, 50)))
	try(t, a.Chat("one").Mute(ctx, 1000))
	inSync(t, a, b)
	try(t, b.Chat("one").Archive(ctx, nil))
	inSync(t, a, b)
	try(t, a.Chat("one").MarkUnread(ctx))
	try(t, b.Chat("two").Mute(ctx, 2000))
	inSync(t, a, b)
	for _, d := range []*device{a, b, a} { // what they have to tell of their documents comes before the answers
		verified(t, d.Replica)
	}
	return a, b, cut
}

// ways are what may be wrong with a document of b that a has made the first and last of
// three changes of.
func ways() map[string]func(*testing.T, []crdt.Change) []crdt.Change {
	return map[string]func(*testing.T, []crdt.Change) []crdt.Change{
		"lacks the last change": func(_ *testing.T, all []crdt.Change) []crdt.Change { return all[:2] },
		"lacks its own change":  func(_ *testing.T, all []crdt.Change) []crdt.Change { return all[:1] },
		"is gone":               func(*testing.T, []crdt.Change) []crdt.Change { return nil },
		"has a change of nobody": func(t *testing.T, all []crdt.Change) []crdt.Change {
			return append(slices.Clone(all), forge(t, all, 3, crdt.Writer{9}))
		},
		"contradicts the log": func(t *testing.T, all []crdt.Change) []crdt.Change {
			return append(slices.Clone(all[:2]), forge(t, all, 2, all[2].Actor))
		},
	}
}

// spoilOne changes the document of a chat underneath.
func spoilOne(t *testing.T, d *device, how func(*testing.T, []crdt.Change) []crdt.Change) {
	t.Helper()
	try(t, d.Underneath(t.Context(), func(all []crdt.Change) []crdt.Change { return how(t, all) }, chatRef("one")))
}

// Verify names the document that differs from another device's, and repairs it, whichever
// of the two is asked.
func TestVerifyNamesAndRepairs(t *testing.T) {
	for name, way := range ways() {
		for _, itself := range []bool{false, true} {
			t.Run(fmt.Sprint(name, "/asked itself ", itself), func(t *testing.T) {
				a, b, _ := edited(t)
				asked := a
				if itself {
					asked = b
				}
				spoilOne(t, b, way)
				v, err := asked.Verify(t.Context())
				id := chatRef("one").ID([32]byte(a.id.Account()))
				want := model.DifferentDocument{ID: id.String(), Kind: "chat", Entity: "one", Here: true, There: true}
				if name == "is gone" {
					want.Here, want.There = !itself, itself
				}
				p := v.Peers[0]
				if err != nil || len(v.Peers) != 1 || p.Result != "repaired" || p.More > 0 || !reflect.DeepEqual(p.Documents, []model.DifferentDocument{want}) {
					t.Errorf("verification is %+v, %v", v, err)
				}
				settled(t, a, b)
			})
		}
	}
}

// Devices that meet notice what differs between them, and repair it without being
// asked.
func TestMeetingRepairs(t *testing.T) {
	for name, way := range ways() {
		t.Run(name, func(t *testing.T) {
			a, b, cut := edited(t)
			cut()
			spoilOne(t, b, way)
			takes, gives := b, a // the other way only if it is a that lacks something
			if name == "has a change of nobody" {
				takes, gives = a, b
			}
			repairs := takes.Watch(t.Context(), replica.Now)
			connect(a, b)
			ev := await(t, repairs, func(ev model.Event) bool { return ev.Kind == "repair" })
			if ev.Device != gives.id.Device().String() || !strings.HasPrefix(ev.Note, "chat one") {
				t.Errorf("the event is %+v", ev)
			}
			equalSoon(t, a, b)
		})
	}
}

// equalSoon waits until two devices find each other equal.
func equalSoon(t *testing.T, a, b *device) {
	t.Helper()
	for {
		v, err := a.Verify(t.Context())
		try(t, err)
		if len(v.Problems) > 0 {
			t.Fatalf("verification is %+v", v)
		}
		if len(v.Peers) > 0 && slices.ContainsFunc([]string{"equal", "repaired"}, func(s string) bool { return v.Peers[0].Result == s }) {
			break
		}
	}
	settled(t, a, b)
}

// A transfer of documents is cut, and its source goes away for good with what it wrote
// last. The device that had it has more of that than any envelope says, and gives
// it to the others.
func TestLostSourceOfASnapshot(t *testing.T) {
	a, b := pair(t)
	ctx := t.Context()
	for _, d := range []*device{a, b} {
		try(t, d.ShortenLogs(ctx, 1000, 2000))
	}
	cut := connect(a, b)
	inSync(t, a, b)
	writes(t, a, "x", 300)
	inSync(t, a, b)
	cut()
	writes(t, a, "x", 40) // nobody hears of it
	c := open(t, join(t, a, "c"))
	try(t, b.AdmitMembers(ctx, a.id.Ops()))
	events := c.Watch(ctx, replica.Now)
	cut = connect(a, c)
	await(t, events, func(ev model.Event) bool { return ev.Kind == "chat" })
	cut()
	try(t, a.Close())
	repairs := b.Watch(ctx, replica.Now)
	connect(b, c)
	await(t, repairs, func(ev model.Event) bool { return ev.Kind == "repair" && strings.Contains(ev.Note, "chat x") })
	equalSoon(t, b, c)
	writes(t, c, "x", 20)
	writes(t, b, "x", 20)
	settled(t, b, c)
}

// forgeBehind puts a change behind the three of chat one, in the name of who made the last.
func forgeBehind(t *testing.T, d *device) {
	t.Helper()
	spoilOne(t, d, func(t *testing.T, all []crdt.Change) []crdt.Change {
		return append(slices.Clone(all), forge(t, all, 3, all[2].Actor))
	})
}

// A change in the name of an honest device that another one made up, and that came as a
// document, gives way to what that device has signed. Nobody takes it for a
// fault of its author.
func TestSignedChangesPrevail(t *testing.T) {
	a, b, cut := edited(t)
	ctx := t.Context()
	cut()
	forgeBehind(t, b)
	try(t, a.Chat("one").Pin(ctx)) // under the same number
	connect(a, b)
	equalSoon(t, a, b)
	for _, d := range []*device{a, b} {
		c, err := d.GetChat(ctx, "one")
		if err != nil || !c.Pinned || c.MutedUntil == 77 {
			t.Errorf("chat is %+v, %v", c, err)
		}
		s, err := d.Status(ctx)
		if err != nil || s.Counts.Faults > 0 {
			t.Errorf("status is %+v, %v", s, err)
		}
	}
}

// What this device is said to have written, and has not, is not taken from anybody.
func TestOwnChangesComeFromTheLog(t *testing.T) {
	a, b, cut := edited(t)
	ctx := t.Context()
	cut()
	forgeBehind(t, b)
	connect(a, b)
	inStep := errors.Join(a.WaitInSync(ctx, b.id.Device()), b.WaitInSync(ctx, a.id.Device()))
	try(t, inStep)
	v, err := a.Verify(ctx)
	for err == nil && len(v.Peers) == 0 { // the session that was in sync was the one that is cut
		v, err = a.Verify(ctx)
	}
	if err != nil || v.OK || v.Peers[0].Result != "different" || len(v.Peers[0].Documents) != 1 {
		t.Errorf("verification is %+v, %v", v, err)
	}
	if got := changesOf(t, a, chatRef("one")); len(got) != 3 {
		t.Errorf("a has %d changes", len(got))
	}
	try(t, a.Chat("one").Pin(ctx)) // it comes to b signed, and what was forged goes
	equalSoon(t, a, b)
}

// What a device writes on top of what only documents had brought to it comes to devices
// that do not have that.
func TestEditsOnWhatNobodySigned(t *testing.T) {
	a, b, cut := edited(t)
	ctx := t.Context()
	isParted := func(ev model.Event) bool { return ev.Note == "disconnected" }
	parted := a.Watch(ctx, replica.Now)
	cut()
	await(t, parted, isParted)
	spoilOne(t, b, ways()["has a change of nobody"])
	try(t, b.Chat("one").Pin(ctx))
	parted = a.Watch(ctx, replica.Now)
	connect(a, b)
	await(t, parted, isParted)
	connect(a, b) // as the network does
	equalSoon(t, a, b)
	c, err := a.GetChat(ctx, "one")
	if err != nil || !c.Pinned {
		t.Errorf("chat is %+v, %v", c, err)
	}
}

// madeUp is a chat of a writer that nobody knows, as a part holds it.
func madeUp(t *testing.T, id string) wire.Saved {
	t.Helper()
	doc := crdt.NewDocument(crdt.Writer{9})
	e := doc.Edit(1)
	try(t, account.Apply(e, model.Edit{Op: model.ChatMute, ID: id, Until: 1}))
	_, err := e.Commit()
	try(t, err)
	saved, err := doc.Save()
	try(t, err)
	return wire.Saved{Kind: uint8(account.KindChat), Entity: id, Doc: saved}
}

// lead has a device go down the tree to a document that a puppet says it has, and ask
// for that.
func (p *puppet) lead(t *testing.T, id [16]byte, lie byte) {
	t.Helper()
	p.send(t, &wire.Compare{})
	compared := p.next(t).(*wire.Compared)
	p.send(t, &wire.Print{Digest: [4]byte(compared.Digest[:]), Fingerprint: [8]byte{0xff, lie}})
	if m, ok := p.next(t).(*wire.Probe); !ok || len(m.Prefix) > 0 {
		t.Fatalf("the root is not asked for, but %+v", m)
	}
	p.send(t, &wire.Probe{})
	root := p.next(t).(*wire.Probed)
	root.Sums[id[0]][31] ^= 1
	p.send(t, root)
	if m, ok := p.next(t).(*wire.Probe); !ok || !slices.Equal(m.Prefix, id[:1]) {
		t.Fatalf("the bucket is not asked for, but %+v", m)
	}
	p.send(t, &wire.Probed{Prefix: id[:1], Leaves: []wire.Leaf{{ID: id, Hash: [32]byte{1}}}})
	if m, ok := p.next(t).(*wire.Want); !ok || len(m.IDs) != 1 || m.IDs[0] != id {
		t.Fatalf("the document is not asked for, but %+v", m)
	}
}

// A member that lies about its documents gets what it names asked for, and no more: what
// it sends beside that is not taken, and rubble ends its stream.
func TestLiesAboutDocuments(t *testing.T) {
	a, b, cut := edited(t)
	ctx := t.Context()
	gone := a.Watch(ctx, replica.Now)
	cut()
	try(t, b.Close())
	await(t, gone, func(ev model.Event) bool { return ev.Note == "disconnected" })
	p := meet(t, a, b.id.Device())
	id := func(chat string) [16]byte { return chatRef(chat).ID([32]byte(a.id.Account())) }
	unasked, err := wire.EncodeSaved([]wire.Saved{madeUp(t, "unasked")})
	try(t, err)
	ends := a.Watch(ctx, replica.Now)
	p.lead(t, [16]byte{7, 7}, 1)
	p.send(t, &wire.Part{Packed: unasked})
	await(t, ends, func(ev model.Event) bool { return ev.Kind == "repair" && strings.Contains(ev.Note, "document 0707") })
	if _, err := a.GetChat(ctx, "unasked"); !errors.Is(err, replica.ErrNotFound) {
		t.Errorf("a document was taken that nobody asked for: %v", err)
	}
	p.lead(t, id("asked"), 2)
	asked, err := wire.EncodeSaved([]wire.Saved{madeUp(t, "unasked"), madeUp(t, "asked")})
	try(t, err)
	p.send(t, &wire.Part{Packed: asked})
	await(t, ends, func(ev model.Event) bool { return ev.Kind == "repair" && strings.Contains(ev.Note, "chat asked") })
	if got := chats(t, a.Replica); got != "asked one two" {
		t.Errorf("chats are %q", got)
	}
	p.lead(t, id("other"), 3)
	p.send(t, &wire.Part{Packed: []byte{1, 2, 3}})
	await(t, ends, func(ev model.Event) bool { return ev.Kind == "fault" && ev.Device == b.id.Device().String() })
	await(t, ends, func(ev model.Event) bool { return ev.Note == "disconnected" })
	try(t, a.Chat("one").Archive(ctx, nil))
	verified(t, a.Replica)
}

// More documents are gone than one search takes in: they come in several, and the names
// are as many as a person may want to read.
func TestManyDifferences(t *testing.T) {
	a, b := pair(t)
	connect(a, b)
	var edits []model.Edit
	var refs []account.Ref
	const many = 1300
	for i := range many {
		refs = append(refs, chatRef(fmt.Sprint("chat ", i)))
		edits = append(edits, model.Edit{Op: model.ChatMute, ID: fmt.Sprint("chat ", i), Until: model.Forever})
	}
	try(t, a.Apply(t.Context(), edits))
	inSync(t, a, b)
	try(t, b.Underneath(t.Context(), func([]crdt.Change) []crdt.Change { return nil }, refs...))
	v, err := b.Verify(t.Context())
	if err != nil || len(v.Peers) != 1 || v.Peers[0].Result != "repaired" || len(v.Peers[0].Documents) != 100 || v.Peers[0].More != many-100 {
		t.Errorf("verification is %+v, %v", v, err)
	}
	settled(t, a, b)
}

// Where the log does not go back to the beginning, what is lost comes from the other
// device, also what this one had written.
func TestRepairWithAShortLog(t *testing.T) {
	a, b := pair(t)
	for _, d := range []*device{a, b} {
		try(t, d.ShortenLogs(t.Context(), 4, 30))
	}
	connect(a, b)
	inSync(t, a, b)
	for range 3 {
		writes(t, b, "x", 30)
		writes(t, a, "x", 30)
		inSync(t, a, b)
	}
	if got := kept(t, b); got > 60 {
		t.Fatalf("%d envelopes are kept", got)
	}
	try(t, b.Underneath(t.Context(), func([]crdt.Change) []crdt.Change { return nil }, chatRef("x1"), chatRef("x2")))
	try(t, a.Underneath(t.Context(), func([]crdt.Change) []crdt.Change { return nil }, chatRef("x3")))
	v, err := b.Verify(t.Context())
	if err != nil || len(v.Peers) != 1 || v.Peers[0].Result != "repaired" || v.Peers[0].Differing() != "chat x1 (only there), chat x2 (only there), chat x3 (only here)" {
		t.Errorf("verification is %+v, %v", v, err)
	}
	settled(t, a, b)
}
