package bench_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/p2p"
	"github.com/starling-sync/starling/replica"
)

// A child is this program again, as a device in a process of its own, so that its
// memory can be told from that of the rest. Its work comes in the environment.
const (
	childWork = "STARLING_BENCH_CHILD" // a childTask in JSON
	childTime = 10 * time.Minute
)

// childTask is what a child does: it opens the device in Dir and, if Peer is
// given, dials it and waits until it is in sync with Device.
type childTask struct {
	Dir, Peer, Device string
}

// childFigures is what a child prints when it is done, as one line of JSON.
type childFigures struct {
	OpenMS      float64 // of the replica, after the identity
	InSyncS     float64 // from the first stream
	Sent        int64   // bytes on the streams
	Fingerprint string
	Chats       int
	Contacts    int
}

// childKey opens the identities of all devices of these benchmarks.
func childKey() encryption.Unlock { return encryption.UnlockKey(make([]byte, 32)) }

func TestMain(m *testing.M) {
	work := os.Getenv(childWork)
	if work == "" {
		code := m.Run()
		if big.dir != "" {
			os.RemoveAll(big.dir)
		}
		os.Exit(code)
	}
	if err := runChild(work); err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(3)
	}
}

// runChild does the work, prints the figures, and stays as it is until it reads a
// line; then it collects garbage, prints a line, and ends when its input does.
func runChild(work string) error {
	var task childTask
	if err := json.Unmarshal([]byte(work), &task); err != nil {
		return err
	}
	id, err := encryption.OpenIdentity(task.Dir, childKey())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), childTime)
	defer cancel()
	config := &p2p.Config{Identity: id, Listen: "127.0.0.1:0", NoDiscovery: true}
	if task.Peer != "" {
		config.Peers = []string{task.Peer}
	}
	host, err := p2p.Listen(ctx, config)
	if err != nil {
		return err
	}
	m := &metered{Host: host, began: make(chan time.Time, 1)}
	began := time.Now()
	r, err := replica.Open(task.Dir, &replica.Config{Identity: id, Network: m})
	if err != nil {
		return errors.Join(err, host.Close())
	}
	figures := childFigures{OpenMS: millis(time.Since(began))}
	return errors.Join(serveChild(ctx, r, m, &task, &figures), r.Close())
}

func serveChild(ctx context.Context, r *replica.Replica, m *metered, task *childTask, f *childFigures) error {
	if task.Device != "" {
		peer, err := encryption.ParseDeviceID(task.Device)
		if err == nil {
			err = r.WaitInSync(ctx, peer)
		}
		if err != nil {
			return err
		}
		f.InSyncS, f.Sent = time.Since(<-m.began).Seconds(), m.sent.Load()
		s, err := r.Status(ctx)
		if err != nil {
			return err
		}
		f.Fingerprint, f.Chats, f.Contacts = s.Fingerprint, s.Counts.Chats, s.Counts.Contacts
	}
	if err := json.NewEncoder(os.Stdout).Encode(f); err != nil {
		return err
	}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		runtime.GC()
		runtime.GC() // what the first one's finalizers released
		fmt.Println("collected")
	}
	return in.Err()
}

// child is a child that has printed its figures and waits.
type child struct {
	childFigures
	cmd *exec.Cmd
	in  io.Closer
	ask func() error // lets it collect garbage
}

func startChild(b *testing.B, task *childTask) *child {
	b.Helper()
	work, err := json.Marshal(task)
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childWork+"="+string(work))
	cmd.Stderr = os.Stderr
	in, errIn := cmd.StdinPipe()
	out, errOut := cmd.StdoutPipe()
	if err := errors.Join(errIn, errOut, cmd.Start()); err != nil {
		b.Fatal(err)
	}
	lines := bufio.NewReader(out)
	c := &child{cmd: cmd, in: in}
	c.ask = func() error {
		if _, err := fmt.Fprintln(in); err != nil {
			return err
		}
		_, err := lines.ReadString('\n')
		return err
	}
	line, err := lines.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &c.childFigures)
	}
	if err != nil {
		b.Fatal(errors.Join(err, in.Close(), cmd.Wait()))
	}
	return c
}

// end lets it end.
func (c *child) end(b *testing.B) {
	b.Helper()
	if err := errors.Join(c.in.Close(), c.cmd.Wait()); err != nil {
		b.Fatal(err)
	}
}
