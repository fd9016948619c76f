package storetest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Drive is an ext4 file system of its own whose power a test can cut. It is on
// a loop device over a file in memory. What the file system had not handed to
// the device at the cut is gone, as it is when a machine loses power; what it
// had handed over is kept in that order, because the device has no cache of its
// own that could lose or reorder it.
//
// A machine that loses power says nothing any more. Processes here do: a sync
// that the cut meets half way can succeed, and what it has synced be lost. So
// only what was acknowledged before Cut is called counts.
type Drive struct {
	Dir string // where it is mounted

	t       testing.TB
	loop    *os.File // keeps the device, which goes away when it is closed and not mounted
	mounted bool
}

// NewDrive makes and mounts a file system of so many bytes, of which only what
// is used takes memory. It is gone after the test. The test is skipped where
// that is not possible.
func NewDrive(t testing.TB, bytes int64) *Drive {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a file system whose power can be cut")
	}
	mkfs, err := exec.LookPath("mkfs.ext4")
	if err != nil {
		t.Skip("needs mkfs.ext4 (Debian: e2fsprogs), to make a file system whose power can be cut")
	}
	memory := t.TempDir()
	if err := unix.Mount("tmpfs", memory, "tmpfs", 0, fmt.Sprint("size=", bytes+bytes/8)); err != nil {
		t.Skip("this system does not let root mount a tmpfs: ", err)
	}
	t.Cleanup(func() { check(t, unix.Unmount(memory, unix.MNT_DETACH)) })
	// What others do with mounts of their own, as "ip netns exec" does, would
	// otherwise keep the file system alive, and down, when it is unmounted here.
	check(t, unix.Mount("", memory, "", unix.MS_SHARED, ""))
	image, dir := filepath.Join(memory, "image"), filepath.Join(memory, "drive")
	check(t, os.Mkdir(dir, 0o700))
	check(t, os.WriteFile(image, nil, 0o600))
	check(t, os.Truncate(image, bytes))
	if out, err := exec.Command(mkfs, "-q", "-F", image).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", mkfs, err, out)
	}
	loop, err := attach(image)
	if err != nil {
		t.Skip("this system does not let root make a loop device: ", err)
	}
	d := &Drive{Dir: dir, t: t, loop: loop}
	t.Cleanup(func() {
		d.unmount()
		check(t, loop.Close())
	})
	d.mount()
	return d
}

// attach makes a loop device that goes away with its last user.
func attach(image string) (*os.File, error) {
	backing, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer backing.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	for {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, err
		}
		loop, err := os.OpenFile(fmt.Sprint("/dev/loop", n), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		err = unix.IoctlLoopConfigure(int(loop.Fd()), &unix.LoopConfig{
			Fd: uint32(backing.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR},
		})
		if err == nil {
			return loop, nil
		}
		loop.Close()
		if !errors.Is(err, unix.EBUSY) { // somebody else was quicker
			return nil, err
		}
	}
}

// fsIocShutdown is FS_IOC_SHUTDOWN of linux/fs.h, and goingNoLogFlush the way
// in which the journal is not written out first.
const (
	fsIocShutdown   = 0x8004587d
	goingNoLogFlush = 2
)

// Cut ends all writing to the device at once, in the middle of whatever there
// is. Everything on the file system fails from then on, until Restart.
func (d *Drive) Cut() {
	d.t.Helper()
	dir, err := os.Open(d.Dir)
	check(d.t, err)
	defer dir.Close()
	check(d.t, unix.IoctlSetPointerInt(int(dir.Fd()), fsIocShutdown, goingNoLogFlush))
}

// Restart mounts the file system anew, with what the device has. No process may
// use the file system any more.
func (d *Drive) Restart() {
	d.t.Helper()
	d.unmount()
	d.mount()
}

func (d *Drive) mount() {
	d.t.Helper()
	check(d.t, unix.Mount(d.loop.Name(), d.Dir, "ext4", unix.MS_NOATIME, ""))
	d.mounted = true
	if _, err := os.ReadDir(d.Dir); err != nil {
		d.t.Fatalf("the file system is still in use elsewhere: %v", err)
	}
}

func (d *Drive) unmount() {
	d.t.Helper()
	if !d.mounted {
		return
	}
	d.mounted = false
	if err := unix.Unmount(d.Dir, 0); err != nil {
		d.t.Errorf("unmount %s: %v", d.Dir, err)
		check(d.t, unix.Unmount(d.Dir, unix.MNT_DETACH))
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
