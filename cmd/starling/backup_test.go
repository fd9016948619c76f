package main

import (
	"crypto/sha256"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/starling-sync/starling/replica/localapi/client"
)

// A disk that gives back something else than it was given is noticed.
func TestBackupIsReadBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("what was written"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := sha256.Sum256([]byte("what was written"))
	if err := readBack(path, good[:]); err != nil {
		t.Error(err)
	}
	good[0] ^= 1
	if err := readBack(path, good[:]); client.CodeOf(err) != client.CodeDamaged {
		t.Errorf("%v", err)
	}
}

// words-of FILE writes the recovery words that the last command printed as JSON.
func cmdWordsOf(ts *testscript.TestScript, _ bool, args []string) {
	var shown struct {
		Words []string `json:"recovery_words"`
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &shown))
	if len(shown.Words) != 24 {
		ts.Fatalf("%d words were shown", len(shown.Words))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Join(shown.Words, " ")+"\n"), 0o600))
}

// flip FROM TO AT copies a file with one byte changed; AT counts from the end
// when it is negative.
func cmdFlip(ts *testscript.TestScript, _ bool, args []string) {
	raw := []byte(ts.ReadFile(args[0]))
	raw[position(ts, raw, args[2])] ^= 0x20
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), raw, 0o600))
}

// cut FROM TO AT copies a file up to a byte.
func cmdCut(ts *testscript.TestScript, _ bool, args []string) {
	raw := []byte(ts.ReadFile(args[0]))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), raw[:position(ts, raw, args[2])], 0o600))
}

func position(ts *testscript.TestScript, raw []byte, at string) int {
	n, err := strconv.Atoi(at)
	ts.Check(err)
	if n < 0 {
		n += len(raw)
	}
	return n
}

// same FILE compares the state that the last command printed with one printed
// before, byte by byte but for the devices.
func cmdSame(ts *testscript.TestScript, _ bool, args []string) {
	if got, want := ts.ReadFile("stdout"), ts.ReadFile(args[0]); !sameState(got, want) {
		ts.Fatalf("the state is\n%s\nand was\n%s", got, want)
	}
}

// sameState compares two states as printed, but for the devices, which come last.
func sameState(a, b string) bool {
	a, _, okA := strings.Cut(a, `"devices":`)
	b, _, okB := strings.Cut(b, `"devices":`)
	return okA && okB && a == b
}
