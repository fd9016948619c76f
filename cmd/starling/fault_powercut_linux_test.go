package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/store/storetest"
)

var (
	cuts    = flag.Int("cuts", 4, "power cuts of TestPowerCut")
	cutSeed = flag.Uint64("cut-seed", 1, "seed of TestPowerCut")
)

// cutsPerDevice is after how many cuts TestPowerCut begins a new account, so
// that checking everything after each stays quick.
const cutsPerDevice = 40

// TestPowerCut cuts the power of the disk with a whole device on it, its key
// file included: while its daemon is written to, while it starts, while it ends,
// and while the account is begun. Then the daemon must start, everything that
// was acknowledged must be there, and a verification must find nothing. More,
// with figures:
//
//	go test ./cmd/starling -run '^TestPowerCut$' -v -cuts 1000 -timeout 0
func TestPowerCut(t *testing.T) {
	c := &cutting{
		t: t, drive: storetest.NewDrive(t, 1<<30), random: rand.New(rand.NewPCG(*cutSeed, 0)),
		moments: map[string]int{}, warnings: map[string]int{},
	}
	began := time.Now()
	defer func() {
		t.Logf("seed %d: %d power cuts %v: %d edits acknowledged (and %d more in the middle of a cut), %d lost, %d devices did not start, %d verifications found something; warnings %v; %v a cut",
			*cutSeed, c.cuts, c.moments, c.edits, c.late, c.lost, c.stuck, c.faulty, c.warnings, (time.Since(began) / time.Duration(max(c.cuts, 1))).Round(time.Millisecond))
	}()
	for c.cuts < *cuts {
		c.begin()
		for i := 0; i < cutsPerDevice && c.cuts < *cuts; i++ {
			c.crash()
			c.check()
		}
		c.machine.kill()
	}
}

// cutting is a campaign of power cuts.
type cutting struct {
	t       *testing.T
	drive   *storetest.Drive
	random  *rand.Rand
	machine *machine
	acked   map[string]bool // edits of the device that is being used

	cuts, edits, late, lost, stuck, faulty int
	moments, warnings                      map[string]int
}

// moment is a random while of up to d. It is the injection.
func (c *cutting) moment(d time.Duration) <-chan time.Time {
	return time.After(time.Duration(c.random.Int64N(int64(d))))
}

// cut cuts the power, ends what runs, and gives the power back.
func (c *cutting) cut(when string, p *process) {
	c.t.Helper()
	c.cuts++
	c.moments[when]++
	c.drive.Cut()
	_ = p.cmd.Process.Kill() // it has ended by itself, perhaps
	_ = p.wait()
	c.drive.Restart()
}

// begin makes a new account, in the second attempt: the first one is cut. If it
// was acknowledged nevertheless, or had come that far, there is none.
func (c *cutting) begin() {
	c.t.Helper()
	m := newMachine(c.t, "a")
	m.dir = filepath.Join(c.drive.Dir, fmt.Sprint("device-", c.cuts))
	m.unlock = []string{"--key-file", m.dir + ".key"}
	m.listen = append(m.listen, "--verbose")
	c.machine, c.acked = m, map[string]bool{}
	p := m.start("init", "--name", "a", "--yes")
	acknowledged := c.random.IntN(2) == 0
	if acknowledged {
		var account begun
		m.check(p.next(&account))
	} else {
		<-c.moment(80 * time.Millisecond)
	}
	c.cut("init", p)
	_, said, code := m.try("status")
	if code != 0 && !acknowledged {
		_, said, code = m.try("init", "--name", "a", "--yes")
	}
	if code != 0 {
		c.stuck++
		c.t.Fatalf("seed %d, cut %d, in init that was acknowledged: %v: exit code %d, %s", *cutSeed, c.cuts, acknowledged, code, said)
	}
	m.up()
}

// crash cuts the power of a running device.
func (c *cutting) crash() {
	c.t.Helper()
	m := c.machine
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	switch c.random.IntN(6) {
	case 0:
		m.down()
		p := m.launch()
		<-c.moment(120 * time.Millisecond)
		c.cut("opening", p)
	case 1:
		edits := c.write(ctx, 1+c.random.IntN(20))
		m.check(m.daemon.cmd.Process.Signal(syscall.SIGTERM))
		<-c.moment(40 * time.Millisecond)
		edits.upToNow()
		c.cut("closing", m.daemon)
		edits.rest()
	default:
		edits := c.write(ctx, 1+c.random.IntN(60))
		<-c.moment(3 * time.Millisecond)
		edits.upToNow()
		c.cut("writing", m.daemon)
		edits.rest()
	}
}

// drainedEdits collects what writers have acknowledged.
type drainedEdits struct {
	c     *cutting
	acked chan string // closed when all writers have failed
}

// write starts writers, and returns when n of their edits were acknowledged.
func (c *cutting) write(ctx context.Context, n int) *drainedEdits {
	c.t.Helper()
	e := &drainedEdits{c, make(chan string, 1<<16)}
	api, cut := c.machine.client, c.cuts // which the writers outlive
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("%d-%d-%d", cut, i, n)
				what, edit := numberedEdit(id, n)
				if err := api.Apply(ctx, []model.Edit{edit}); err != nil {
					return // the power is cut; what is unfinished may be there or not
				}
				e.acked <- what
			}
		})
	}
	go func() { all.Wait(); close(e.acked) }()
	for range n {
		what, ok := <-e.acked
		if !ok {
			c.t.Fatalf("seed %d, cut %d: the writers have stopped before the cut", *cutSeed, c.cuts)
		}
		c.note(what)
	}
	return e
}

// upToNow notes what was acknowledged so far.
func (e *drainedEdits) upToNow() {
	for len(e.acked) > 0 {
		if what, ok := <-e.acked; ok {
			e.c.note(what)
		}
	}
}

// rest counts what was acknowledged when the power was off already.
func (e *drainedEdits) rest() {
	for range e.acked {
		e.c.late++
	}
}

func (c *cutting) note(what string) {
	c.acked[what] = true
	c.edits++
}

// check starts the daemon and compares it with what was acknowledged.
func (c *cutting) check() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	m := c.machine
	c.listen()
	m.daemon = m.launch()
	stop := m.daemon.within(patience)
	var ready struct{ Addrs []string }
	err := m.daemon.next(&ready)
	stop()
	if err != nil {
		c.stuck++
		c.t.Fatalf("seed %d, cut %d: the daemon does not start: %v", *cutSeed, c.cuts, err)
	}
	v, err := m.client.Verify(ctx)
	if err != nil || !v.OK {
		c.faulty++
		c.t.Errorf("seed %d, cut %d: verification: %+v, %v", *cutSeed, c.cuts, v, err)
	}
	state, err := m.client.State(ctx)
	m.check(err)
	held := heldEdits(&state)
	for _, what := range slices.Sorted(maps.Keys(c.acked)) {
		if !held[what] {
			c.lost++
			delete(c.acked, what)
			c.t.Errorf("seed %d, cut %d: %s was acknowledged and is lost", *cutSeed, c.cuts, what)
		}
	}
}

// listen counts what the daemon that was crashed has warned of, but for what it
// has said of the cut itself.
func (c *cutting) listen() {
	m := c.machine
	if p := m.daemon; p != nil {
		m.daemon = nil
		_ = p.wait()
		m.logs = append(m.logs, p.errors.String()...)
	}
	for line := range bytes.Lines(m.logs) {
		_, text, ok := strings.Cut(string(line), " level=")
		if !ok || bytes.Contains(line, []byte(syscall.EIO.Error())) {
			continue // it has met the cut
		}
		level, text, _ := strings.Cut(text, " msg=")
		if level == "WARN" || level == "ERROR" {
			c.warnings[messageOf(text)]++
		}
	}
	m.logs = nil
}

// messageOf is the message at the beginning of the rest of a line of the log.
func messageOf(text string) string {
	if quoted, err := strconv.QuotedPrefix(text); err == nil {
		return quoted
	}
	text, _, _ = strings.Cut(text, " ")
	return text
}
