package main

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/starling-sync/starling/crdt/model"
)

var (
	matrix      = flag.String("matrix", "some", "cells of TestNetworkMatrix and TestNetworkChanges: some or full")
	matrixEdits = flag.Int("matrix-edits", 8, "live edits in each cell of TestNetworkMatrix")
	matrixSeed  = flag.Uint64("matrix-seed", 1, "seed of what TestNetworkMatrix and TestNetworkChanges lose")
)

// networkPatience bounds every wait for a bad network. Nothing depends on its
// length.
const networkPatience = 5 * time.Minute

// pairOnCable are two devices of an account, linked elsewhere, on two networks
// that a bad cable joins.
type pairOnCable struct {
	t     *testing.T
	cable *badCable
	ends  [2]*machine
	edits int
}

func newPairOnCable(t *testing.T) *pairOnCable {
	t.Helper()
	c := newBadCable(t, *matrixSeed)
	a, b := newMachine(t, "a"), newMachine(t, "b")
	a.run(nil, "init", "--name", "a", "--yes")
	a.up()
	a.invite(b)
	a.down()
	p := &pairOnCable{t: t, cable: c, ends: [2]*machine{a, b}}
	for i, m := range p.ends {
		m.connect(c.names[i])
	}
	return p
}

// up starts both daemons. Each is told the other's addresses, or finds the
// other by multicast.
func (p *pairOnCable) up(told bool) {
	p.t.Helper()
	a, b := p.ends[0], p.ends[1]
	a.listen, b.listen = nil, nil
	if told {
		a.listen, b.listen = []string{"--listen", ":7001", "--no-discovery"}, []string{"--listen", ":7001", "--no-discovery"}
	}
	a.up(peersAt(told, 2)...)
	b.up(peersAt(told, 1)...)
}

func peersAt(told bool, host int) []string {
	if !told {
		return nil
	}
	return []string{
		"--peer", fmt.Sprintf("/ip4/10.78.1.%d/udp/7001/quic-v1", host),
		"--peer", fmt.Sprintf("/ip4/10.78.1.%d/tcp/7001", host),
	}
}

func (p *pairOnCable) down() {
	p.t.Helper()
	for _, m := range p.ends {
		m.down()
	}
}

// edit makes an edit on one end.
func (p *pairOnCable) edit(i int) {
	p.t.Helper()
	p.edits++
	_, edit := numberedEdit(fmt.Sprint("edit-", p.edits), p.edits)
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	p.ends[i].check(p.ends[i].client.Apply(ctx, []model.Edit{edit}))
}

// editApart makes edits on both ends, which are cut off.
func (p *pairOnCable) editApart() {
	p.t.Helper()
	for i := range 6 {
		p.edit(i % 2)
	}
}

// equal waits until both ends hold the same, and returns how long that took.
func (p *pairOnCable) equal() (time.Duration, error) {
	p.t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(p.t.Context(), networkPatience)
	defer cancel()
	var devices []*demoDevice
	for _, m := range p.ends {
		devices = append(devices, &demoDevice{name: m.name, client: m.client})
	}
	at, err := converged(ctx, devices)
	return at.Sub(began).Round(time.Millisecond), err
}

// live makes n edits, on one end after the other, each when both have the one
// before, and returns how long they took, sorted.
func (p *pairOnCable) live(n int) (took []time.Duration) {
	p.t.Helper()
	for i := range n {
		began := time.Now()
		p.edit(i % 2)
		_, err := p.equal()
		if err != nil {
			p.t.Errorf("live edit %d does not arrive: %v", i, err)
			return took
		}
		took = append(took, time.Since(began).Round(time.Millisecond))
	}
	slices.Sort(took)
	return took
}

// TestNetworkMatrix runs two daemons on networks with delay and loss. In each
// cell both are edited while they are cut off and must become equal when they
// are not, and then edits must arrive while they are connected. A table of how
// long that took is printed: from the end of the cut, and for each live edit
// from before it was made until both showed it. All cells:
//
//	go test ./cmd/starling -run '^TestNetworkMatrix$' -v -matrix full -matrix-edits 100 -timeout 0
func TestNetworkMatrix(t *testing.T) {
	p := newPairOnCable(t)
	type cell struct {
		delay time.Duration
		loss  float64
		told  bool
	}
	cells := []cell{{0, 0, false}, {25 * time.Millisecond, 5, true}}
	if *matrix == "full" {
		cells = cells[:1]
		for _, delay := range []time.Duration{0, 25 * time.Millisecond, 150 * time.Millisecond} {
			for _, loss := range []float64{0, 1, 5, 20} {
				cells = append(cells, cell{delay, loss, true})
			}
		}
	}
	t.Logf("%-9s %-6s %-10s %10s %10s %10s %10s %8s %8s", "delay", "loss", "found by", "after cut", "p50", "p99", "max", "frames", "lost")
	for _, c := range cells {
		p.cable.cut.Store(true)
		p.up(c.told)
		p.editApart()
		passed, dropped := p.cable.passed.Load(), p.cable.dropped.Load()
		p.cable.set(c.delay, c.loss)
		first, err := p.equal()
		if err != nil {
			t.Fatalf("delay %v, loss %v %%: the devices do not become equal: %v", c.delay, c.loss, err)
		}
		took := p.live(*matrixEdits)
		how := "multicast"
		if c.told {
			how = "address"
		}
		t.Logf("%-9v %-6s %-10s %10v %10v %10v %10v %8d %8d", c.delay, fmt.Sprint(c.loss, " %"), how, first,
			percentile(took, 50), percentile(took, 99), percentile(took, 100), p.cable.passed.Load()-passed, p.cable.dropped.Load()-dropped)
		p.cable.set(0, 0)
		p.down()
	}
	for _, m := range p.ends {
		m.verify()
	}
}

// percentile of sorted durations; 0 if there are none.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}

// TestNetworkChanges changes the network under two daemons that are connected,
// or before they can be, and prints how long after the change they are equal
// again: a cable without signal for a while, again and again; an interface that
// is down for a while; one that comes up after the daemons; a new address. Found
// by multicast, and by addresses that were told. With longer whiles:
//
//	go test ./cmd/starling -run '^TestNetworkChanges$' -v -matrix full -timeout 0
func TestNetworkChanges(t *testing.T) {
	p := newPairOnCable(t)
	p.cable.set(time.Millisecond, 0)
	whiles := []time.Duration{100 * time.Millisecond}
	told, times := []bool{false}, 1
	if *matrix == "full" {
		times = 3
		whiles = []time.Duration{100 * time.Millisecond, 3 * time.Second, 30 * time.Second}
		told = append(told, true)
	}
	for _, told := range told {
		how := map[bool]string{true: "by addresses", false: "by multicast"}[told]
		for _, d := range whiles {
			t.Logf("%s, no signal for %-6v: equal after %v", how, d, p.flap(told, times, d, func(up bool) { p.cable.cut.Store(!up) }))
			t.Logf("%s, interface down for %-6v: equal after %v", how, d, p.flap(told, times, d, func(up bool) {
				p.cable.link(t, 0, map[bool]string{true: "up", false: "down"}[up])
			}))
			t.Logf("%s, interface up %-6v after the daemons: equal after %v", how, d, p.late(told, d))
		}
		t.Logf("%s, another address: equal after %v", how, p.move(told))
	}
	for _, m := range p.ends {
		m.verify()
	}
}

// flap takes the network away for d again and again, makes edits meanwhile, and
// returns how long after each time both had them.
func (p *pairOnCable) flap(told bool, times int, d time.Duration, signal func(up bool)) (took []time.Duration) {
	p.t.Helper()
	p.up(told)
	defer p.down()
	p.mustBeEqual()
	for range times {
		signal(false)
		p.editApart()
		<-time.After(d) // the injection
		signal(true)
		took = append(took, p.mustBeEqual())
	}
	return took
}

// late starts the daemons while one has no network.
func (p *pairOnCable) late(told bool, d time.Duration) time.Duration {
	p.t.Helper()
	p.cable.link(p.t, 0, "down")
	p.cable.address(p.t, 0, "del", 1)
	p.up(told)
	defer p.down()
	p.editApart()
	<-time.After(d) // the injection
	p.cable.address(p.t, 0, "add", 1)
	p.cable.link(p.t, 0, "up")
	return p.mustBeEqual()
}

// move gives one end another address while both are connected, and the old one
// back afterwards.
func (p *pairOnCable) move(told bool) (took []time.Duration) {
	p.t.Helper()
	p.up(told)
	defer p.down()
	p.mustBeEqual()
	for _, host := range []int{3, 1} {
		p.cable.address(p.t, 0, "del", 4-host)
		p.cable.address(p.t, 0, "add", host)
		p.editApart()
		took = append(took, p.mustBeEqual())
	}
	return took
}

func (p *pairOnCable) mustBeEqual() time.Duration {
	p.t.Helper()
	took, err := p.equal()
	if err != nil {
		p.t.Fatalf("the devices do not become equal: %v", err)
	}
	return took
}
