package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/localapi/client"
)

var (
	fullLevels = flag.Int("full-levels", 3, "levels of free space that TestDiskFull tries")
	fullRushes = flag.Int("full-rushes", 1, "times that TestDiskFull fills the disk at once under a daemon that is written to")
	fullSeed   = flag.Uint64("full-seed", 1, "seed of TestDiskFull")
)

// fullSize is that of the disk: three times what a store keeps in reserve.
const fullSize = 192 << 20

// TestDiskFull fills the disk of a device, while its daemon runs and another
// device sends, down to one level of free space after the other: from nothing to
// more than the reserve of the store. An edit is taken, or refused with the code
// for that; what is there can be read; everything that begins on such a disk
// does, or ends with the code. When there is room again, edits are taken without
// a restart, and nothing that was acknowledged is missing. Then the disk is filled
// at once, at random moments, while edits are written as fast as they can be: by
// somebody who leaves the store no time to look. More, with figures:
//
//	go test ./cmd/starling -run '^TestDiskFull$' -v -full-levels 40 -full-rushes 50 -timeout 0
func TestDiskFull(t *testing.T) {
	d := newFullDisk(t)
	defer func() {
		t.Logf("seed %d: %d levels, %d rushes: %d edits acknowledged, %d refused, %d lost; commands on a full disk ended with %v; %d crashes, and %d by rushes",
			*fullSeed, d.levels, d.rushes, len(d.acked), d.refused, d.lost, d.codes, d.crashes, d.killed)
	}()
	for i := range *fullLevels {
		d.level(levelOf(i, *fullLevels))
	}
	for range *fullRushes {
		d.rush()
	}
}

// levelOf is the free space of one of n levels, from 0 to more than the reserve,
// close together near nothing.
func levelOf(i, n int) uint64 {
	const top = 80 << 20
	return uint64(float64(top) * float64(i*i) / float64(max(1, (n-1)*(n-1))))
}

// fullDisk is a device on a small disk, a, and one that is not, b.
type fullDisk struct {
	t      *testing.T
	dir    string // the disk
	a, b   *machine
	random *rand.Rand
	words  string // file with the recovery words
	backup string // file with a backup

	acked                         map[string]bool
	edits, refused, lost, crashes int
	levels, rushes, killed, joins int
	codes                         map[string]int
}

func newFullDisk(t *testing.T) *fullDisk {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount a small file system")
	}
	d := &fullDisk{
		t: t, dir: t.TempDir(), a: newMachine(t, "a"), b: newMachine(t, "b"),
		random: rand.New(rand.NewPCG(*fullSeed, 0)), acked: map[string]bool{}, codes: map[string]int{},
	}
	if err := unix.Mount("tmpfs", d.dir, "tmpfs", 0, fmt.Sprint("size=", fullSize)); err != nil {
		t.Skip("this system does not let root mount a tmpfs: ", err)
	}
	t.Cleanup(func() {
		d.a.kill()
		if err := unix.Unmount(d.dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	d.a.dir = filepath.Join(d.dir, "a")
	d.a.unlock = []string{"--key-file", d.a.dir + ".key"}
	var account begun
	d.a.run(&account, "init", "--name", "a", "--yes")
	d.words = filepath.Join(t.TempDir(), "words")
	d.a.check(os.WriteFile(d.words, []byte(strings.Join(account.Words, " ")), 0o600))
	d.a.up()
	d.a.invite(d.b)
	d.b.up(d.a.peers()...)
	settle(t, d.a, d.b)
	d.backup = filepath.Join(t.TempDir(), "backup.age")
	d.a.run(nil, "backup", d.backup)
	return d
}

// fill leaves so many bytes on the disk, and returns how to take that back.
func (d *fullDisk) fill(left uint64) (remove func()) {
	d.t.Helper()
	f, err := os.Create(filepath.Join(d.dir, "fill"))
	d.a.check(err)
	defer f.Close()
	for size := int64(0); ; {
		var s unix.Statfs_t
		d.a.check(unix.Statfs(d.dir, &s))
		free := uint64(s.Bavail) * uint64(s.Bsize)
		if free <= left {
			break
		}
		more := int64(free - left)
		if err := unix.Fallocate(int(f.Fd()), 0, size, more); errors.Is(err, unix.ENOSPC) {
			continue // somebody was quicker
		} else if err != nil {
			d.t.Fatal(err)
		}
		size += more
	}
	return func() { d.a.check(os.Remove(f.Name())) }
}

// write makes edits on a, each of some kilobytes that do not compress, and
// reports whether they were taken.
func (d *fullDisk) write(ctx context.Context, edits, bytes int) (taken bool, err error) {
	var all []model.Edit
	var names []string
	for range edits {
		d.edits++
		what, edit := numberedEdit(fmt.Sprint("edit-", d.edits), 0)
		value := make([]byte, bytes/2)
		for i := range value {
			value[i] = byte(d.random.Uint32())
		}
		all = append(all, edit, model.Edit{Op: model.SettingSet, ID: "bulk " + edit.ID, Scope: "account", Value: fmt.Appendf(nil, `"%x"`, value)})
		names = append(names, what)
	}
	err = d.a.client.Apply(ctx, all)
	switch {
	case err == nil:
		for _, what := range names {
			d.acked[what] = true
		}
		return true, nil
	case client.CodeOf(err) == client.CodeDiskFull:
		d.refused++
		return false, nil
	}
	return false, err
}

// holds checks that a shows what it acknowledged.
func (d *fullDisk) holds(ctx context.Context, when string) {
	d.t.Helper()
	state, err := d.a.client.State(ctx)
	if err != nil {
		d.t.Fatalf("%s: the state cannot be read: %v", when, err)
	}
	held := heldEdits(&state)
	for _, what := range slices.Sorted(maps.Keys(d.acked)) {
		if !held[what] {
			d.lost++
			delete(d.acked, what)
			d.t.Errorf("%s: %s was acknowledged and is lost", when, what)
		}
	}
}

// level goes through everything with so much space left.
func (d *fullDisk) level(left uint64) {
	d.t.Helper()
	d.levels++
	when := fmt.Sprintf("%d KiB left", left>>10)
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	remove := d.fill(left)
	for range 3 {
		if _, err := d.write(ctx, 1, 2000); err != nil {
			d.t.Fatalf("%s: an edit ends with %v: %s", when, err, d.ended())
		}
	}
	d.b.check(d.b.client.Apply(ctx, []model.Edit{{Op: model.ChatMute, ID: when, Until: model.Forever}}))
	d.holds(ctx, when)
	d.commands(when)
	d.holds(ctx, when)
	remove()
	d.works(ctx, when)

	d.fill(left)
	d.down(when)
	d.a.daemon = d.a.launch()
	var ready struct{ Addrs []string }
	if err := d.a.daemon.next(&ready); err == nil {
		d.a.addrs = ready.Addrs
		d.holds(ctx, when+", started anew")
	} else {
		d.ends("up", d.a.daemon.cmd.ProcessState.ExitCode(), err.Error())
		d.a.daemon = nil
	}
	remove()
	if d.a.daemon == nil {
		d.a.up()
	}
	d.redial()
	d.works(ctx, when+", started anew")
}

// down ends the daemon of a as a person does.
func (d *fullDisk) down(when string) {
	d.t.Helper()
	p := d.a.daemon
	d.a.daemon = nil
	defer p.within(patience)()
	d.a.check(p.cmd.Process.Signal(syscall.SIGTERM))
	err := p.done()
	d.ends("the end of up", p.cmd.ProcessState.ExitCode(), fmt.Sprint(when, ": ", err))
}

// redial tells b where a is after it was started anew.
func (d *fullDisk) redial() {
	d.t.Helper()
	d.b.down()
	d.b.up(d.a.peers()...)
}

// works checks that a takes edits, and has what b has sent.
func (d *fullDisk) works(ctx context.Context, when string) {
	d.t.Helper()
	if taken, err := d.write(ctx, 1, 100); !taken {
		d.t.Fatalf("%s, and then there is room: an edit is not taken: %v: %s", when, err, d.ended())
	}
	settle(d.t, d.a, d.b)
	d.holds(ctx, when)
	v, err := d.a.client.Verify(ctx)
	if err != nil || !v.OK {
		d.t.Errorf("%s: verification: %+v, %v", when, v, err)
	}
}

// commands runs what begins on the full disk, or reads.
func (d *fullDisk) commands(when string) {
	d.t.Helper()
	fresh := filepath.Join(d.dir, "fresh")
	commands := [][]string{
		{"--dir", fresh, "--key-file", fresh + ".key", "init", "--name", "x", "--yes"},
		{"--dir", fresh, "--key-file", fresh + ".key", "restore", d.backup, "--name", "x", "--words-file", d.words, "--yes"},
		{"--dir", d.b.dir, "--key-file", d.b.dir + ".key", "backup", fresh + ".age"},
		{"--dir", d.a.dir, "--key-file", d.a.dir + ".key", "backup", fresh + ".age"},
	}
	for _, args := range commands {
		out, err := exec.CommandContext(d.t.Context(), d.a.program[0], args...).CombinedOutput()
		code := 0
		if ended, ok := errors.AsType[*exec.ExitError](err); ok {
			code = ended.ExitCode()
		}
		d.ends(args[4], code, when+": "+string(out))
		if code == 0 && args[4] != "backup" && !encryption.Exists(fresh) {
			d.t.Errorf("%s: %s did nothing, without a word", when, args[4])
		}
		for _, path := range []string{fresh, fresh + ".key", fresh + ".age"} {
			_, left := os.Stat(path)
			if code != 0 && left == nil {
				d.t.Errorf("%s: %s has failed and left %s", when, args[4], path)
			}
			d.a.check(os.RemoveAll(path))
		}
	}
	if d.joins < maxJoins {
		d.join(when)
	}
}

// maxJoins is how many invites a device gives out within an hour, less one.
const maxJoins = 4

// join links a new device on the full disk.
func (d *fullDisk) join(when string) {
	d.t.Helper()
	d.joins++
	n := newMachine(d.t, "n")
	n.dir = filepath.Join(d.dir, "n")
	n.unlock = []string{"--key-file", n.dir + ".key"}
	link := d.b.start("link")
	defer link.within(patience)()
	join := n.start(append(append([]string{"join", "--name", "n"}, n.listen...), "-")...)
	defer join.within(patience)()
	_, err := handOver(link, join)
	err = errors.Join(err, join.done())
	d.ends("join", join.cmd.ProcessState.ExitCode(), fmt.Sprint(when, ": ", err))
	_ = link.cmd.Process.Kill() // it waits for another one, perhaps
	_ = link.wait()
	d.a.check(errors.Join(os.RemoveAll(n.dir), os.RemoveAll(n.dir+".key")))
	if join.cmd.ProcessState.ExitCode() == 0 {
		d.forget()
	}
}

// forget removes devices that have joined, of which there may be so many only.
func (d *fullDisk) forget() {
	d.t.Helper()
	devices, err := d.b.client.ListDevices(d.t.Context())
	d.b.check(err)
	for _, device := range devices {
		if device.Name == "n" {
			_, err := d.b.client.RemoveDevice(d.t.Context(), device.ID)
			d.b.check(err)
		}
	}
}

// ends counts how a command has ended on a full disk.
func (d *fullDisk) ends(command string, code int, said string) {
	d.t.Helper()
	d.codes[fmt.Sprint(command, " ", code)]++
	if code != 0 && code != exits[client.CodeDiskFull].status {
		d.crashes++
		d.t.Errorf("%s ended with %d: %s", command, code, said)
	}
}

// ended says how the daemon of a has ended, if it has.
func (d *fullDisk) ended() string {
	if _, err := d.a.client.Status(d.t.Context()); err == nil {
		return "the daemon runs"
	}
	d.crashes++
	p := d.a.daemon
	d.a.daemon = nil
	_ = p.cmd.Process.Kill()
	err := p.cmd.Wait()
	said := p.errors.String()
	return fmt.Sprintf("the daemon has ended, %v: %.1500s", err, said)
}

// rush fills the disk at once while a is written to. The daemon may be killed
// by that, because a mapped file without room ends the process; it is counted,
// and then nothing may be lost.
func (d *fullDisk) rush() {
	d.t.Helper()
	d.rushes++
	when := fmt.Sprint("rush ", d.rushes)
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	filled := make(chan func())
	moment := time.Duration(d.random.IntN(600)) * time.Millisecond
	go func() {
		<-time.After(moment) // the injection
		filled <- d.fill(0)
	}()
	var remove func()
	for after := 0; after < 5; {
		select {
		case remove = <-filled:
		default:
		}
		if remove != nil {
			after++
		}
		if _, err := d.write(ctx, 20, 16_000); err != nil {
			if said := d.ended(); !strings.Contains(said, "unexpected fault address") {
				d.t.Errorf("%s: %v: %s", when, err, said)
			}
			d.crashes, d.killed = d.crashes-1, d.killed+1
			break
		}
	}
	if remove == nil {
		remove = <-filled
	}
	if d.a.daemon != nil {
		d.holds(ctx, when)
	}
	remove()
	if d.a.daemon == nil {
		d.a.up()
		d.redial()
	}
	d.works(ctx, when)
}
