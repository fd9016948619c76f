// Skips reads the output of `go test -json` and prints what plain `go test`
// would, and then every test that was skipped, with its reason, so that
// nothing is skipped unseen.
//
//	go test -json ./... | go run ./cmd/internal/lint/skips [-allow FILE]
//
// It exits with 1 when a test or a build failed, when no test ran, and, given
// a list, when a test was skipped that is not on it. A line of the list is the directory of
// the package, the name of the test and the reason why skipping it is fine:
//
//	p2p TestTwoNamespaces  needs root and the ip command
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	list := flag.String("allow", "", "file that lists the tests which may be skipped")
	flag.Parse()
	ok, err := run(os.Stdin, os.Stdout, *list)
	if err != nil {
		fmt.Fprintln(os.Stderr, "skips:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// run copies the report from in to out and says whether all is well.
func run(in io.Reader, out io.Writer, list string) (bool, error) {
	allowed, err := readList(list)
	if err != nil {
		return false, fmt.Errorf("read %s: %w", list, err)
	}
	r := report{out: out, output: map[string][]string{}}
	for dec := json.NewDecoder(in); ; {
		var e event
		if err := dec.Decode(&e); err == io.EOF {
			break
		} else if err != nil {
			return false, fmt.Errorf("read the output of go test -json: %w", err)
		}
		r.add(e)
	}
	fmt.Fprintf(out, "%d tests passed, %d failed, %d skipped\n", r.passed, r.failed, len(r.skips))
	ok := r.passed > 0 && r.failed == 0 && !r.broken
	for _, s := range r.skips {
		mark := "skipped"
		if list != "" && !allowed[s.dir+" "+s.test] {
			mark, ok = "skipped and not on the list", false
		}
		fmt.Fprintf(out, "%s: %s %s: %s\n", mark, s.dir, s.test, s.reason)
	}
	return ok, nil
}

// event is a line of test2json; see `go doc cmd/test2json`.
type event struct {
	Action, Package, Test, Output string
}

type skip struct{ dir, test, reason string }

// report gathers the outcome of a run.
type report struct {
	out            io.Writer
	output         map[string][]string // lines of the tests that still run
	passed, failed int
	broken         bool // a package failed outside its tests
	skips          []skip
}

func (r *report) add(e event) {
	key := e.Package + " " + e.Test
	switch {
	case e.Action == "output" && e.Test == "", e.Action == "build-output":
		if line := e.Output; strings.TrimSpace(line) != "PASS" && !strings.Contains(line, "[no test files]") {
			fmt.Fprint(r.out, line)
		}
	case e.Action == "output":
		r.output[key] = append(r.output[key], e.Output)
	case e.Test == "":
		r.broken = r.broken || e.Action == "fail" || e.Action == "build-fail"
	case e.Action == "pass":
		r.passed++
		delete(r.output, key)
	case e.Action == "fail":
		r.failed++
		fmt.Fprint(r.out, strings.Join(r.output[key], ""))
		delete(r.output, key)
	case e.Action == "skip":
		r.skips = append(r.skips, skip{directory(e.Package), e.Test, reason(r.output[key])})
		delete(r.output, key)
	}
}

// directory drops the module's path, which has three elements.
func directory(importPath string) string {
	elems := strings.SplitN(importPath, "/", 4)
	return elems[len(elems)-1]
}

// reason is what the test logged, without the lines of the framework.
func reason(lines []string) string {
	var out []string
	for _, l := range lines {
		l = strings.TrimSpace(l)
		if l != "" && !strings.HasPrefix(l, "=== ") && !strings.HasPrefix(l, "--- ") {
			out = append(out, l)
		}
	}
	return strings.Join(out, " ")
}

// readList returns the lines of the list as "dir test". No file, no list.
func readList(name string) (map[string]bool, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	allowed := map[string]bool{}
	s := bufio.NewScanner(f)
	for s.Scan() {
		fields := strings.Fields(s.Text())
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) < 4 {
			return nil, fmt.Errorf("line %q: want a directory, a test and a reason", s.Text())
		}
		allowed[fields[0]+" "+fields[1]] = true
	}
	return allowed, s.Err()
}
