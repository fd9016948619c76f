package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestDoctorCampaign damages each file of a store, of one that was closed and of
// one whose daemon was killed: it flips a byte of it, cuts it short, or deletes it.
// Whenever a command without doctor would fail, show another state, or say
// that something is wrong, doctor must have said so too, in order and in time; and
// after a repair and a meeting with the other device everything must be there again.
// By default each file suffers one kind of damage; more of each:
//
//	go test ./cmd/starling -run '^TestDoctorCampaign$' -v -flips 20 -timeout 0
func TestDoctorCampaign(t *testing.T) {
	a, b := grown(t)
	killed := copyOf(t, a)
	a.verify() // which opens and closes the store
	closed := copyOf(t, a)
	c := &doctorCampaign{t: t, other: b, random: rand.New(rand.NewPCG(*flipSeed, 1))}
	for i, m := range []*machine{killed, closed} {
		c.m, c.name = m, []string{"killed", "closed"}[i]
		c.want, _, _ = copyOf(t, m).try("state")
		if !bytes.Contains(c.want, []byte("signal:9")) {
			t.Fatalf("the %s store without damage shows %s", c.name, c.want)
		}
		for j, file := range m.storeFiles() {
			for k, how := range []string{"flip", "cut", "delete"} {
				n := *flips
				if how == "delete" {
					n = 1
				}
				if *flips == 1 && (i+j+k)%3 != 0 {
					n = 0
				}
				for range n {
					c.once(file, how)
				}
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.outcomes)) {
		t.Logf("%-32s %d", key, c.outcomes[key])
	}
	t.Logf("seed %d: %d damages of %d files, %d change something without doctor, %d silent in doctor, %d of %d repaired stores whole again",
		*flipSeed, c.damages, len(killed.storeFiles())+len(closed.storeFiles()), c.visible, c.silent, c.whole, c.repairs)
}

// grown is a device whose daemon was killed after it had made tables and a log, and
// another one, with a daemon that runs, that has all of it.
func grown(t *testing.T) (a, b *machine) {
	t.Helper()
	a, b = newMachine(t, "a"), newMachine(t, "b")
	a.run(nil, "init", "--name", "a", "--yes")
	a.up()
	a.invite(b)
	b.up(a.peers()...)
	for i := range 10 {
		a.run(nil, "chat", "read", fmt.Sprint("signal:", i), "--at", "2026-01-31T09:30:00Z", "--message", "m")
		b.run(nil, "contact", "set", fmt.Sprint("person-", i), "--name", "Somebody")
	}
	settle(t, a, b)
	a.down()
	a.up(b.peers()...)
	a.run(nil, "chat", "mute", "signal:1")
	b.run(nil, "chat", "archive", "signal:2")
	settle(t, a, b)
	a.kill()
	return a, b
}

type doctorCampaign struct {
	t        *testing.T
	m, other *machine
	name     string
	random   *rand.Rand
	want     []byte // the state without damage

	damages, visible, silent, repairs, whole int
	outcomes                                 map[string]int
}

// once damages a file of a copy, asks doctor, and what any other command shows of
// another copy, and repairs the first.
func (c *doctorCampaign) once(file, how string) {
	c.t.Helper()
	path := filepath.Join("store", file)
	data, err := os.ReadFile(filepath.Join(c.m.dir, path))
	c.m.check(err)
	used := len(bytes.TrimRight(data, "\x00"))
	if used == 0 && how != "delete" {
		return
	}
	at := 0
	if used > 0 {
		at = c.random.IntN(used)
	}
	by := byte(1 + c.random.IntN(255))
	damaged := func() *machine {
		m := copyOf(c.t, c.m)
		switch how {
		case "flip":
			spoiled := bytes.Clone(data)
			spoiled[at] ^= by
			m.write(path, spoiled)
		case "cut":
			m.check(os.Truncate(filepath.Join(m.dir, path), int64(at)))
		case "delete":
			m.check(os.Remove(filepath.Join(m.dir, path)))
		}
		return m
	}
	c.damages++
	where := fmt.Sprintf("seed %d, %s store, %s at byte %d of %d of %s", *flipSeed, c.name, how, at, used, file)
	patient, witness := damaged(), damaged()
	defer os.RemoveAll(patient.dir)
	defer os.RemoveAll(witness.dir)
	sick := c.sick(witness)
	d := c.examine(patient, where)
	outcome := "no finding"
	switch {
	case d.found():
		outcome = "found: " + d.first()
	case sick != "":
		c.silent++
		c.t.Errorf("%s: doctor finds nothing, and %s", where, sick)
	}
	if sick != "" {
		c.visible++
	}
	if c.outcomes == nil {
		c.outcomes = map[string]int{}
	}
	c.outcomes[c.name+" "+kindOf(file)+" "+how+" "+outcome]++
	if d.found() {
		c.repair(patient, where)
	}
}

// sick says what is wrong with a directory as far as other commands show it.
func (c *doctorCampaign) sick(m *machine) string {
	state, said, code := m.try("state")
	if code != 0 {
		return fmt.Sprintf("state ends with %d: %s", code, firstLine(said))
	}
	if bytes.Contains(said, []byte("the end of the store is missing")) {
		return "state says that the end is missing"
	}
	_, said, code = m.try("verify")
	switch {
	case code != 0:
		return fmt.Sprintf("verify ends with %d: %s", code, firstLine(said))
	case !bytes.Equal(state, c.want):
		return "the state is another"
	}
	return ""
}

func firstLine(said []byte) string {
	line, _, _ := strings.Cut(string(said), "\n")
	return line
}

// diagnosis is what doctor says with --json.
type diagnosis struct {
	findings []finding
	summary  summary
	code     int
	stderr   []byte
}

// found says whether there is something to repair or to know of the store.
func (d *diagnosis) found() bool { return d.first() != "" }

// first is the check that has found something first.
func (d *diagnosis) first() string {
	for _, f := range d.findings {
		if f.Result == resultProblem || f.Result == resultNote && f.Check != checkLeftovers {
			return f.Check
		}
	}
	return ""
}

// diagnose runs doctor and reads what it says. Repairs are left out.
func (m *machine) diagnose(args ...string) *diagnosis {
	m.t.Helper()
	out, said, code := m.try(append([]string{"doctor", "--json"}, args...)...)
	d := &diagnosis{code: code, stderr: said}
	lines := json.NewDecoder(bytes.NewReader(out))
	for lines.More() {
		var raw json.RawMessage
		m.check(lines.Decode(&raw))
		var f finding
		m.check(json.Unmarshal(raw, &f))
		switch {
		case f.Check == checkDirectory:
			d.findings = []finding{f} // once more, after a repair
		case f.Check != "":
			d.findings = append(d.findings, f)
		case bytes.Contains(raw, []byte(`"checks"`)):
			m.check(json.Unmarshal(raw, &d.summary))
		}
	}
	return d
}

// examine runs doctor, which must end in order.
func (c *doctorCampaign) examine(m *machine, where string) *diagnosis {
	c.t.Helper()
	d := m.diagnose()
	problems := slices.ContainsFunc(d.findings, func(f finding) bool { return f.Result == resultProblem })
	switch {
	case bytes.Contains(d.stderr, []byte("goroutine ")) || d.code < 0 || d.code == 1 || d.code == 2:
		c.t.Errorf("%s: doctor ends with %d: %s", where, d.code, d.stderr)
	case problems != (d.code != 0) || problems == d.summary.OK:
		c.t.Errorf("%s: doctor ends with %d and says %+v after %+v", where, d.code, d.summary, d.findings)
	case d.code != 0 && bytes.Count(d.stderr, []byte("\n")) != 1:
		c.t.Errorf("%s: doctor says more than one line: %s", where, d.stderr)
	}
	return d
}

// repair has doctor repair a directory and meets the other device.
func (c *doctorCampaign) repair(m *machine, where string) {
	c.t.Helper()
	c.repairs++
	d := m.diagnose("--repair", "--yes", "--from-others")
	if d.code != 0 {
		c.t.Errorf("%s: the repair ends with %d: %s %+v", where, d.code, d.stderr, d.findings)
		return
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	m.up(c.other.peers()...)
	defer m.kill()
	devices := []*demoDevice{{name: m.name, client: m.client}, {name: c.other.name, client: c.other.client}}
	if err := until(ctx, changes(ctx, m.client, c.other.client), func() (bool, error) { return equal(ctx, devices) }); err != nil {
		c.t.Errorf("%s: the devices do not become equal after the repair: %v", where, err)
		return
	}
	if state, _, _ := m.try("state"); !bytes.Equal(state, c.want) {
		c.t.Errorf("%s: the state is another after the repair:\n%s\n%s", where, state, c.want)
		return
	}
	m.down()
	if d := m.diagnose(); d.code != 0 || d.found() {
		c.t.Errorf("%s: after the repair doctor says %s %+v", where, d.stderr, d.findings)
		return
	}
	c.whole++
}
