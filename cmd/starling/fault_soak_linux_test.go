package main

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/starling-sync/starling/crdt/model"
)

var (
	soak        = flag.Duration("soak", 0, "how long TestSoak edits; 0: until it has made a few hundred edits")
	soakDevices = flag.Int("devices", 3, "devices of TestSoak")
	soakSeed    = flag.Uint64("soak-seed", 1, "seed of TestSoak")
)

const (
	soakEdits  = 300 // of TestSoak, if it is not told how long
	soakThings = 60  // that are edited again and again, so that the state stays as large as it is

	// What a daemon may take more at the end than after the first tenth. Its
	// history grows with each edit, and of that it holds no more in memory at
	// the end, but for what the allocator keeps.
	soakMoreMemory  = 48 << 20
	soakMoreFiles   = 24
	soakMoreThreads = 24
)

// TestSoak runs daemons that are edited without a pause, while all but the first
// are ended, killed and started again, and watches what the first one takes:
// resident memory, descriptors, threads and disk. The edits are of the same few
// things, so that only history grows. More, with figures:
//
//	go test ./cmd/starling -run '^TestSoak$' -v -devices 5 -soak 10m -timeout 0
func TestSoak(t *testing.T) {
	s := newSoak(t, *soakDevices)
	began := time.Now()
	for n := 0; ; n++ {
		if *soak > 0 && time.Since(began) > *soak || *soak == 0 && n == soakEdits {
			break
		}
		s.step(n)
	}
	settle(t, s.machines...)
	s.sample()
	for _, m := range s.machines {
		m.verify()
	}
	s.report(time.Since(began))
}

// soaking is daemons under edits.
type soaking struct {
	t        *testing.T
	random   *rand.Rand
	machines []*machine
	samples  []taken

	edits, restarts, kills int
}

// taken is what a process takes.
type taken struct{ edits, memory, files, threads, disk int }

func newSoak(t *testing.T, devices int) *soaking {
	t.Helper()
	s := &soaking{t: t, random: rand.New(rand.NewPCG(*soakSeed, 0))}
	for i := range devices {
		m := newMachine(t, fmt.Sprint("device-", i))
		s.machines = append(s.machines, m)
		if i == 0 {
			m.run(nil, "init", "--name", m.name, "--yes")
			m.up()
			continue
		}
		s.machines[0].invite(m)
		m.up(s.machines[0].peers()...)
	}
	settle(t, s.machines...)
	return s
}

// step makes an edit, and now and then restarts a device or looks at the first.
func (s *soaking) step(n int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	m := s.machines[s.random.IntN(len(s.machines))]
	m.check(m.client.Apply(ctx, []model.Edit{s.edit()}))
	s.edits++
	if n%100 == 99 && len(s.machines) > 1 {
		m := s.machines[1+s.random.IntN(len(s.machines)-1)]
		if s.random.IntN(2) == 0 {
			s.kills++
			m.kill()
		} else {
			s.restarts++
			m.down()
		}
		m.up(s.machines[0].peers()...)
	}
	if n%50 == 49 {
		settle(s.t, s.machines...)
		s.sample()
	}
}

func (s *soaking) edit() model.Edit {
	id := fmt.Sprint("thing-", s.random.IntN(soakThings/3))
	switch s.random.IntN(3) {
	case 0:
		return model.Edit{Op: model.ChatRead, ID: id, At: &model.Position{Time: model.Time(1 + s.edits), ID: fmt.Sprint("m-", s.edits)}}
	case 1:
		return model.Edit{Op: model.ContactSet, ID: id, Contact: &model.ContactPatch{Fields: map[string]string{"name": fmt.Sprint("Name ", s.edits)}}}
	}
	return model.Edit{Op: model.SettingSet, ID: id, Scope: "account", Value: fmt.Append(nil, s.edits)}
}

// sample looks at the first daemon.
func (s *soaking) sample() {
	s.t.Helper()
	m := s.machines[0]
	proc := fmt.Sprint("/proc/", m.daemon.cmd.Process.Pid)
	status, err := os.ReadFile(filepath.Join(proc, "status"))
	m.check(err)
	files, err := os.ReadDir(filepath.Join(proc, "fd"))
	m.check(err)
	s.samples = append(s.samples, taken{
		edits: s.edits, memory: s.field(status, "VmRSS:") << 10, files: len(files),
		threads: s.field(status, "Threads:"), disk: s.usage(m.dir),
	})
}

// field is the number behind a name in a status file of proc(5).
func (s *soaking) field(status []byte, name string) int {
	s.t.Helper()
	_, rest, ok := strings.Cut(string(status), name)
	fields := strings.Fields(rest)
	if !ok || len(fields) == 0 {
		s.t.Fatalf("no %s in %s", name, status)
	}
	n, err := strconv.Atoi(fields[0])
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// usage is what the files below dir take on the disk, without holes.
func (s *soaking) usage(dir string) (total int) {
	s.t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil {
			err = unix.Lstat(path, &st)
		}
		if os.IsNotExist(err) || err == unix.ENOENT {
			return nil // it was merged meanwhile
		}
		total += int(st.Blocks) * 512
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return total
}

// report prints first, last and highest of everything, and fails on growth.
func (s *soaking) report(took time.Duration) {
	s.t.Helper()
	first, last := s.samples[len(s.samples)/10], s.samples[len(s.samples)-1]
	s.t.Logf("seed %d: %d devices, %d edits in %v, %d restarts and %d kills of others, %d samples from edit %d on",
		*soakSeed, len(s.machines), s.edits, took.Round(time.Second), s.restarts, s.kills, len(s.samples), first.edits)
	for _, f := range []struct {
		name string
		unit int
		more int // allowed; 0: any
		of   func(taken) int
	}{
		{"resident KiB", 1 << 10, soakMoreMemory, func(x taken) int { return x.memory }},
		{"descriptors", 1, soakMoreFiles, func(x taken) int { return x.files }},
		{"threads", 1, soakMoreThreads, func(x taken) int { return x.threads }},
		{"disk KiB", 1 << 10, 0, func(x taken) int { return x.disk }},
	} {
		highest := 0
		for _, x := range s.samples {
			highest = max(highest, f.of(x))
		}
		half := s.samples[len(s.samples)/2]
		slope := float64(f.of(last)-f.of(half)) / float64(f.unit) * 1000 / float64(max(1, last.edits-half.edits))
		s.t.Logf("%-12s first %7d, last %7d, highest %7d; in the second half %+.1f per 1,000 edits",
			f.name, f.of(first)/f.unit, f.of(last)/f.unit, highest/f.unit, slope)
		if f.more > 0 && f.of(last)-f.of(first) > f.more {
			s.t.Errorf("%s have grown by %d, over %d", f.name, (f.of(last)-f.of(first))/f.unit, f.more/f.unit)
		}
	}
}
