package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

var (
	kills    = flag.Int("kills", 6, "rounds of TestKill")
	killSeed = flag.Uint64("kill-seed", 1, "seed of TestKill")
)

// TestKill kills one of two daemons of an account, again and again, at random
// moments, while writers write to both, so that it may be receiving; now and
// then while it ends, and now and then once more while it starts. Every daemon
// must start at once and hold what it acknowledged, and in the end every write
// that was acknowledged, of whichever end, must be on both, and both must be
// equal and in order. More rounds, with figures:
//
//	go test ./cmd/starling -run '^TestKill$' -v -kills 50
func TestKill(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience+time.Duration(*kills)*5*time.Second)
	defer cancel()
	random := rand.New(rand.NewPCG(*killSeed, 0))
	a, b := newMachine(t, "a"), newMachine(t, "b")
	a.run(nil, "init", "--name", "a", "--yes")
	a.up()
	a.invite(b)
	b.up(a.peers()...)
	w := &writing{t: t, acks: make(chan struct{}, 1000), stop: make(chan struct{})}
	ends := []*writtenEnd{w.begin(ctx, a), w.begin(ctx, b)}
	moments := map[string]int{}
	for range *kills {
		w.some(ctx, 1+random.IntN(60), time.Duration(random.IntN(5000))*time.Microsecond)
		i := random.IntN(2)
		victim, other := ends[i], ends[1-i]
		moments[victim.machine.killed(random)]++
		if random.IntN(3) == 0 {
			moments["opening"]++
			half := victim.machine.launch(other.machine.peers()...)
			<-time.After(time.Duration(random.IntN(80)) * time.Millisecond) // the moment is the injection
			_ = half.cmd.Process.Kill()
			_ = half.wait()
		}
		victim.machine.up(other.machine.peers()...)
		victim.check(ctx)
		victim.restart()
	}
	w.some(ctx, 1, 0)
	close(w.stop)
	w.running.Wait()
	quiet := time.Now()
	settle(t, a, b)
	t.Logf("seed %d: kills %v, %d + %d writes acknowledged, %d without an answer, %d + %d lost after a kill, equal %v after the last write",
		*killSeed, moments, len(ends[0].acked), len(ends[1].acked), w.broken, ends[0].lost, ends[1].lost, time.Since(quiet).Round(time.Millisecond))
	checkWritten(t, a, b, ends)
}

// killed kills a daemon that is written to, now and then while it ends.
func (m *machine) killed(random *rand.Rand) (moment string) {
	m.t.Helper()
	moment = "writing"
	if random.IntN(4) == 0 {
		moment = "closing"
		m.check(m.daemon.cmd.Process.Signal(syscall.SIGTERM))
		<-time.After(time.Duration(random.IntN(40)) * time.Millisecond) // the moment is the injection
	}
	m.kill()
	return moment
}

// check compares what a daemon holds that was started anew with what it has
// acknowledged before.
func (e *writtenEnd) check(ctx context.Context) {
	e.machine.t.Helper()
	state, err := e.machine.client.State(ctx)
	e.machine.check(err)
	held := heldEdits(&state)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, what := range e.acked {
		if !held[what] {
			e.lost++
			e.machine.t.Errorf("seed %d: %s, acknowledged by %s, is lost after a kill", *killSeed, what, e.machine.name)
		}
	}
}

// checkWritten compares the devices with each other and with what the writers
// noted.
func checkWritten(t *testing.T, a, b *machine, ends []*writtenEnd) {
	t.Helper()
	var raws [2]json.RawMessage
	for i, m := range []*machine{a, b} {
		m.run(&raws[i], "state")
		m.verify()
		m.down()
		m.verify() // without a daemon
	}
	if !bytes.Equal(raws[0], raws[1]) {
		t.Errorf("the states differ: %d and %d bytes", len(raws[0]), len(raws[1]))
	}
	var state model.State
	if err := json.Unmarshal(raws[0], &state); err != nil {
		t.Fatal(err)
	}
	held := heldEdits(&state)
	lost := 0
	for _, e := range ends {
		if len(e.acked) == 0 {
			t.Errorf("nothing was written on %s", e.machine.name)
		}
		for _, what := range e.acked {
			if !held[what] {
				lost++
				t.Logf("lost: %s, acknowledged by %s", what, e.machine.name)
			}
		}
	}
	if lost > 0 {
		t.Errorf("seed %d: %d acknowledged writes are lost", *killSeed, lost)
	}
}

// verify checks the store, with or without the daemon.
func (m *machine) verify() {
	m.t.Helper()
	var v model.Verification
	m.run(&v, "verify")
	if !v.OK || v.Envelopes == 0 {
		m.t.Errorf("verify of %s: %+v", m.name, v)
	}
}

// writing is all writers of a test.
type writing struct {
	t       *testing.T
	acks    chan struct{} // a token for each write of late
	stop    chan struct{}
	running sync.WaitGroup

	mu     sync.Mutex
	broken int // writes whose outcome nobody knows; guarded by mu
}

// some waits for that many writes on whichever end, and then a moment more.
func (w *writing) some(ctx context.Context, n int, moment time.Duration) {
	w.t.Helper()
	for len(w.acks) > 0 {
		<-w.acks // of the time when nobody counted
	}
	for range n {
		select {
		case <-w.acks:
		case <-ctx.Done():
			w.t.Fatalf("seed %d: the writers have stopped: %v", *killSeed, ctx.Err())
		}
	}
	<-time.After(moment)
}

// writtenEnd is one daemon and what it acknowledged.
type writtenEnd struct {
	machine *machine

	mu    sync.Mutex
	acked []string      // guarded by mu
	lost  int           // likewise
	again chan struct{} // closed when the daemon was started anew; guarded by mu
}

// writers is how many write to each daemon, each waiting for its answers.
const writers = 3

func (w *writing) begin(ctx context.Context, m *machine) *writtenEnd {
	e := &writtenEnd{machine: m, again: make(chan struct{})}
	for i := range writers {
		w.running.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-w.stop:
					return
				default:
				}
				if !w.write(ctx, e, fmt.Sprintf("%s-%d-%d", m.name, i, n), n) {
					return
				}
			}
		})
	}
	return e
}

// write makes one write that can be told from all others.
func (w *writing) write(ctx context.Context, e *writtenEnd, id string, n int) bool {
	again := e.next()
	what, edit := numberedEdit(id, n)
	err := e.machine.client.Apply(ctx, []model.Edit{edit})
	switch {
	case err == nil:
		e.note(what)
		select {
		case w.acks <- struct{}{}:
		default:
		}
		return true
	case client.CodeOf(err) != client.CodeUnreachable:
		w.t.Errorf("%s: %v", what, err)
		return false
	}
	w.mu.Lock()
	w.broken++
	w.mu.Unlock()
	select {
	case <-again:
		return true
	case <-w.stop:
		return false
	case <-ctx.Done():
		return false
	}
}

func (e *writtenEnd) next() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.again
}

func (e *writtenEnd) note(what string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.acked = append(e.acked, what)
}

// restart lets the writers go on that found the daemon gone.
func (e *writtenEnd) restart() {
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.again)
	e.again = make(chan struct{})
}

// numberedEdit is an edit of its own thing, and the name under which heldEdits
// has it.
func numberedEdit(id string, n int) (what string, e model.Edit) {
	switch n % 3 {
	case 1:
		return "contact " + id, model.Edit{Op: model.ContactSet, ID: id, Contact: &model.ContactPatch{Fields: map[string]string{"name": "Name of " + id}}}
	case 2:
		return "setting " + id, model.Edit{Op: model.SettingSet, ID: id, Scope: "account", Value: json.RawMessage(`"` + id + `"`)}
	}
	return "chat " + id, model.Edit{Op: model.ChatRead, ID: id, At: &model.Position{Time: 1767225600000, ID: "m-" + id}}
}

// heldEdits are the names of the edits of numberedEdit that a state shows.
func heldEdits(s *model.State) map[string]bool {
	held := map[string]bool{}
	for _, c := range s.Chats {
		held["chat "+c.ID] = c.Read != nil && c.Read.ID == "m-"+c.ID
	}
	for _, c := range s.Contacts {
		held["contact "+c.ID] = c.Fields["name"] == "Name of "+c.ID
	}
	for _, s := range s.Settings {
		held["setting "+s.Key] = string(s.Value) == `"`+s.Key+`"`
	}
	return held
}
