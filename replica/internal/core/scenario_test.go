package core

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "record what the scenarios print as what they should")

// Each file in testdata/scenarios is a story in blocks: commands, a line of
// dashes, and what they make the exchanges do, up to a blank line. Lines
// that begin with # are for the reader. The commands are in commands.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := replay(t, string(want))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(want) {
				t.Errorf("%s goes another way (-rewrite records it):\n%s", file, firstDifference(string(want), got))
			}
		})
	}
}

// replay runs the commands of a file and returns the file with what they
// printed.
func replay(t *testing.T, file string) string {
	s := &scenario{network: newNetwork(), auto: true}
	var out strings.Builder
	answer := false // within the recorded output of a block
	for line := range strings.Lines(file) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case answer && line != "":
		case answer:
			answer = false
			out.WriteString("\n")
		case line == "----":
			answer = true
			fmt.Fprintf(&out, "----\n%s", s.printed())
		default:
			fmt.Fprintln(&out, line)
			if fields := strings.Fields(line); len(fields) > 0 && fields[0] != "#" {
				if err := s.do(fields[0], fields[1:]); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
			}
		}
	}
	return out.String()
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("line %d\n  is  %s\n  was %s", i+1, g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines instead of %d", len(g), len(w))
}

// scenario is a network that obeys commands.
type scenario struct {
	*network
	auto bool // groups are built and committed as soon as there is work
	said int  // of the trace, that was printed
}

func (s *scenario) printed() string {
	all := s.trace.String()
	fresh := all[s.said:]
	s.said = len(all)
	var out strings.Builder
	for line := range strings.Lines(fresh) {
		if !strings.Contains(line, ": progress ") {
			out.WriteString(line)
		}
	}
	return out.String()
}

func (s *scenario) do(name string, args []string) error {
	for _, c := range commands() {
		if c.name != name {
			continue
		}
		if len(args) < c.args {
			return fmt.Errorf("usage: %s %s", c.name, c.usage)
		}
		if err := c.do(s, args); err != nil {
			return err
		}
		s.work()
		return nil
	}
	return fmt.Errorf("no such command")
}

// work lets every host do what there is to do, if groups are automatic.
func (s *scenario) work() {
	for again := s.auto; again; {
		again = false
		for _, h := range s.hosts {
			for h.hasWork() {
				h.build()
				if h.group != nil {
					h.commit()
				}
				again = true
			}
		}
	}
}

// host finds a host by name.
func (s *scenario) host(name string) (*host, error) {
	for _, h := range s.hosts {
		if h.name == name {
			return h, nil
		}
	}
	return nil, fmt.Errorf("no host %q", name)
}

// end finds the end at to of the newest open stream between two hosts.
func (s *scenario) end(from, to string) (*end, error) {
	for i := range s.ends {
		e := s.ends[len(s.ends)-1-i]
		if e.host.name == to && e.peer.host.name == from && !e.closed {
			return e, nil
		}
	}
	return nil, fmt.Errorf("no open stream from %s at %s", from, to)
}

func number(args []string, i, otherwise int) (int, error) {
	if len(args) <= i {
		return otherwise, nil
	}
	return strconv.Atoi(args[i])
}
