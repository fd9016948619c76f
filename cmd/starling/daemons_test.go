package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// patience bounds every wait of a script. Nothing depends on its length.
const patience = time.Minute

type daemonsKey struct{}

func daemons(ts *testscript.TestScript) map[string]*exec.Cmd {
	return ts.Value(daemonsKey{}).(map[string]*exec.Cmd)
}

// command is starling on the directory NAME with the key file NAME.key.
func command(ts *testscript.TestScript, name string, args ...string) *exec.Cmd {
	return program(ts, append([]string{"--json", "--dir", name, "--key-file", name + ".key"}, args...)...)
}

// program is starling in the script's directory and environment.
func program(ts *testscript.TestScript, args ...string) *exec.Cmd {
	var path string
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		path = filepath.Join(dir, "starling")
		if _, err := os.Stat(path); err == nil {
			break
		}
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = ts.MkAbs(".")
	for _, key := range []string{"PATH", "HOME", "XDG_RUNTIME_DIR", "TMPDIR"} {
		cmd.Env = append(cmd.Env, key+"="+ts.Getenv(key))
	}
	cmd.Stderr = os.Stderr // not the script's: two processes write at once
	return cmd
}

// up NAME [ARGS…] starts a daemon on loopback and waits until it is ready. It
// sets NAME_addr to its TCP address, NAME_port to the port of that, and
// NAME_quic to its address for QUIC.
func cmdUp(ts *testscript.TestScript, _ bool, args []string) {
	name := args[0]
	flags := append([]string{"up", "--listen", "127.0.0.1:0", "--no-discovery"}, args[1:]...)
	cmd := command(ts, name, flags...)
	stdout, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	daemons(ts)[name] = cmd
	ts.Defer(func() { kill(cmd, syscall.SIGKILL) })
	var ready struct {
		Event string
		Addrs []string
	}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		ts.Fatalf("daemon %s did not get ready: %v", name, err)
	}
	ts.Check(json.Unmarshal(line, &ready))
	for _, addr := range ready.Addrs {
		switch parts := strings.Split(addr, "/"); {
		case len(parts) > 4 && parts[3] == "tcp":
			ts.Setenv(name+"_addr", addr)
			ts.Setenv(name+"_port", parts[4])
		case len(parts) > 4 && parts[3] == "udp":
			ts.Setenv(name+"_quic", addr)
		}
	}
}

func kill(cmd *exec.Cmd, signal syscall.Signal) error {
	if cmd.ProcessState != nil {
		return nil
	}
	if err := cmd.Process.Signal(signal); err != nil {
		return err
	}
	return cmd.Wait()
}

// down NAME [-9] ends a daemon and waits for its end.
func cmdDown(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 2 {
		var ended *exec.ExitError
		if err := kill(daemons(ts)[args[0]], syscall.SIGKILL); !errors.As(err, &ended) {
			ts.Fatalf("kill %s: %v", args[0], err)
		}
		return
	}
	ts.Check(kill(daemons(ts)[args[0]], syscall.SIGTERM))
}

// pair OLD NEW joins NEW to the account of OLD, passing the ticket and the
// digits on as a person does. It sets ticket to what it used.
func cmdPair(ts *testscript.TestScript, _ bool, args []string) {
	l := meet(ts, args[0], args[1])
	l.typed(ts, l.digits)
	var linked, joined struct{ Event string }
	ts.Check(l.invites.Decode(&linked))
	ts.Check(l.shown.Decode(&joined))
	if linked.Event != "linked" || joined.Event != "joined" {
		ts.Fatalf("events %q and %q, want linked and joined", linked.Event, joined.Event)
	}
	ts.Check(l.link.Wait())
	ts.Check(l.join.Wait())
}

// wrong OLD NEW does the same with other digits than those shown: both must
// fail with the exit code for that.
func cmdWrong(ts *testscript.TestScript, _ bool, args []string) {
	l := meet(ts, args[0], args[1])
	other := []byte(l.digits)
	other[0] = '0' + (other[0]-'0'+1)%10
	l.typed(ts, string(other))
	for _, cmd := range []*exec.Cmd{l.link, l.join} {
		ended, ok := errors.AsType[*exec.ExitError](cmd.Wait())
		if !ok || ended.ExitCode() != exits[client.CodeLinkFailed].status {
			ts.Fatalf("%s ended with %v, want %d", cmd.Args[6], ended, exits[client.CodeLinkFailed].status)
		}
	}
}

// linking is a pair of processes that have met: the new one shows digits.
type linking struct {
	link, join     *exec.Cmd
	input          io.Writer // of link
	invites, shown *json.Decoder
	digits         string
}

func meet(ts *testscript.TestScript, old, new string) *linking {
	l := &linking{
		link: command(ts, old, "link", "--listen", "127.0.0.1:0", "--no-discovery"),
		join: command(ts, new, "join", "--name", new, "--listen", "127.0.0.1:0", "--no-discovery", "-"),
	}
	var given io.Writer
	l.input, l.invites = start(ts, l.link)
	given, l.shown = start(ts, l.join)
	var invite struct{ Ticket string }
	ts.Check(l.invites.Decode(&invite))
	ts.Setenv("ticket", invite.Ticket)
	_, err := io.WriteString(given, invite.Ticket+"\n")
	ts.Check(err)
	var digits struct{ Digits string }
	ts.Check(l.shown.Decode(&digits))
	l.digits = digits.Digits
	return l
}

func (l *linking) typed(ts *testscript.TestScript, digits string) {
	_, err := io.WriteString(l.input, digits+"\n")
	ts.Check(err)
}

func start(ts *testscript.TestScript, cmd *exec.Cmd) (io.Writer, *json.Decoder) {
	stdin, err := cmd.StdinPipe()
	ts.Check(err)
	stdout, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() { kill(cmd, syscall.SIGKILL) })
	return stdin, json.NewDecoder(stdout)
}

// equal NAME NAME… waits until the running daemons hold the same.
func cmdEqual(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var devices []*demoDevice
	for _, name := range args {
		devices = append(devices, &demoDevice{name: name, client: clientOf(ts, ctx, name)})
	}
	_, err := converged(ctx, devices)
	ts.Check(err)
}

func clientOf(ts *testscript.TestScript, ctx context.Context, name string) *client.Client {
	info, err := runningDaemon(ctx, ts.MkAbs(name))
	ts.Check(err)
	if info == nil {
		ts.Fatalf("no daemon runs on %s", name)
	}
	return client.New(info.API)
}

// settles NAME CHAT MESSAGE waits until a daemon shows the chat as read up
// to a message, woken by its events.
func cmdSettles(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := clientOf(ts, ctx, args[0])
	events := c.Events(ctx, 0)
	read := func() bool {
		chat, err := c.GetChat(ctx, args[1])
		return err == nil && chat.Read != nil && chat.Read.ID == args[2]
	}
	if read() {
		return
	}
	for _, err := range events {
		ts.Check(err)
		if read() {
			return
		}
	}
	ts.Fatalf("%s was not read up to %s on %s", args[1], args[2], args[0])
}

// device NAME sets NAME_id to the id of a daemon's device.
func cmdDevice(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := clientOf(ts, ctx, args[0]).Status(ctx)
	ts.Check(err)
	ts.Setenv(args[0]+"_id", s.Device)
}

// gone NAME ID waits until a daemon no longer lists a device.
func cmdGone(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := clientOf(ts, ctx, args[0])
	ts.Check(until(ctx, changes(ctx, c), func() (bool, error) {
		devices, err := c.ListDevices(ctx)
		return !slices.ContainsFunc(devices, func(d model.Device) bool { return d.ID == args[1] }), err
	}))
}

// standing NAME STANDING waits until a daemon's device stands so.
func cmdStanding(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := clientOf(ts, ctx, args[0])
	events := c.Events(ctx, 0)
	stands := func() bool {
		s, err := c.Status(ctx)
		return err == nil && string(s.Standing) == args[1]
	}
	if stands() {
		return
	}
	for _, err := range events {
		ts.Check(err)
		if stands() {
			return
		}
	}
	ts.Fatalf("%s never was %s", args[0], args[1])
}

// interrupt CODE TEXT ARGS…: runs starling with the arguments, sends what
// Ctrl-C sends once it has printed a line that holds the text, and expects the
// exit code.
func cmdInterrupt(ts *testscript.TestScript, _ bool, args []string) {
	cmd := program(ts, args[2:]...)
	stdout, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() { kill(cmd, syscall.SIGKILL) })
	lines := bufio.NewScanner(stdout)
	for lines.Scan() && !strings.Contains(lines.Text(), args[1]) {
	}
	ts.Check(cmd.Process.Signal(os.Interrupt))
	_, err = io.Copy(io.Discard, stdout)
	ts.Check(err)
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if ended, ok := errors.AsType[*exec.ExitError](cmd.Wait()); ok {
		got = ended.ExitCode()
	}
	if got != want {
		ts.Fatalf("%v ended with %d, want %d", args[2:], got, want)
	}
}
