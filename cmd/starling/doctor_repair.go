package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/localapi/client"
	"github.com/starling-sync/starling/replica/store/disk"
)

// A repair that begins a new store goes in steps, after each of which a crash
// leaves everything that was there:
//
//  1. make the new store in buildingDir and carry over what can be read
//  2. give it the name repairedDir: from here on it is complete
//  3. give the damaged store a name that begins with damagedPrefix
//  4. give the new one the name of the store
//
// After a crash between 3 and 4 there is no store, and the next repair does 4.
const (
	buildingDir   = "store.building"
	repairedDir   = "store.repaired"
	damagedPrefix = "store.damaged-"
)

// mend repairs what examine has found, after asking: first what can be made again
// in place, then what cannot.
func (d *doctor) mend(ctx context.Context) error {
	if d.needs(replica.RemedyMend) {
		if err := d.consent("Make again what this device can make again by itself?"); err != nil {
			return err
		}
		if err := d.mendInPlace(ctx); err != nil {
			return err
		}
		if err := d.again(ctx); err != nil {
			return err
		}
	}
	if !d.needs(replica.RemedyFetch) && !d.needs(replica.RemedyMend) {
		return d.verdict()
	}
	if err := d.consent("Set the store aside and begin a new one with what can be read?"); err != nil {
		return err
	}
	if err := d.salvage(ctx); err != nil {
		return err
	}
	if err := d.again(ctx); err != nil {
		return err
	}
	return d.verdict()
}

// longTask is how many times longer a repair may be silent than a check, which says
// now and then that it goes on.
const longTask = 12

// needs says whether a finding asks for a remedy.
func (d *doctor) needs(r replica.Remedy) bool {
	return slices.ContainsFunc(d.findings, func(f finding) bool { return slices.Contains(f.remedies, r) })
}

func (d *doctor) consent(question string) error {
	if d.yes {
		return nil
	}
	return d.confirmed(question)
}

// again examines what a repair has left.
func (d *doctor) again(ctx context.Context) error {
	if !d.json {
		if err := d.say("Checking again."); err != nil {
			return err
		}
	}
	return d.examine(ctx)
}

// repaired is what a step of a repair prints with --json.
type repaired struct {
	Repaired replica.Remedy   `json:"repaired"`
	Mended   *mended          `json:"mended,omitempty"`
	Carried  *replica.Carried `json:"carried,omitempty"`
	Kept     string           `json:"kept,omitempty"` // where the damaged store is now
}

// mendInPlace has a child make anew what can be computed. What it cannot do shows
// when all is examined again.
func (d *doctor) mendInPlace(ctx context.Context) error {
	c, err := d.startChild(ctx, childRequest{Task: taskMend})
	if err != nil {
		return err
	}
	c.limit *= longTask
	line, failed := c.result(func(l childLine) bool { return l.Mended != nil })
	if err := ctx.Err(); err != nil {
		return err
	}
	if failed != nil {
		return d.report(failed, "That was not possible (%s).", failed.Message)
	}
	return d.report(repaired{Repaired: replica.RemedyMend, Mended: line.Mended}, "Made again: %s.", line.Mended)
}

// String says what was made again.
func (m *mended) String() string {
	var all []string
	for _, part := range []struct {
		n    int
		noun string
	}{{m.Changes, "unsent change"}, {m.Documents, "document"}, {m.Entries, "place in the index"}} {
		if part.n > 0 {
			all = append(all, strings.Replace(count(part.n, part.noun), "place in the indexs", "places in the index", 1))
		}
	}
	if m.Fingerprint {
		all = append(all, "the fingerprint")
	}
	if m.Local > 0 {
		all = append(all, fmt.Sprintf("(%d damaged notes about addresses were dropped)", m.Local))
	}
	if len(all) == 0 {
		return "nothing more was needed"
	}
	return strings.Join(all, ", ")
}

// result reads the lines of a child to its end and returns the one that was asked
// for, or why there is none.
func (c *child) result(wanted func(childLine) bool) (found childLine, failed *childFailure) {
	for {
		line, err := c.next()
		switch {
		case err != nil:
			how, detail := c.wait()
			return found, &childFailure{client.CodeDamaged, fmt.Sprintf("%s: %s", how, detail)}
		case line.Failed != nil:
			c.wait()
			return found, line.Failed
		case line.Done:
			c.wait()
			return found, nil
		case wanted(line):
			found = line
		}
	}
}

// salvage begins a new store with what can be read of the damaged one.
func (d *doctor) salvage(ctx context.Context) error {
	store := filepath.Join(d.dir, replica.StoreDir)
	building := filepath.Join(d.dir, buildingDir)
	if err := os.RemoveAll(building); err != nil { // it holds copies only
		return fmt.Errorf("begin a new store: %w", err)
	}
	if err := os.MkdirAll(building, 0o700); err != nil {
		return fmt.Errorf("begin a new store: %w", err)
	}
	carried, err := d.carryOver(ctx, building)
	if err == nil {
		err = d.mayReplace(carried)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(building))
	}
	kept, err := d.replaceStore(store, filepath.Join(building, replica.StoreDir))
	if err != nil {
		return err
	}
	d.waits = !carried.Whole
	return d.tellCarried(carried, kept)
}

// carryOver runs a child that reads the damaged store and one that takes into the
// new one what that says.
func (d *doctor) carryOver(ctx context.Context, into string) (*replica.Carried, error) {
	taker, err := d.startChild(ctx, childRequest{Task: taskSalvage, Into: into})
	if err != nil {
		return nil, err
	}
	reader, err := d.startChild(ctx, childRequest{Task: taskRead})
	if err != nil {
		taker.wait()
		return nil, err
	}
	to := json.NewEncoder(taker.stdin)
	for {
		line, err := reader.next()
		if err != nil || line.Salvaged == nil {
			break // how it has ended is of no importance: what came is taken in
		}
		timer := time.AfterFunc(d.limit, func() { _ = taker.cmd.Process.Kill() })
		err = to.Encode(line)
		timer.Stop()
		if err != nil {
			_ = reader.cmd.Process.Kill() // the taker has ended, and says why
			break
		}
	}
	_ = taker.stdin.Close() // so it sees that nothing more comes
	reader.wait()
	taker.limit *= longTask
	line, failed := taker.result(func(l childLine) bool { return l.Carried != nil })
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if failed != nil {
		return nil, client.Errorf(failed.Code, "the new store cannot be made, and nothing was changed: %s", failed.Message)
	}
	return line.Carried, nil
}

// mayReplace refuses to replace a store by one that has less where nobody is known
// who could send the rest.
func (d *doctor) mayReplace(c *replica.Carried) error {
	if c.Whole || c.Others > 0 || d.others > 0 || d.fromOthers {
		return nil
	}
	return client.Errorf(client.CodeDamaged, "nothing was changed: no other device is known here that could send what cannot be read, so that a new store would only have less. Keep %s as it is; starling restore brings back what a backup has. If there is another device after all, give --from-others", d.dir)
}

// replaceStore puts the new store in the place of the damaged one, and returns
// where that is now.
func (d *doctor) replaceStore(store, next string) (kept string, err error) {
	complete := filepath.Join(d.dir, repairedDir)
	if err := os.Rename(next, complete); err != nil {
		return "", fmt.Errorf("keep the new store: %w", err)
	}
	if err := os.RemoveAll(filepath.Dir(next)); err != nil {
		return "", fmt.Errorf("keep the new store: %w", err)
	}
	kept, err = d.setStoreAside(store)
	if err != nil {
		return "", err
	}
	if err := os.Rename(complete, store); err != nil {
		return "", fmt.Errorf("put the new store in place: %w", err)
	}
	return kept, syncDir(d.dir)
}

// setStoreAside gives a store another name, while nobody can open it.
func (d *doctor) setStoreAside(store string) (kept string, err error) {
	release, err := disk.Lock(store)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	name := damagedPrefix + time.Now().UTC().Format("20060102-150405")
	for i := 2; ; i++ {
		kept = filepath.Join(d.dir, name)
		if _, err := os.Lstat(kept); errors.Is(err, fs.ErrNotExist) {
			break
		}
		name = fmt.Sprintf("%s%s-%d", damagedPrefix, time.Now().UTC().Format("20060102-150405"), i)
	}
	if err := os.Rename(store, kept); err != nil {
		return "", errors.Join(fmt.Errorf("set the store aside: %w", err), release())
	}
	return kept, errors.Join(release(), syncDir(d.dir))
}

// tellCarried says what the new store has, and what is to be done now.
func (d *doctor) tellCarried(c *replica.Carried, kept string) error {
	if d.json {
		return d.emit(repaired{Repaired: replica.RemedyFetch, Carried: c, Kept: kept})
	}
	lines := []string{fmt.Sprintf("A new store was begun with %s from the old one.", bundles(c.Envelopes))}
	if c.Changes > 0 {
		lines = append(lines, fmt.Sprintf("%s that no other device has yet came along, and will be sent.", count(c.Changes, "change")))
	}
	if c.Kept > 0 {
		lines = append(lines, fmt.Sprintf("%d more were saved and count once another device has sent what they rest on.", c.Kept))
	}
	if kept != "" {
		lines = append(lines, "The old store is kept in "+kept+".")
	}
	switch {
	case c.Whole:
		lines = append(lines, "Nothing is missing.")
	case c.Others == 0:
		lines = append(lines, "Which other devices there are could not be read. Run starling up --peer with the address\nthat starling up shows on another device, unless both are on one network.")
	default:
		lines = append(lines, fmt.Sprintf("Run starling up: the rest comes from the other %s. Until then this one shows less.", count(c.Others, "device")))
	}
	if !c.Whole {
		lines = append(lines, "What no other device has and could not be read here is lost.",
			"If this device still shows less after it has met another one, run starling rotate on that one:\nthe key that this one had for the others' changes was lost, and it gets a new one.")
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(d.stdout, line); err != nil {
			return err
		}
	}
	return nil
}

// interrupted finds a repair that was interrupted between its last two steps.
func (d *doctor) interrupted() (finding, bool) {
	store, complete := filepath.Join(d.dir, replica.StoreDir), filepath.Join(d.dir, repairedDir)
	f := finding{Check: checkStore, Result: resultProblem, code: client.CodeDamaged,
		Text:   "a repair was interrupted just before its end",
		Advice: "The new store is complete. starling doctor --repair puts it in place."}
	if _, err := os.Lstat(complete); err != nil {
		return f, false
	}
	if _, err := os.Lstat(store); err == nil || !d.repair {
		return f, err != nil
	}
	if err := errors.Join(os.Rename(complete, store), syncDir(d.dir)); err != nil {
		f.Text, f.Details = "a repair that was interrupted cannot be ended", []string{err.Error()}
		return f, true
	}
	return f, false
}
