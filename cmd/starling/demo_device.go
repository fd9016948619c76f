package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/starling-sync/starling/replica/localapi/client"
)

// demoDevice is one of the three: a directory and the processes on it.
type demoDevice struct {
	name, dir, key string
	self           string // path of this program

	addrs  []string
	client *client.Client // of the daemon; nil while there is none
	daemon *process
}

// process is a starling that runs beside this one.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	events *json.Decoder
	errors bytes.Buffer // its standard error; read once it has ended
	wait   func() error
}

// start runs this program on the device's directory. It ends with ctx, first
// asked and after a while killed.
func (d *demoDevice) start(ctx context.Context, args ...string) (*process, error) {
	args = append([]string{"--dir", d.dir, "--key-file", d.key, "--json"}, args...)
	p := &process{cmd: exec.CommandContext(ctx, d.self, args...)}
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = 5 * time.Second
	p.cmd.Stderr = &p.errors
	stdout, err := p.cmd.StdoutPipe()
	if err == nil {
		p.stdin, err = p.cmd.StdinPipe()
	}
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start starling %s: %w", args[len(args)-1], err)
	}
	p.events = json.NewDecoder(stdout)
	p.wait = sync.OnceValue(func() error { return p.failure(p.cmd.Wait()) })
	return p, nil
}

// failure turns the end of a process into what it said on standard error.
func (p *process) failure(err error) error {
	if err == nil {
		return nil
	}
	var problem struct {
		Error struct {
			Code    client.Code
			Message string
		}
	}
	lines := strings.Split(strings.TrimSpace(p.errors.String()), "\n")
	if json.Unmarshal([]byte(lines[len(lines)-1]), &problem) == nil && problem.Error.Message != "" {
		return client.Errorf(problem.Error.Code, "%s", problem.Error.Message)
	}
	return fmt.Errorf("%w: %s", err, lines[len(lines)-1])
}

// next decodes the next line that the process prints. When there is none,
// the process has ended and says why.
func (p *process) next(v any) error {
	err := p.events.Decode(v)
	if errors.Is(err, io.EOF) {
		if failed := p.wait(); failed != nil {
			return failed
		}
	}
	return err
}

// done waits for the end of a process that has said everything.
func (p *process) done() error {
	_ = p.stdin.Close() // it has ended by itself, perhaps
	_, err := io.Copy(io.Discard, io.MultiReader(p.events.Buffered()))
	return errors.Join(err, p.wait())
}

// perform runs one command to its end.
func (d *demoDevice) perform(ctx context.Context, args ...string) error {
	p, err := d.start(ctx, args...)
	if err != nil {
		return err
	}
	for {
		var line json.RawMessage
		err := p.next(&line)
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: starling %s: %w", d.name, strings.Join(args[:min(2, len(args))], " "), errors.Join(err, p.done()))
		}
	}
}

// up starts the daemon and waits until it is ready.
func (d *demoDevice) up(ctx context.Context, peers ...string) error {
	args := []string{"up", "--listen", "127.0.0.1:0", "--no-discovery"}
	for _, peer := range peers {
		args = append(args, "--peer", peer)
	}
	p, err := d.start(ctx, args...)
	if err != nil {
		return err
	}
	var ready struct {
		Addrs []string
		API   string
	}
	if err := p.next(&ready); err != nil {
		return fmt.Errorf("%s: %w", d.name, err)
	}
	d.daemon, d.addrs, d.client = p, ready.Addrs, client.New(ready.API)
	return nil
}

// stop ends the daemon, if there is one.
func (d *demoDevice) stop() error {
	if d.daemon == nil {
		return nil
	}
	p := d.daemon
	d.daemon = nil
	_ = d.client.Close() // only idle connections
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", d.name, err)
	}
	err := p.done()
	if ended, ok := errors.AsType[*exec.ExitError](err); ok && !ended.Exited() {
		return nil // by the signal, before it could listen for it
	}
	return err
}

// addrsOf are where some devices can be dialled.
func addrsOf(devices ...*demoDevice) []string {
	var addrs []string
	for _, d := range devices {
		addrs = slices.Concat(addrs, d.addrs)
	}
	return addrs
}
