package disk

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// crashes is a campaign: processes commit numbered batches to one store, one
// process after the other, and each crashes at a random moment.
type crashes struct {
	t     *testing.T
	dir   string
	seed  uint64
	crash func(*os.Process) // at once; the process ends of it
	again func()            // nil, or what makes the directory usable after that

	moment                         string
	moments                        map[string]int
	acknowledged, under, lost, bad int
	newest                         uint64 // batch that was acknowledged
	late                           uint64 // batch that was acknowledged when the power was off already
}

// The moments of crashes. A table is made when a memtable is full, or by a
// compaction.
const (
	whileWriting = "writing"
	whileOpening = "opening"
	whileClosing = "closing"
	whileTabling = "making a table"
)

// run crashes so many processes and prints the figures.
func (c *crashes) run(rounds int) {
	c.t.Helper()
	c.moments = map[string]int{}
	random := rand.New(rand.NewPCG(c.seed, 0))
	began := time.Now()
	for round := range rounds {
		moment := whileWriting
		switch random.IntN(8) {
		case 5:
			moment = whileOpening
		case 6:
			moment = whileClosing
		case 7:
			moment = whileTabling
		}
		if round == 0 {
			moment = whileOpening // of a new store
		}
		c.moments[moment]++
		c.moment = moment
		c.one(moment, random)
		c.check(round)
	}
	tables, _ := filepath.Glob(filepath.Join(c.dir, "*.sst"))
	c.t.Logf("seed %d: %d crashes %v: %d batches acknowledged, %d lost, %d stores did not open or were damaged; %d batches under way were whole; newest table %s; %v a crash",
		c.seed, rounds, c.moments, c.acknowledged, c.lost, c.bad, c.under, newestOf(tables), (time.Since(began) / time.Duration(rounds)).Round(time.Millisecond))
}

func newestOf(paths []string) string {
	if len(paths) == 0 {
		return "none"
	}
	return filepath.Base(paths[len(paths)-1])
}

// one runs a process up to its crash and notes what it acknowledged.
func (c *crashes) one(moment string, random *rand.Rand) {
	c.t.Helper()
	cmd := child("commit", c.dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	numbers := c.start(cmd)
	awaited, latest := 1+random.IntN(40), 5*time.Millisecond
	switch moment {
	case whileOpening:
		awaited, latest = 0, 60*time.Millisecond
	case whileTabling:
		awaited = 0
		c.awaitTable(numbers)
	}
	for range awaited {
		if !c.note(<-numbers) {
			break
		}
	}
	if moment == whileClosing {
		in.Close()
		latest = 20 * time.Millisecond
	}
	<-time.After(time.Duration(random.Int64N(int64(latest)))) // the moment is the injection
	for len(numbers) > 0 {
		c.note(<-numbers)
	}
	c.crash(cmd.Process)
	cmd.Process.Kill()
	c.rest(numbers)
	if err := cmd.Wait(); err == nil && moment != whileClosing {
		c.t.Errorf("the child ended by itself")
	}
	if c.again != nil {
		c.again()
	}
}

// rest notes what a process has said after the crash began. If it was killed,
// that was before; if its power was cut, it was too late to count.
func (c *crashes) rest(numbers <-chan string) {
	c.t.Helper()
	counts := c.newest
	for line := range numbers {
		c.note(line)
	}
	c.late = c.newest
	if c.again != nil {
		c.acknowledged -= int(c.newest - counts)
		c.newest = counts
	}
}

// start returns the lines that a process prints, up to its end.
func (c *crashes) start(cmd *exec.Cmd) <-chan string {
	c.t.Helper()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	lines := make(chan string, 1<<16)
	go func() {
		defer close(lines)
		scan := bufio.NewScanner(out)
		for scan.Scan() {
			lines <- scan.Text()
		}
		io.Copy(io.Discard, out)
	}()
	return lines
}

// note takes a line of a process, and says whether there was one that counts.
func (c *crashes) note(line string) bool {
	c.t.Helper()
	if line == "" {
		return false
	}
	n, err := strconv.ParseUint(line, 10, 64)
	if err != nil {
		c.t.Logf("the child says %s", line) // an error of the disk, when its power is cut
		return false
	}
	if n != c.newest+1 && n != c.newest+2 {
		c.t.Errorf("the child says %d after %d", n, c.newest)
	}
	c.newest = n
	c.acknowledged++
	return true
}

// awaitTable waits until there is a table that was not there before.
func (c *crashes) awaitTable(numbers <-chan string) {
	c.t.Helper()
	pattern := filepath.Join(c.dir, "*.sst")
	before, _ := filepath.Glob(pattern)
	for line := range numbers {
		if !c.note(line) {
			return
		}
		if now, _ := filepath.Glob(pattern); newestOf(now) != newestOf(before) {
			return
		}
	}
}

// check opens the store after a crash and compares it with what was
// acknowledged.
func (c *crashes) check(round int) {
	c.t.Helper()
	s, err := Open(c.dir, testConfig())
	if err != nil {
		c.bad++
		c.t.Fatalf("seed %d, round %d, %s: the store does not open: %v", c.seed, round, c.moment, err)
	}
	defer s.Close()
	if err := s.Lost(); err != nil {
		c.bad++
		c.t.Errorf("seed %d, round %d, %s: %v", c.seed, round, c.moment, err)
	}
	got := checkNumbered(c.t, s, round)
	switch {
	case got < c.newest:
		c.lost += int(c.newest - got)
		c.t.Errorf("seed %d, round %d, %s: batch %d is the newest, %d was acknowledged", c.seed, round, c.moment, got, c.newest)
	case got <= c.late:
	case got == c.late+1:
		c.under++
	default:
		c.t.Errorf("seed %d, round %d, %s: batch %d is the newest, %d was acknowledged", c.seed, round, c.moment, got, c.newest)
	}
	c.newest = got
	if n, err := strayProbes(c.dir); err != nil || n > 0 {
		c.t.Errorf("seed %d, round %d: %d files are left of earlier openings, %v", c.seed, round, n, err)
	}
}

// strayProbes counts the files that an opening which was crashed can leave.
func strayProbes(dir string) (n int, err error) {
	files, err := os.ReadDir(dir)
	for _, f := range files {
		if ok, _ := filepath.Match("probe-*.tmp", f.Name()); ok {
			n++
		}
	}
	if err != nil {
		return n, fmt.Errorf("list %s: %w", dir, err)
	}
	return n, nil
}
