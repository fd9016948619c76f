package disk

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/starling-sync/starling/replica/store"
	"go.uber.org/goleak"
)

// childEnv names what this test binary does instead of running tests, and
// childDir the directory with which it does it.
const (
	childEnv = "STORE_TEST_CHILD"
	childDir = "STORE_TEST_DIR"
)

// children run in a process of their own, so that it can be killed, can die
// of damage, or can be measured.
var children = map[string]func(dir string) error{
	"commit":   childCommit,
	"check":    childCheck,
	"hold":     childHold,
	"open":     childOpen,
	"resident": childResident,
}

func TestMain(m *testing.M) {
	run, ok := children[os.Getenv(childEnv)]
	if !ok {
		goleak.VerifyTestMain(m)
		return
	}
	if err := run(os.Getenv(childDir)); err != nil {
		fmt.Println("error:", err)
		os.Exit(3)
	}
	os.Exit(0)
}

// child returns the command that runs one of the children.
func child(name, dir string) *exec.Cmd {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childEnv+"="+name, childDir+"="+dir, "GOCOVERDIR="+os.TempDir())
	return c
}

// childHold opens the store, says so, and keeps it until its input ends.
func childHold(dir string) error {
	s, err := Open(dir, testConfig())
	if err != nil {
		return err
	}
	fmt.Println("open")
	bufio.NewReader(os.Stdin).ReadByte()
	return s.Close()
}

// childOpen opens and closes the store.
func childOpen(dir string) error {
	s, err := Open(dir, testConfig())
	if errors.Is(err, store.ErrInUse) {
		return fmt.Errorf("in use: %w", err)
	}
	if err != nil {
		return err
	}
	return s.Close()
}

func TestInUseByAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	holder := child("hold", dir)
	in, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "open\n" {
		t.Fatalf("the holder says %q, %v", line, err)
	}
	_, err = Open(dir, testConfig())
	if !errors.Is(err, store.ErrInUse) || strings.Count(err.Error(), "\n") != 0 {
		t.Errorf("open here: %v", err)
	}
	text, err := child("open", dir).CombinedOutput()
	if err == nil || !strings.Contains(string(text), "in use") {
		t.Errorf("open in a third process: %v, %s", err, text)
	}
	in.Close()
	if err := holder.Wait(); err != nil {
		t.Fatalf("the holder: %v", err)
	}
	if text, err := child("open", dir).CombinedOutput(); err != nil {
		t.Fatalf("open after the holder has gone: %v, %s", err, text)
	}
}
