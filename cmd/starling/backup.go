package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/starling-sync/starling/replica/localapi/client"
)

func (a *app) backupCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "backup FILE|-", Short: "Write everything to a file that the recovery words open", Args: cobra.ExactArgs(1),
		Long: "Write everything that this device holds to a file that only the recovery words\nopen: chats, contacts, settings, who is in the account, and its keys. A running\ndaemon goes on meanwhile. starling restore, or the age tool, reads the file; so\nkeep it anywhere. With - it goes to standard output.",
		RunE: a.does(func(ctx context.Context, args []string) error {
			if args[0] == "-" {
				return a.backupOut(ctx)
			}
			return a.backupTo(ctx, args[0], force)
		}),
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace the file if it exists")
	return cmd
}

// writeBackup writes the backup and says what is in it.
func (a *app) writeBackup(ctx context.Context, w io.Writer) (done backedUp, err error) {
	to := &meter{w: w, a: a, sum: sha256.New()}
	err = a.withKeeper(ctx, func(api keeperAPI) error {
		if err := api.Backup(ctx, to); err != nil {
			return err
		}
		s, err := api.Status(ctx)
		done = backedUp{Account: s.Account, Chats: s.Counts.Chats, Contacts: s.Counts.Contacts, Devices: s.Counts.Devices}
		return err
	})
	done.Bytes, done.sum = to.n, to.sum.Sum(nil)
	return done, err
}

// backedUp is what backup prints with --json.
type backedUp struct {
	File     string `json:"file,omitempty"`
	Account  string `json:"account"`
	Bytes    int64  `json:"bytes"`
	Chats    int    `json:"chats"`
	Contacts int    `json:"contacts"`
	Devices  int    `json:"devices"`

	sum []byte // SHA-256 of the file
}

// meter tells a person who waits how much there is, and sums it up.
type meter struct {
	w   io.Writer
	a   *app
	sum hash.Hash
	n   int64
}

// meterStep is after how many bytes a person hears again.
const meterStep = 16 << 20

func (m *meter) Write(p []byte) (int, error) {
	n, err := m.w.Write(p)
	m.sum.Write(p[:n])
	if m.n/meterStep != (m.n+int64(n))/meterStep {
		m.a.progress("%d MiB …", (m.n+int64(n))>>20)
	}
	m.n += int64(n)
	return n, err
}

func (a *app) backupOut(ctx context.Context) error {
	if term.IsTerminal(int(a.stdout.Fd())) {
		return usageError{errors.New("a backup is not for a terminal: give a file, or send it on"), "starling backup"}
	}
	done, err := a.writeBackup(ctx, a.stdout)
	if err != nil {
		return err
	}
	a.stdout = a.stderr // which is where what is said must not be in the way
	return a.report(done, "Wrote %s, %s and %s.", count(done.Bytes, "byte"), count(done.Chats, "chat"), count(done.Contacts, "contact"))
}

// backupTo leaves what was at path untouched until the backup is whole and has
// been read back.
func (a *app) backupTo(ctx context.Context, path string, force bool) error {
	if err := checkTarget(path, force); err != nil {
		return err
	}
	var done backedUp
	err := putFile(path, force, func(f *os.File) (err error) {
		if done, err = a.writeBackup(ctx, f); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return fmt.Errorf("backup: %w", err)
		}
		return readBack(f.Name(), done.sum)
	})
	if _, coded := errors.AsType[*client.Error](err); err != nil && !coded {
		return fmt.Errorf("backup: %w", err)
	} else if err != nil {
		return err
	}
	done.File = path
	return a.report(done, "Backed up %s and %s of %s to %s (%s). Only the recovery words open it.",
		count(done.Chats, "chat"), count(done.Contacts, "contact"), count(done.Devices, "device"), path, count(done.Bytes, "byte"))
}

// checkTarget says whether a backup may go to path.
func checkTarget(path string, force bool) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("backup: %w", err)
	case !info.Mode().IsRegular():
		return client.Errorf(client.CodeExists, "%s is not a file that a backup could replace", path)
	case !force:
		return client.Errorf(client.CodeExists, "%s exists already: give --force to replace it", path)
	}
	return nil
}

// readBack compares what is in the file with what was written. It cannot go
// further and decrypt the content: the key for that is made from the recovery
// words, which no device has. What the content is, restore verifies.
func readBack(path string, want []byte) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read the backup back: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return fmt.Errorf("read the backup back: %w", err)
	}
	if !bytes.Equal(sum.Sum(nil), want) {
		return client.Errorf(client.CodeDamaged, "the backup reads back as something else than was written: the disk is not to be trusted")
	}
	return nil
}
