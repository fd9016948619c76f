package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// badCable joins two network namespaces by Ethernet, and is as bad as a test
// says. It is two TAP devices with a forwarder between them in this process,
// because not every kernel can delay and lose frames by itself. The ends have
// the addresses 10.78.1.1 and 10.78.1.2.
type badCable struct {
	names [2]string // of the namespaces
	taps  [2]*os.File

	delay   atomic.Int64  // of each frame, one way; a time.Duration
	loss    atomic.Uint64 // of 10,000 frames
	cut     atomic.Bool   // no frame passes
	passed  atomic.Uint64 // frames
	dropped atomic.Uint64 // frames, those that a cut drops not counted
}

// frame is on its way.
type frame struct {
	due  time.Time
	data []byte
}

// newBadCable makes a cable without faults, whose losses are drawn from a seed.
// The test is skipped where that is not possible.
func newBadCable(t *testing.T, seed uint64) *badCable {
	t.Helper()
	c := &badCable{names: namespaces(t)}
	for i, ns := range c.names {
		ip(t, "-n", ns, "link", "set", "lo", "up")
		c.addTap(t, i)
		c.address(t, i, "add", i+1)
		c.link(t, i, "up")
	}
	c.forwardAll(t, seed)
	return c
}

// addTap makes the interface of one end.
func (c *badCable) addTap(t *testing.T, i int) {
	t.Helper()
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skip("needs TAP devices, to delay and lose frames: ", err)
	}
	inside(t, c.names[i], func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		request, err := unix.NewIfreq("cable")
		if err == nil {
			request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
			err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
		}
		if err != nil {
			unix.Close(fd)
			return fmt.Errorf("make a TAP device: %w", err)
		}
		c.taps[i] = os.NewFile(uintptr(fd), "cable")
		return nil
	})
}

// address adds or deletes the address 10.78.1.host at one end.
func (c *badCable) address(t *testing.T, i int, what string, host int) {
	t.Helper()
	ip(t, "-n", c.names[i], "addr", what, fmt.Sprintf("10.78.1.%d/24", host), "dev", "cable")
}

// link sets the interface at one end up or down.
func (c *badCable) link(t *testing.T, i int, to string) {
	t.Helper()
	ip(t, "-n", c.names[i], "link", "set", "cable", to)
}

// set says how long frames take, and how many of 100 are lost.
func (c *badCable) set(delay time.Duration, loss float64) {
	c.delay.Store(int64(delay))
	c.loss.Store(uint64(loss * 100))
	c.cut.Store(false)
}

func (c *badCable) forwardAll(t *testing.T, seed uint64) {
	var all sync.WaitGroup
	for i := range c.taps {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		queue := make(chan frame, 1<<14)
		all.Go(func() { defer close(queue); c.take(c.taps[i], queue, random) })
		all.Go(func() { give(c.taps[1-i], queue) })
	}
	t.Cleanup(func() {
		for _, tap := range c.taps {
			tap.Close()
		}
		all.Wait()
	})
}

// take reads frames, and loses some.
func (c *badCable) take(tap *os.File, queue chan<- frame, random *rand.Rand) {
	buf := make([]byte, 1<<16)
	for {
		n, err := tap.Read(buf)
		if err != nil {
			return
		}
		if c.cut.Load() {
			continue
		}
		if random.Uint64N(10_000) < c.loss.Load() {
			c.dropped.Add(1)
			continue
		}
		f := frame{time.Now().Add(time.Duration(c.delay.Load())), append([]byte(nil), buf[:n]...)}
		select {
		case queue <- f:
			c.passed.Add(1)
		default: // the buffer of the cable is full
			c.dropped.Add(1)
		}
	}
}

// give writes frames at the other end when they are due.
func give(tap *os.File, queue <-chan frame) {
	for f := range queue {
		if wait := time.Until(f.due); wait > 0 {
			<-time.After(wait) // which is what the cable is for
		}
		_, _ = tap.Write(f.data) // an interface that is down, or gone, takes none
	}
}
