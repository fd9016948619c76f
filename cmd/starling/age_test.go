package main

import (
	"os"
	"os/exec"

	"github.com/rogpeppe/go-internal/testscript"
)

// age ARGS… runs the stock age tool, which is pinned beside the static checkers.
func cmdAge(ts *testscript.TestScript, _ bool, args []string) {
	here, err := os.Getwd()
	ts.Check(err)
	cmd := exec.Command("go", append([]string{"tool", "-modfile=../../.ci/tools.mod", "age"}, args...)...)
	cmd.Dir = here
	out, err := cmd.CombinedOutput()
	if err != nil {
		ts.Fatalf("age %v: %v: %s", args, err, out)
	}
}
