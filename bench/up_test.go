package bench_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/p2p/p2ptest"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// BenchmarkUp starts the daemon of a device that holds 5,000 chats and 10,000
// contacts, all of them in envelopes that another device has, as a process of
// its own, and reports medians: start-ms, from the start of the process to the
// line that says that it can be used; its resident memory then (ready-rss-MB),
// and what of it is not pages of files (ready-anon-MB); both again after it has
// served the whole state; and the most that it ever had (peak-MB), which with
// a passphrase is the 128 MiB that stretching it takes.
//
// ready-ms is the part of start-ms after the identity is open. What comes
// before, unlock-ms, is measured with a second process each time, which is told
// to listen at no address and so ends when it has opened the identity. Where a
// passphrase is stretched the difference is small beside both, so that it is
// that of the shortest times.
func BenchmarkUp(b *testing.B) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		b.Skip("needs /proc: ", err)
	}
	program := filepath.Join(b.TempDir(), "starling")
	if out, err := exec.Command("go", "build", "-o", program, "../cmd/starling").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	dir, key := largeAccount(b)
	b.Run("key-file", func(b *testing.B) {
		path := filepath.Join(b.TempDir(), "key")
		writeFile(b, path, strings.Repeat("00", 32)+"\n")
		measureUp(b, program, "--dir", dir, "--key-file", path)
	})
	b.Run("passphrase", func(b *testing.B) {
		path := filepath.Join(b.TempDir(), "pass")
		writeFile(b, path, "correct horse\n")
		pass := encryption.UnlockPassphrase([]byte("correct horse"))
		if err := encryption.ChangeUnlock(dir, key, pass); err != nil {
			b.Fatal(err)
		}
		measureUp(b, program, "--dir", dir, "--passphrase-file", path)
		if err := encryption.ChangeUnlock(dir, pass, key); err != nil {
			b.Fatal(err)
		}
	})
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func writeFile(b *testing.B, path, text string) {
	b.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
}

// largeAccount returns the directory of a device that has written all of the
// account and has handed it to another, and what opens it.
func largeAccount(b *testing.B) (dir string, key encryption.Unlock) {
	b.Helper()
	dir, key = b.TempDir(), encryption.UnlockKey(make([]byte, 32))
	id, _, err := encryption.Create(dir, key, &encryption.CreateOptions{Name: "first", Now: time.Now()})
	if err != nil {
		b.Fatal(err)
	}
	second := p2ptest.Add(b, id, "second")
	a := open(b, dir, id)
	o := open(b, b.TempDir(), second, a.host.Addrs()...)
	for _, edits := range manyEdits(5000, 10000) {
		if err := a.Apply(b.Context(), edits); err != nil {
			b.Fatal(err)
		}
	}
	inSync(b, a, o)
	equal(b, a, o)
	for _, d := range []*device{o, a} {
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
	}
	return dir, key
}

// measureUp runs the daemon again and again.
func measureUp(b *testing.B, program string, args ...string) {
	run, err := os.MkdirTemp("", "starling") // the path of a socket must be short
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(run)
	socket := filepath.Join(run, "s")
	args = append(args, "--json", "up", "--no-discovery", "--api", socket, "--listen")
	figures := map[string][]float64{}
	for b.Loop() {
		unlocked := unlocking(b, exec.CommandContext(b.Context(), program, append(args, "nowhere")...))
		for name, value := range upOnce(b, socket, exec.CommandContext(b.Context(), program, append(args, "127.0.0.1:0")...)) {
			figures[name] = append(figures[name], value)
		}
		figures["unlock-ms"] = append(figures["unlock-ms"], unlocked)
	}
	figures["ready-ms"] = []float64{slices.Min(figures["start-ms"]) - slices.Min(figures["unlock-ms"])}
	for name, values := range figures {
		slices.Sort(values)
		b.ReportMetric(values[len(values)/2], name)
	}
}

// unlocking returns the milliseconds of a daemon that fails when it has opened
// the identity.
func unlocking(b *testing.B, cmd *exec.Cmd) float64 {
	b.Helper()
	began := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(began)
	if ended, ok := errors.AsType[*exec.ExitError](err); !ok || ended.ExitCode() != 3 {
		b.Fatalf("%v: %s", err, out)
	}
	return millis(took)
}

func upOnce(b *testing.B, socket string, cmd *exec.Cmd) map[string]float64 {
	b.Helper()
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	figures := map[string]float64{"start-ms": millis(time.Since(began))}
	if err != nil || !strings.Contains(line, `"event":"ready"`) {
		b.Fatalf("%q, %v", line, err)
	}
	figures["ready-rss-MB"], figures["ready-anon-MB"] = memory(b, cmd, "VmRSS"), memory(b, cmd, "RssAnon")
	c := client.New(socket)
	state, err := c.State(b.Context())
	if err != nil || len(state.Chats) != 5000 || len(state.Contacts) != 10000 {
		b.Fatalf("%d chats, %d contacts, %v", len(state.Chats), len(state.Contacts), err)
	}
	figures["served-rss-MB"], figures["served-anon-MB"] = memory(b, cmd, "VmRSS"), memory(b, cmd, "RssAnon")
	figures["peak-MB"] = memory(b, cmd, "VmHWM")
	if err := errors.Join(c.Close(), cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil {
		b.Fatal(err)
	}
	return figures
}

// memory returns one line of a process's status in MB.
func memory(b *testing.B, cmd *exec.Cmd, name string) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kb float64
		if field, rest, _ := strings.Cut(line, ":"); field == name {
			if _, err := fmt.Sscan(rest, &kb); err != nil {
				b.Fatalf("%q: %v", line, err)
			}
			return kb / 1024
		}
	}
	b.Fatalf("no %s in %s", name, status)
	return 0
}
