package disk

import (
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/starling-sync/starling/replica/store/storetest"
)

var (
	cuts    = flag.Int("cuts", 3, "power cuts of TestPowerCut")
	cutSeed = flag.Uint64("cut-seed", 1, "seed of TestPowerCut")
)

// These need a file system of their own.
func init() {
	children["careless"] = childCareless
	children["full"] = childFull
}

// driveSize is enough for the store and its reserve.
const driveSize = 1 << 30

// TestPowerCut cuts the power of the disk under a process that commits, again
// and again, and checks that what it acknowledged is there, all of it, and
// nothing of anything else but the whole of the one batch under way. More, with
// figures:
//
//	go test ./replica/store/disk -run '^TestPowerCut$' -v -cuts 1000 -timeout 0
func TestPowerCut(t *testing.T) {
	drive := storetest.NewDrive(t, driveSize)
	c := &crashes{
		t: t, dir: filepath.Join(drive.Dir, "store"), seed: *cutSeed,
		crash: func(*os.Process) { drive.Cut() }, again: drive.Restart,
	}
	c.run(*cuts)
}

// childCareless acknowledges numbers that it has written and not synced.
func childCareless(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, "numbers"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	for n := uint64(1); ; n++ {
		if _, err := f.Write(binary.BigEndian.AppendUint64(nil, n)); err != nil {
			return err
		}
		if _, err := fmt.Println(n); err != nil {
			return err
		}
	}
}

// TestPowerCutLosesWhatIsNotSynced is the control of the tests with a drive: a
// process that acknowledges without syncing must be seen to lose something.
func TestPowerCutLosesWhatIsNotSynced(t *testing.T) {
	drive := storetest.NewDrive(t, 64<<20)
	c := &crashes{t: t, dir: drive.Dir}
	cmd := child("careless", drive.Dir)
	numbers := c.start(cmd)
	for range 1000 {
		c.note(<-numbers)
	}
	drive.Cut()
	cmd.Process.Kill()
	for range numbers { // too late to count
	}
	cmd.Wait()
	drive.Restart()
	data, err := os.ReadFile(filepath.Join(drive.Dir, "numbers"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	t.Logf("%d numbers acknowledged, %d left", c.acknowledged, len(data)/8)
	if c.acknowledged < 1000 || len(data)/8 >= c.acknowledged {
		t.Errorf("a power cut loses nothing of %d numbers that were not synced", c.acknowledged)
	}
}
