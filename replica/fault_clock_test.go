package replica_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/store"
)

var (
	clockWorlds = flag.Int("clock-worlds", 6, "worlds of TestClocksTenYearsOff")
	clockSeed   = flag.Uint64("clock-seed", 1, "seed of the first world of TestClocksTenYearsOff")
)

const tenYears = 10 * 365 * 24 * time.Hour

// timely is a device whose clock is wrong.
type timely struct {
	*device
	now  atomic.Int64   // ms
	seen map[int]uint64 // of each device, how many of its choices are known here
}

// choice is something that a person chose on a device.
type choice struct {
	device int
	number uint64 // of that device, from 1
	value  string
}

// clocks is three devices whose clocks begin ten years behind, right and ten
// years ahead, and jump.
type clocks struct {
	t       *testing.T
	random  *rand.Rand
	devices []*timely
	homes   []string
	made    []uint64            // choices of each device
	latest  map[string][]choice // of each thing, those that nobody saw who chose later

	choices, jumps, restarts, rivals int
}

// TestClocksTenYearsOff lets a person choose the same few things again and again
// on three devices whose clocks are up to ten years off and jump in both
// directions, and which meet, part and restart. A choice that was made on a device
// that knew the one before must win over it, whatever the clocks said; of choices
// that did not know each other one must win, the same everywhere. More, with
// figures:
//
//	go test ./replica -run '^TestClocksTenYearsOff$' -v -clock-worlds 500
func TestClocksTenYearsOff(t *testing.T) {
	f := newFamily(t, 3)
	var choices, jumps, restarts, rivals int
	for i := range *clockWorlds {
		c := newClocks(t, f, *clockSeed+uint64(i))
		for range 60 {
			c.step()
		}
		c.settle()
		if t.Failed() {
			t.Fatalf("seed %d", *clockSeed+uint64(i))
		}
		for _, d := range c.devices {
			try(t, d.Close())
		}
		choices, jumps, restarts, rivals = choices+c.choices, jumps+c.jumps, restarts+c.restarts, rivals+c.rivals
	}
	t.Logf("seed %d: %d worlds, %d choices, %d jumps of clocks, %d restarts, %d times rivals: 0 wrong merges",
		*clockSeed, *clockWorlds, choices, jumps, restarts, rivals)
}

func newClocks(t *testing.T, f family, seed uint64) *clocks {
	c := &clocks{
		t: t, random: rand.New(rand.NewPCG(seed, 0)), homes: f.homes,
		devices: make([]*timely, 3), made: make([]uint64, 3), latest: map[string][]choice{},
	}
	for i := range c.devices {
		c.devices[i] = &timely{seen: map[int]uint64{}}
		c.devices[i].now.Store(start.Add(time.Duration(i-1) * tenYears).UnixMilli())
		c.open(i, f.disks[i].Snapshot())
	}
	return c
}

func (c *clocks) open(i int, disk *store.Memory) {
	c.t.Helper()
	d := c.devices[i]
	id, err := encryption.OpenIdentity(c.homes[i], key())
	try(c.t, err)
	d.device = &device{id: id, cable: newCable(), store: newFaulty(disk)}
	d.Replica, err = replica.Open("", &replica.Config{
		Identity: id, Network: d.cable, Store: d.store,
		Clock: func() time.Time { return time.UnixMilli(d.now.Add(1)) },
	})
	try(c.t, err)
	c.t.Cleanup(func() { d.Close() })
}

func (c *clocks) step() {
	i := c.random.IntN(3)
	switch n := c.random.IntN(12); {
	case n < 6:
		c.choose(i)
	case n < 9:
		c.meet(i, (i+1+c.random.IntN(2))%3)
	case n == 9:
		c.restart(i)
	default:
		c.jumps++
		c.devices[i].now.Store(start.Add(time.Duration(c.random.Int64N(int64(2*tenYears))) - tenYears).UnixMilli())
	}
}

// choose chooses anew what one thing is.
func (c *clocks) choose(i int) {
	c.t.Helper()
	c.choices++
	c.made[i]++
	d := c.devices[i]
	d.seen[i]++
	thing := things[c.random.IntN(len(things))]
	edit, value := thing.edit(c.choices)
	try(c.t, d.Apply(c.t.Context(), []model.Edit{edit}))
	left := slices.DeleteFunc(c.latest[thing.name], func(was choice) bool { return was.number <= d.seen[was.device] })
	c.latest[thing.name] = append(left, choice{i, c.made[i], value})
	if len(left) > 0 {
		c.rivals++
	}
}

// thing is what a person can choose, and how it shows.
type thing struct {
	name string
	edit func(n int) (e model.Edit, shows string)
	show func(s *model.State) string
}

var things = []thing{
	{"setting", func(n int) (model.Edit, string) {
		return model.Edit{Op: model.SettingSet, ID: "s", Scope: "account", Value: fmt.Append(nil, n)}, fmt.Sprint(n)
	}, func(s *model.State) string { return string(s.Settings[0].Value) }},
	{"name", func(n int) (model.Edit, string) {
		return model.Edit{Op: model.ContactSet, ID: "p", Contact: &model.ContactPatch{Fields: map[string]string{"name": fmt.Sprint(n)}}}, fmt.Sprint(n)
	}, func(s *model.State) string { return s.Contacts[0].Fields["name"] }},
	{"mute", func(n int) (model.Edit, string) {
		if n%3 == 0 {
			return model.Edit{Op: model.ChatUnmute, ID: "c"}, "0"
		}
		return model.Edit{Op: model.ChatMute, ID: "c", Until: model.Time(n)}, fmt.Sprint(n)
	}, func(s *model.State) string { return fmt.Sprint(int64(chatOf(s).MutedUntil)) }},
	{"archive", func(n int) (model.Edit, string) {
		if n%2 == 0 {
			return model.Edit{Op: model.ChatUnarchive, ID: "c"}, "false"
		}
		return model.Edit{Op: model.ChatArchive, ID: "c"}, "true"
	}, func(s *model.State) string { return fmt.Sprint(chatOf(s).Archived) }},
	{"pin", func(n int) (model.Edit, string) {
		if n%2 == 0 {
			return model.Edit{Op: model.ChatUnpin, ID: "c"}, "false"
		}
		return model.Edit{Op: model.ChatPin, ID: "c"}, "true"
	}, func(s *model.State) string { return fmt.Sprint(chatOf(s).Pinned) }},
	{"label", func(n int) (model.Edit, string) {
		name := fmt.Sprint(n)
		return model.Edit{Op: model.LabelSet, ID: "l", Name: &name}, name
	}, func(s *model.State) string { return s.Labels[0].Name }},
}

func chatOf(s *model.State) model.Chat {
	for _, c := range s.Chats {
		if c.ID == "c" {
			return c
		}
	}
	return model.Chat{}
}

// meet lets two devices learn what the other one knows.
func (c *clocks) meet(i, j int) {
	c.t.Helper()
	a, b := c.devices[i], c.devices[j]
	cut := connect(a.device, b.device)
	inSync(c.t, a.device, b.device)
	cut()
	for k := range c.devices {
		both := max(a.seen[k], b.seen[k])
		a.seen[k], b.seen[k] = both, both
	}
}

func (c *clocks) restart(i int) {
	c.t.Helper()
	c.restarts++
	d := c.devices[i]
	try(c.t, d.Close())
	c.open(i, d.store.left)
}

// settle lets all devices meet and compares what they show with what was chosen.
func (c *clocks) settle() {
	c.t.Helper()
	for _, pair := range [][2]int{{0, 1}, {1, 2}, {0, 1}} {
		c.meet(pair[0], pair[1])
	}
	want := stateOf(c.t, c.devices[0].Replica)
	for i, d := range c.devices {
		if got := stateOf(c.t, d.Replica); got != want {
			c.t.Errorf("device 0 and %d show\n%s\n%s", i, want, got)
		}
	}
	state, err := c.devices[0].State(c.t.Context())
	try(c.t, err)
	for _, thing := range things {
		latest := c.latest[thing.name]
		if len(latest) == 0 {
			continue
		}
		got := thing.show(&state)
		if !slices.ContainsFunc(latest, func(w choice) bool { return w.value == got }) {
			c.t.Errorf("%s is %q, the latest choices are %+v", thing.name, got, latest)
		}
	}
}
