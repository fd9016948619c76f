package sim

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
)

// checks are what must hold of the whole world.
type checks struct {
	w           *world
	prints      map[[32]byte]print // by frontier
	removals    int
	unborn      int // that were added, and whose welcome was lost with the process that had added them
	comparisons []func() []model.PeerVerification
	owed        marks // that the members have when the faults are over
}

// print is the fingerprint that somebody had at a frontier.
type print struct {
	of  [32]byte
	who string
}

func (c *checks) begin(w *world) { c.w, c.prints = w, map[[32]byte]print{} }

// same: equal frontiers have equal fingerprints.
func (c *checks) same(d *device) {
	if d.own.isAhead() {
		return
	}
	at, now := d.rep.Exchange().FrontierDigest(), d.rep.Fingerprint()
	known, ok := c.prints[at]
	if !ok {
		c.prints[at] = print{now, d.name}
		return
	}
	if known.of != now {
		c.w.fail("%s and %s have the same envelopes and different documents", known.who, d.name)
	}
}

// healed looks at what there is when the faults are over.
func (c *checks) healed() {
	c.owed = marks{}
	for _, d := range c.w.devices {
		d.own.look()
	}
}

// final: all members show the same, and all that any of them ever had.
func (c *checks) final() {
	w := c.w
	all := w.meeting()
	if w.result.Failure != "" || len(all) == 0 {
		return
	}
	first := all[0]
	want := stateOf(first)
	for _, d := range all {
		if d.rep.Fingerprint() != first.rep.Fingerprint() && w.hostile == nil {
			w.fail("%s and %s have different fingerprints in the end", first.name, d.name)
		}
		if got := stateOf(d); got != want {
			w.fail("%s and %s show different states in the end:\n%s\n%s", first.name, d.name, want, got)
		}
		o := d.rep.Exchange().Outstanding()
		if o.Staged > 0 || o.Unacked+o.Due > 0 && w.hostile == nil { // who may acknowledge nothing
			w.fail("%s waits for something in the end: %+v", d.name, o)
		}
		maps.Copy(c.owed, d.own.had)
		if _, member := first.id.Member(d.id.Device()); !member {
			w.fail("%s takes itself for a member in the end, and %s does not", d.name, first.name)
		}
	}
	devices := map[encryption.DeviceID]bool{}
	for _, d := range all {
		devices[d.id.Device()] = true
	}
	if w.hostile != nil {
		devices[w.hostile.id.Device()] = true
	}
	if n := len(first.id.Members()); n < len(devices) || n > len(devices)+c.unborn {
		w.fail("%d devices are members in the end, and %d take themselves for one", n, len(devices))
	}
	have := marksOn(first.disk.mem)
	for _, mark := range slices.Sorted(maps.Keys(c.owed)) {
		if !have[mark] {
			w.fail("%s was there and is lost in the end", mark)
		}
	}
	for _, results := range c.comparisons {
		for _, r := range results() {
			switch r.Result {
			case "equal":
				w.seen(compared)
			case "different":
				w.fail("a comparison with %s found a difference", r.Device)
			}
		}
	}
	if w.result.Failure == "" && w.draw.plan.IntN(4) == 0 {
		d := pick(w.draw.plan, all)
		w.verify(d)
		if !d.rep.Backlog() && !shortened(d.disk.mem) { // a backlog of the last member nobody will take
			c.rebuild(d, want)
		}
	}
	w.hash([]byte(want))
}

// stateOf is the whole effective state, as text.
func stateOf(d *device) string {
	s, err := d.rep.State()
	if err != nil {
		d.w.fail("%s cannot show its state: %v", d.name, err)
	}
	return text(withoutHostile(s))
}

// withoutHostile leaves out what a hostile member may have forked.
func withoutHostile(s model.State) model.State {
	s.Chats = slices.DeleteFunc(slices.Clone(s.Chats), func(c model.Chat) bool { return c.ID == hostileChat })
	return s
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(b)
}
