package replica_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/store"
)

// shared is a device on a disk and another one that has what was exchanged.
type shared struct {
	onDisk
	other *encryption.Identity
	left  *store.Memory // of the other
}

// prepareShared makes both. The first has written something alone since: "e", "c"
// and "d" wait to be sealed there.
func prepareShared(t *testing.T) shared {
	t.Helper()
	s := shared{onDisk: onDisk{home: t.TempDir(), dir: t.TempDir()}}
	id, _, err := encryption.Create(s.home, key(), &encryption.CreateOptions{Name: "a", Now: start})
	try(t, err)
	a := &device{id: id, cable: newCable()}
	a.Replica, err = replica.Open(s.dir, &replica.Config{Identity: id, Place: here, Network: a.cable})
	try(t, err)
	s.other = join(t, a, "b")
	b := open(t, s.other)
	ctx := t.Context()
	try(t, a.Apply(ctx, []model.Edit{unread("c"), unread("d")}))
	try(t, b.Chat("c").Mute(ctx, model.Forever))
	connect(a, b)
	inSync(t, a, b)
	for _, d := range []*device{b, a, b, a} { // each edit depends on the one before
		try(t, d.Chat("c").MarkUnread(ctx))
		try(t, d.Chat("c").MarkRead(ctx, account.Position{Time: 1, ID: "m"}))
		inSync(t, a, b)
	}
	events := a.Watch(ctx, replica.Now)
	try(t, b.Close())
	await(t, events, func(ev model.Event) bool { return ev.Note == "disconnected" })
	try(t, a.Apply(ctx, []model.Edit{unread("e"), {Op: model.ChatPin, ID: "c"}, {Op: model.ChatPin, ID: "d"}}))
	try(t, a.Local("n").Put(ctx, "k", []byte("v")))
	s.state = stateOf(t, a.Replica)
	try(t, a.Close())
	s.left = b.store.left
	return s
}

func (s shared) copied(t *testing.T) shared {
	t.Helper()
	s.onDisk = s.onDisk.copied(t)
	return s
}

// examine returns what Examine says of the parts that it has come to.
func (o onDisk) examine(t *testing.T) (parts []replica.Examined, err error) {
	t.Helper()
	err = replica.Examine(t.Context(), o.dir, &replica.Config{Identity: o.identity(t), Place: here}, func(x replica.Examined) {
		if !x.Begun && !x.Alive {
			parts = append(parts, x)
		}
	})
	return parts, err
}

// remedies are those of all troubles.
func remedies(parts []replica.Examined) (all []replica.Remedy) {
	for _, p := range parts {
		for _, t := range p.Troubles {
			all = append(all, t.Remedy)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// salvage carries what can be read of a store over into a new one.
func (o onDisk) salvage(t *testing.T, upTo int) (*device, replica.Carried) {
	t.Helper()
	var read []replica.Salvaged
	err := replica.ReadSalvage(t.Context(), o.dir, &replica.Config{Identity: o.identity(t), Place: here}, func(s replica.Salvaged) error {
		s.Key, s.Value = slices.Clone(s.Key), slices.Clone(s.Value)
		read = append(read, s)
		return nil
	})
	try(t, err)
	if upTo >= 0 {
		read = read[:upTo]
	}
	d := &device{id: o.identity(t), cable: newCable(), store: newFaulty(store.NewMemory())}
	d.Replica, err = replica.Open("", &replica.Config{Identity: d.id, Network: d.cable, Store: d.store})
	try(t, err)
	t.Cleanup(func() { d.Close() })
	carried, err := d.Salvage(t.Context(), func() (replica.Salvaged, error) {
		if len(read) == 0 {
			return replica.Salvaged{}, io.ErrUnexpectedEOF
		}
		next := read[0]
		read = read[1:]
		return next, nil
	})
	try(t, err)
	return d, carried
}

// A store in which nothing is damaged is carried over as a whole.
func TestSalvageOfAWholeStore(t *testing.T) {
	s := prepareShared(t)
	parts, err := s.examine(t)
	if err != nil || len(parts) != 8 || len(remedies(parts)) > 0 {
		t.Fatalf("the examination says %+v, %v", parts, err)
	}
	d, carried := s.salvage(t, -1)
	if !carried.Whole || carried.Kept > 0 || carried.Others != 1 || carried.Changes == 0 {
		t.Errorf("carried over: %+v", carried)
	}
	if got := stateOf(t, d.Replica); got != s.state {
		t.Errorf("the state is\n%s, was\n%s", got, s.state)
	}
	if v, err := d.Local("n").Get("k"); err != nil || string(v) != "v" {
		t.Errorf("the local record is %q, %v", v, err)
	}
	verified(t, d.Replica)
	s.meetOther(t, d)
}

// meetOther connects the new store to the other device, after which both have all.
func (s shared) meetOther(t *testing.T, d *device) {
	t.Helper()
	b := openOn(t, s.other, newFaulty(s.left.Snapshot()))
	meetAgain(t, d, b, func(state string) bool { return state == s.state })
	verified(t, d.Replica)
	try(t, b.Close())
	left := d.close(t)
	again := openOn(t, d.id, newFaulty(left)) // which forgets what was kept
	verified(t, again.Replica)
	try(t, again.Close())
	kept := 0
	err := newFaulty(again.store.left).Scan(tableLocal, []byte("salvaged\x00"), nil, func(_, _ []byte) error { kept++; return nil })
	if err != nil || kept > 0 {
		t.Errorf("%d salvaged records are left, %v", kept, err)
	}
}

// meetAgain connects two devices, again when a session ends, until both show the
// same, and that is as it should be. A session ends where the first one cannot read
// what was sealed for the key that it has lost. By then it has told its new one, and
// can read all with the next epoch of the other one, which it opens by hand here.
func meetAgain(t *testing.T, a, b *device, done func(state string) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	woken, ended := make(chan bool, 1), make(chan bool, 8)
	for _, d := range []*device{a, b} {
		events := d.Watch(ctx, replica.Now)
		go func() {
			for ev := range events {
				if ev.Note == "disconnected" && d == b {
					ended <- true
				}
				select {
				case woken <- true:
				default:
				}
			}
		}()
	}
	connect(a, b)
	for {
		if state := stateOf(t, a.Replica); state == stateOf(t, b.Replica) && done(state) {
			return
		}
		select {
		case <-woken:
		case <-ended:
			try(t, b.Rotate(ctx))
			connect(a, b)
		case <-ctx.Done():
			t.Fatalf("they do not become equal:\n%s\n%s", stateOf(t, a.Replica), stateOf(t, b.Replica))
		}
	}
}

func (d *device) close(t *testing.T) *store.Memory {
	t.Helper()
	try(t, d.Close())
	return d.store.left
}

// Whatever record of the truth is damaged, nothing that can be read is lost, and
// the rest comes from the other device.
func TestSalvageOfADamagedStore(t *testing.T) {
	whole := prepareShared(t)
	nth := func(n int) func([]byte) bool { return func([]byte) bool { n--; return n < 0 } }
	cases := map[string]struct {
		table store.Table
		pick  func([]byte) bool
		whole bool // it can be made from the rest
	}{
		"format":       {tableMeta, is("format"), true},
		"instance":     {tableMeta, is("instance"), true},
		"counters":     {tableMeta, is("counters"), false},
		"announced":    {tableMeta, is("announced"), true},
		"membership":   {tableMembers, first, false},
		"membership 2": {tableMembers, nth(1), false},
		"epoch":        {tableEpochs, first, false},
		"key":          {tableKeys, first, false},
		"chain":        {tableChains, first, true},
		"log":          {tableLog, first, false},
		"log 2":        {tableLog, nth(1), false},
		"log 3":        {tableLog, nth(2), false},
		"log 4":        {tableLog, nth(3), false},
		"log 5":        {tableLog, nth(4), false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := whole.copied(t)
			s.flip(t, c.table, c.pick)
			parts, err := s.examine(t)
			if err != nil && !errors.Is(err, replica.ErrDamaged) || err == nil && !slices.Contains(remedies(parts), replica.RemedyFetch) {
				t.Errorf("the examination says %+v, %v", parts, err)
			}
			d, carried := s.salvage(t, -1)
			if carried.Whole != c.whole {
				t.Errorf("carried over: %+v, whole %v", carried, c.whole)
			}
			s.meetOther(t, d)
		})
	}
}

// The process that reads may end at any record.
func TestSalvageThatEndsEarly(t *testing.T) {
	whole := prepareShared(t)
	for upTo := 0; upTo < 12; upTo += 3 {
		s := whole.copied(t)
		d, carried := s.salvage(t, upTo)
		if carried.Whole {
			t.Errorf("up to record %d it counts as whole: %+v", upTo, carried)
		}
		b := openOn(t, s.other, newFaulty(s.left.Snapshot()))
		meetAgain(t, d, b, func(state string) bool { return strings.Contains(state, `"forever"`) })
		verified(t, d.Replica)
		try(t, errors.Join(d.Close(), b.Close()))
	}
}
