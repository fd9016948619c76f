package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/starling-sync/starling/cmd/starling/sample"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/localapi/client"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"starling": main})
}

// Each script has its own directory, home and runtime directory. In it
// a.key … are key files, and a …, made by "account", are directories.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "readonly":
				return canBeReadonly(), nil
			case "tmpfs":
				return os.Getuid() == 0 && canBeReadonly(), nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":     cmdExits,
			"up":        cmdUp,
			"down":      cmdDown,
			"pair":      cmdPair,
			"equal":     cmdEqual,
			"settles":   cmdSettles,
			"device":    cmdDevice,
			"standing":  cmdStanding,
			"gone":      cmdGone,
			"expired":   cmdExpired,
			"interrupt": cmdInterrupt,
			"fill":      cmdFill,
			"env-of":    cmdEnvOf,
			"wrong":     cmdWrong,
			"words-of":  cmdWordsOf,
			"same":      cmdSame,
			"age":       cmdAge,
			"tmpfs":     cmdTmpfs,
			"flip":      cmdFlip,
			"cut":       cmdCut,
			"readonly":  cmdReadonly,
			"spoil":     cmdSpoil,
			"lose":      cmdLose,
			"writable":  cmdWritable,
		},
	})
}

func setup(e *testscript.Env) error {
	// A socket's path has about a hundred bytes at most; that of a script's
	// directory may have more.
	run, err := os.MkdirTemp("", "starling")
	if err != nil {
		return err
	}
	e.Defer(func() { os.RemoveAll(run) })
	e.Setenv("XDG_RUNTIME_DIR", run)
	e.Setenv("NO_COLOR", "1")
	e.Values[daemonsKey{}] = map[string]*exec.Cmd{}
	names, err := sample.Files.ReadDir(".")
	if err != nil {
		return err
	}
	for _, name := range names {
		raw, err := sample.Files.ReadFile(name.Name())
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(e.WorkDir, name.Name()), raw, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// exits CODE starling ARGS…: the command ends with exactly this exit code,
// and when that is not 0 says why in exactly one line.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARGS…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if ended, ok := errors.AsType[*exec.ExitError](ts.Exec(args[1], args[2:]...)); ok {
		got = ended.ExitCode()
	}
	stderr := ts.ReadFile("stderr")
	if got != want {
		ts.Fatalf("exit code %d, want %d: %s", got, want, stderr)
	}
	if lines := strings.Count(stderr, "\n"); want != 0 && want != 130 && lines != 1 {
		ts.Fatalf("%d lines on standard error, want 1: %s", lines, stderr)
	}
}

// expired VAR sets a variable to a ticket whose time is over.
func cmdExpired(ts *testscript.TestScript, _ bool, args []string) {
	id, _, err := encryption.Create(ts.MkAbs("expired"), encryption.UnlockKey(make([]byte, 32)),
		&encryption.CreateOptions{Name: "old", Now: time.Now()})
	ts.Check(err)
	invite, err := encryption.OpenInvite(id, &encryption.InviteOptions{
		Addrs: []string{"/ip4/127.0.0.1/tcp/1"}, Now: time.Now().Add(-time.Hour),
	})
	ts.Check(err)
	ts.Setenv(args[0], invite.Ticket())
}

// fill FILE BYTES [TEXT] makes a file of that size which begins with the text;
// the rest is the letter x, or a hole where there is no text.
func cmdFill(ts *testscript.TestScript, _ bool, args []string) {
	size, err := strconv.Atoi(args[1])
	ts.Check(err)
	path := ts.MkAbs(args[0])
	if len(args) == 2 {
		ts.Check(os.WriteFile(path, nil, 0o600))
		ts.Check(os.Truncate(path, int64(size)))
		return
	}
	text := strings.ReplaceAll(args[2], `\n`, "\n")
	ts.Check(os.WriteFile(path, []byte(text+strings.Repeat("x", size-len(text))), 0o600))
}

// env-of VAR JSON-FIELD sets a variable to a text field of what the last
// command printed as JSON.
func cmdEnvOf(ts *testscript.TestScript, _ bool, args []string) {
	_, rest, ok := strings.Cut(ts.ReadFile("stdout"), `"`+args[1]+`":"`)
	value, _, ok2 := strings.Cut(rest, `"`)
	if !ok || !ok2 {
		ts.Fatalf("no text %q in the last output", args[1])
	}
	ts.Setenv(args[0], value)
}

// The table of exit codes and the codes of the API cannot drift apart.
func TestEveryCodeHasAnExit(t *testing.T) {
	seen := map[int]client.Code{0: "ok"}
	for _, code := range client.Codes() {
		if _, ok := exits[code]; !ok {
			t.Errorf("code %s has no exit code", code)
		}
	}
	for code, e := range exits {
		if other, taken := seen[e.status]; taken {
			t.Errorf("%s and %s both exit with %d", code, other, e.status)
		}
		seen[e.status] = code
	}
}
