package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// A child of doctor is this program once more, under a command that is not shown.
// It reads one childRequest from standard input, with what opens the directory, and
// writes childLines to standard output, the last of which says that it is done or
// why it failed. A child that ends without it was ended by what it has read.
const childCommand = "doctor-child"

// The tasks of a child.
const (
	taskExamine = "examine" // all of the store
	taskMend    = "mend"    // make anew what can be computed
	taskRead    = "read"    // write all that can be read as childLines
	taskSalvage = "salvage" // take such lines, which follow the request, into a new store
)

// childRequest is what a child is to do.
type childRequest struct {
	Task string     `json:"task"`
	Key  client.Key `json:"key"`            // a secret, and so not in the arguments
	Into string     `json:"into,omitempty"` // of taskSalvage: where the new store is made
}

// childLine is one line of what a child says. One field is set.
type childLine struct {
	Examined *replica.Examined `json:"examined,omitempty"`
	Mended   *mended           `json:"mended,omitempty"`
	Salvaged *replica.Salvaged `json:"salvaged,omitempty"`
	Carried  *replica.Carried  `json:"carried,omitempty"`
	Failed   *childFailure     `json:"failed,omitempty"`
	Done     bool              `json:"done,omitempty"`
}

type childFailure struct {
	Code    client.Code `json:"code"`
	Message string      `json:"message"`
}

// mended is what the task mend has done.
type mended struct {
	Changes     int  `json:"changes"`
	Documents   int  `json:"documents"`
	Entries     int  `json:"entries"`
	Local       int  `json:"local"`
	Fingerprint bool `json:"fingerprint"`
}

// childHook is called when a child begins a part. Tests end the process in it.
var childHook = func(task, part string) {}

func (a *app) doctorChildCommand() *cobra.Command {
	return &cobra.Command{
		Use: childCommand, Short: "Check a store for starling doctor", Hidden: true, Args: cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error {
			err := a.childTask(ctx)
			if err == nil {
				return a.emit(childLine{Done: true})
			}
			return a.emit(childLine{Failed: &childFailure{codeOf(err), oneLine(err.Error())}})
		}),
	}
}

func (a *app) childTask(ctx context.Context) error {
	in := json.NewDecoder(a.stdin)
	var r childRequest
	if err := in.Decode(&r); err != nil {
		return fmt.Errorf("read the task: %w", err)
	}
	u, err := unlockOf(r.Key)
	if err != nil {
		return err
	}
	id, err := encryption.OpenIdentity(a.dir, u)
	if err != nil {
		return err
	}
	c := &replica.Config{Identity: id, Generation: generationOf(a.dir), Log: logTo(a.stderr, slog.LevelWarn)}
	childHook(r.Task, "")
	switch r.Task {
	case taskExamine:
		return replica.Examine(ctx, a.dir, c, func(x replica.Examined) {
			_ = a.emit(childLine{Examined: &x}) // who reads it has ended, and ends this process
			if x.Begun {
				childHook(r.Task, string(x.Part))
			}
		})
	case taskMend:
		return a.childMend(ctx, c)
	case taskRead:
		return replica.ReadSalvage(ctx, a.dir, c, func(s replica.Salvaged) error {
			childHook(r.Task, string(s.Kind))
			return a.emit(childLine{Salvaged: &s})
		})
	case taskSalvage:
		return a.childSalvage(ctx, r.Into, c, in)
	}
	return fmt.Errorf("unknown task %q", r.Task)
}

func (a *app) childMend(ctx context.Context, c *replica.Config) error {
	r, err := replica.Open(a.dir, c)
	if err != nil {
		return err
	}
	m, err := r.Mend(ctx)
	if err = errors.Join(err, r.Close()); err != nil {
		return err
	}
	return a.emit(childLine{Mended: &mended{m.Changes, len(m.Documents), m.Entries, m.Local, m.Fingerprint}})
}

// childSalvage takes in what another child has read, until that says that it is
// done, or nothing comes any more.
func (a *app) childSalvage(ctx context.Context, into string, c *replica.Config, in *json.Decoder) error {
	r, err := replica.Open(into, c)
	if err != nil {
		return err
	}
	carried, err := r.Salvage(ctx, func() (replica.Salvaged, error) {
		var line childLine
		if err := in.Decode(&line); err != nil {
			return replica.Salvaged{}, err
		}
		if line.Salvaged == nil {
			return replica.Salvaged{}, errors.New("the reader has ended early")
		}
		childHook(taskSalvage, string(line.Salvaged.Kind))
		return *line.Salvaged, nil
	})
	if err = errors.Join(err, r.Close()); err != nil {
		return err
	}
	return a.emit(childLine{Carried: &carried})
}

// child is a child that runs.
type child struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	lines  *json.Decoder
	stderr tail
	limit  time.Duration
	late   bool // it was ended because it took too long
}

// startChild starts a child and gives it its task.
func (d *doctor) startChild(ctx context.Context, r childRequest) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{limit: d.limit, cmd: exec.CommandContext(ctx, self, childCommand, "--json", "--dir", d.dir)}
	c.cmd.Args[0] = os.Args[0]
	c.cmd.Stderr = &c.stderr
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a process to check in: %w", err)
	}
	c.lines = json.NewDecoder(stdout)
	r.Key = d.key
	_ = json.NewEncoder(c.stdin).Encode(r) // a child that has ended says so by its end
	return c, nil
}

// next returns the next line, or io.EOF when there is none in time.
func (c *child) next() (line childLine, err error) {
	timer := time.AfterFunc(c.limit, func() { _ = c.cmd.Process.Kill() })
	err = c.lines.Decode(&line)
	if !timer.Stop() {
		c.late = true
	}
	if err != nil {
		err = io.EOF // whatever it is, nothing more comes that could be used
	}
	return line, err
}

// wait waits for the end. It returns how a child has ended that did not end by
// itself, in words for people, and the line in which the runtime says why.
func (c *child) wait() (how string, detail string) {
	_ = c.stdin.Close()
	defer time.AfterFunc(c.limit, func() { _ = c.cmd.Process.Kill() }).Stop()
	_, _ = io.Copy(io.Discard, c.lines.Buffered())
	err := c.cmd.Wait()
	if err == nil && !c.late {
		return "", ""
	}
	detail = c.stderr.cause()
	status, _ := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case c.late:
		return fmt.Sprintf("it did not get on for %s", c.limit), detail
	case status.Signaled() && status.Signal() == syscall.SIGBUS, strings.Contains(detail, "SIGBUS"), strings.Contains(detail, "fault address"):
		return "the disk could not deliver what the file has", detail
	case status.Signaled() && (status.Signal() == syscall.SIGKILL || status.Signal() == syscall.SIGTERM):
		return endedByOthers, detail
	case status.Signaled():
		return fmt.Sprintf("the program ended over it (%s)", status.Signal()), detail
	}
	return "the program ended over it", detail
}

// endedByOthers is the end of a child that says nothing about the store.
const endedByOthers = "the system ended the check, perhaps for want of memory"

// tail keeps the beginning of the last message of a process that ends: its line
// that begins with panic, fatal error or a signal, and a bounded number of bytes
// after it.
type tail struct{ buf bytes.Buffer }

const maxTail = 64 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.buf.Write(p)
	if extra := t.buf.Len() - maxTail; extra > 0 {
		if !strings.Contains(t.buf.String()[:extra], "panic: ") {
			t.buf.Next(extra)
		} else {
			t.buf.Truncate(maxTail)
		}
	}
	return len(p), nil
}

// cause is the line in which a process says why it ends.
func (t *tail) cause() string {
	var last string
	for line := range strings.Lines(t.buf.String()) {
		line = strings.TrimSpace(line)
		for _, start := range []string{"panic: ", "fatal error: ", "SIGBUS", "SIGABRT", "SIGSEGV", "unexpected fault address", "thread '"} {
			if strings.HasPrefix(line, start) {
				return line
			}
		}
		if line != "" {
			last = line
		}
	}
	return last
}
