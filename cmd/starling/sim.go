package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/replica/sim"
)

func (a *app) simCommand() *cobra.Command {
	var c campaign
	var seed uint64
	var trace bool
	cmd := &cobra.Command{
		Use: "sim", Short: "Simulate whole accounts, with faults, out of seeds", Args: cobra.NoArgs,
		Long: "Play worlds of two to six devices that run this program's code over a simulated\nnetwork, disk and clock, while everything goes wrong that can, and check that nothing\nacknowledged is lost and all become equal once the faults end. The same seed is the\nsame world, to the byte. Nothing is read or written outside of the process.",
	}
	cmd.RunE = a.does(func(ctx context.Context, _ []string) error {
		if cmd.Flags().Changed("seed") {
			return a.simWorld(seed, trace)
		}
		if c.seeds == 0 {
			return usageError{errors.New("no worlds show nothing: --seeds is 1 or more"), "starling sim"}
		}
		return a.simWorlds(ctx, &c)
	})
	flags := cmd.Flags()
	flags.Uint64Var(&seed, "seed", 0, "play the world of this one `SEED`, and print its course")
	flags.BoolVarP(&trace, "trace", "v", false, "with --seed: print every event")
	flags.Uint64Var(&c.seeds, "seeds", 200, "play `N` worlds on all cores")
	flags.Uint64Var(&c.From, "from", 0, "the first seed of --seeds")
	cmd.MarkFlagsMutuallyExclusive("seed", "seeds")
	cmd.MarkFlagsMutuallyExclusive("seed", "from")
	return cmd
}

// simTail is how many lines of a trace are shown if not all.
const simTail = 40

// simWorld plays one world and prints its course.
func (a *app) simWorld(seed uint64, all bool) error {
	var trace bytes.Buffer
	var to io.Writer = &trace
	if all && !a.json {
		to = a.stdout
	}
	began := time.Now()
	r := playWorld(seed, to)
	took := time.Since(began)
	c := campaign{From: seed, seeds: 1}
	c.add(r)
	c.finish(took)
	if a.json {
		return errors.Join(a.emit(&c), r.Err())
	}
	lines := bytes.SplitAfter(trace.Bytes(), []byte("\n"))
	if n := len(lines); n > simTail {
		if _, err := fmt.Fprintf(a.stdout, "... %d lines before, see --trace\n", n-simTail); err != nil {
			return err
		}
		lines = lines[n-simTail:]
	}
	if _, err := a.stdout.Write(bytes.Join(lines, nil)); err != nil {
		return err
	}
	return errors.Join(a.say("trace %x", r.Hash), a.simReport(&c), r.Err())
}

// campaign is what many worlds came to.
type campaign struct {
	From      uint64         `json:"from"`
	Worlds    uint64         `json:"worlds"`
	Failed    []failedWorld  `json:"failed"`
	PerSecond float64        `json:"worlds_per_second"`
	Seconds   float64        `json:"seconds"`
	Virtual   float64        `json:"virtual_seconds"`
	Settled   float64        `json:"slowest_settled_seconds"` // virtual, after the faults
	Events    int            `json:"events"`
	Edits     int            `json:"edits"`
	Commits   int            `json:"commits"`
	Crashes   int            `json:"crashes"`
	Bytes     int            `json:"bytes_sent"`
	Rare      map[string]int `json:"rare"`

	seeds uint64
	sums  [64]int // of rare states
}

type failedWorld struct {
	Seed    uint64 `json:"seed"`
	Failure string `json:"failure"`
}

func (c *campaign) add(r *sim.Result) {
	c.Worlds++
	if r.Failure != "" {
		c.Failed = append(c.Failed, failedWorld{r.Seed, r.Failure})
	}
	c.Virtual += r.Virtual.Seconds()
	c.Settled = max(c.Settled, r.Settled.Seconds())
	c.Events += r.Events
	c.Edits += r.Edits
	c.Commits += r.Commits
	c.Crashes += r.Crashes
	c.Bytes += r.Bytes
	for i, n := range r.Rare {
		c.sums[i] += n
	}
}

func (c *campaign) finish(took time.Duration) {
	c.Seconds = took.Seconds()
	c.PerSecond = float64(c.Worlds) / c.Seconds
	c.Rare = map[string]int{}
	for _, r := range sim.Rares() {
		c.Rare[r.String()] = c.sums[r]
	}
	if c.Failed == nil {
		c.Failed = []failedWorld{}
	}
	slices.SortFunc(c.Failed, func(x, y failedWorld) int { return int(x.Seed) - int(y.Seed) })
}

// simGarbage is how much garbage may pile up, in percent of what is in use: a world
// uses little and leaves much behind.
const simGarbage = 800

// simWorlds plays worlds on all cores, each in one goroutine.
func (a *app) simWorlds(ctx context.Context, c *campaign) error {
	defer debug.SetGCPercent(debug.SetGCPercent(simGarbage))
	var next atomic.Uint64
	results := make(chan *sim.Result)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for ctx.Err() == nil {
				n := next.Add(1) - 1
				if n >= c.seeds {
					return
				}
				results <- playWorld(c.From+n, nil)
			}
		})
	}
	go func() { workers.Wait(); close(results) }()
	began := time.Now()
	for r := range results {
		c.add(r)
		if c.Worlds%64 == 0 {
			a.progress("%d of %d worlds, %d failed", c.Worlds, c.seeds, len(c.Failed))
		}
	}
	c.finish(time.Since(began))
	if a.json {
		if err := a.emit(c); err != nil {
			return err
		}
	} else if err := a.simReport(c); err != nil {
		return err
	}
	if n := len(c.Failed); n > 0 {
		return fmt.Errorf("%s failed, the first is %d: %s", count(n, "world"), c.Failed[0].Seed, c.Failed[0].Failure)
	}
	return ctx.Err()
}

// playWorld is sim.Run, of which a panic is a failure.
func playWorld(seed uint64, trace io.Writer) (r *sim.Result) {
	defer func() {
		if p := recover(); p != nil {
			r = &sim.Result{Seed: seed, Failure: fmt.Sprintf("panic: %v\n%s", p, debug.Stack())}
		}
	}()
	return sim.Run(seed, trace)
}

// simReport prints the figures for people.
func (a *app) simReport(c *campaign) error {
	for _, f := range c.Failed {
		if err := a.say("world %d failed: %s", f.Seed, f.Failure); err != nil {
			return err
		}
	}
	rows := [][]string{
		{"worlds", fmt.Sprintf("%d, from seed %d", c.Worlds, c.From)},
		{"failed", fmt.Sprint(len(c.Failed))},
		{"speed", fmt.Sprintf("%.1f worlds/s, %.1f s", c.PerSecond, c.Seconds)},
		{"virtual time", time.Duration(c.Virtual * float64(time.Second)).Round(time.Second).String()},
		{"slowest to settle", fmt.Sprintf("%.1f s of virtual time after the faults", c.Settled)},
		{"events", fmt.Sprint(c.Events)},
		{"edits acknowledged", fmt.Sprint(c.Edits)},
		{"commits", fmt.Sprint(c.Commits)},
		{"crashes", fmt.Sprint(c.Crashes)},
		{"bytes sent", fmt.Sprint(c.Bytes)},
	}
	for _, r := range sim.Rares() {
		rows = append(rows, []string{r.String(), fmt.Sprint(c.sums[r])})
	}
	_, err := fmt.Fprint(a.stdout, aligned(rows))
	return err
}
