package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/localapi/client"
)

func (a *app) restoreCommand() *cobra.Command {
	r := &restoring{app: a}
	cmd := &cobra.Command{
		Use: "restore FILE --name NAME", Short: "Bring an account back from a backup and the recovery words", Args: cobra.ExactArgs(1),
		Long: "Bring an account back on this new device, from a backup and the recovery words that\ncounted when it was made. All other devices are taken for lost and removed, but for\nthose named with --keep. What was written after the backup is not in it; a device\nthat is kept brings what it has.",
		RunE: a.does(func(ctx context.Context, args []string) error {
			if err := a.canAsk(r.yes, "starling restore"); err != nil {
				return err
			}
			r.file = args[0]
			return r.run(ctx)
		}),
	}
	addWordsFlag(cmd, &r.wordsFile)
	cmd.Flags().StringVar(&r.name, "name", "", "name of this device, as the others see it")
	cmd.Flags().StringArrayVar(&r.keep, "keep", nil, "`ID` of a device that is not lost; may be repeated")
	cmd.Flags().BoolVar(&r.yes, "yes", false, "do not ask before")
	require(cmd, "name")
	return cmd
}

// restoring is one run of restore.
type restoring struct {
	*app
	file, wordsFile, name string
	keep                  []string
	yes                   bool

	words  encryption.RecoveryWords
	backup *encryption.BackupReader // read to its end: it is what its maker signed
	lost   []encryption.Member
}

// run finds out what cannot work, and asks, before it makes anything.
func (r *restoring) run(ctx context.Context) error {
	if err := checkFree(r.dir); err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(r.dir, replica.StoreDir)); err == nil {
		return client.Errorf(client.CodeExists, "%s holds the records of an account already", r.dir)
	}
	if err := r.inspect(ctx); err != nil {
		return err
	}
	return r.inStage(func(stage string, u encryption.Unlock) error { return r.runIn(ctx, stage, u) })
}

// inspect reads the backup to its end, so that all that follows is about what a
// device of the account has signed, and asks.
func (r *restoring) inspect(ctx context.Context) error {
	f, err := os.Open(r.file)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	defer f.Close()
	if r.words, err = r.recoveryWords(r.wordsFile); err != nil {
		return err
	}
	r.progress("Reading %s …", r.file)
	if r.backup, err = encryption.OpenBackup(bufio.NewReader(f), r.words); err != nil {
		return fmt.Errorf("%s: %w", r.file, err)
	}
	for err == nil {
		if err = ctx.Err(); err == nil {
			_, err = r.backup.Next()
		}
	}
	if !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", r.file, err)
	}
	if err := r.choose(); err != nil || r.yes {
		return err
	}
	return r.consent()
}

// choose finds out which devices are lost.
func (r *restoring) choose() error {
	r.lost = r.backup.Members()
	for _, id := range r.keep {
		i := slices.IndexFunc(r.lost, func(m encryption.Member) bool { return m.ID.String() == id })
		if i < 0 {
			return client.Errorf(client.CodeNotFound, "no device %q in the backup", id)
		}
		r.lost = slices.Delete(r.lost, i, i+1)
	}
	return nil
}

func (r *restoring) consent() error {
	m := r.backup.Manifest()
	maker := m.Device.String()
	var rows [][]string
	for _, d := range r.backup.Members() {
		if d.ID == m.Device {
			maker = d.Name
		}
		fate := "stays"
		if slices.ContainsFunc(r.lost, func(l encryption.Member) bool { return l.ID == d.ID }) {
			fate = "is removed, for good"
		}
		rows = append(rows, []string{d.Name, model.Time(d.AddedAt).String(), fate, d.ID.String()})
	}
	if err := r.say("Backup of account %s, made by %s on %s: %s and %s.", m.Account, maker,
		model.TimeOf(m.At), count(m.Chats, "chat"), count(m.Contacts, "contact")); err != nil {
		return err
	}
	if err := r.table([]string{"DEVICE", "ADDED", "", "ID"}, rows, ""); err != nil {
		return err
	}
	return r.confirmed("Restore it on this device?")
}

func (r *restoring) runIn(ctx context.Context, stage string, unlock encryption.Unlock) error {
	id, err := r.backup.Restore(stage, unlock, &encryption.RestoreOptions{Name: r.name, Now: time.Now()})
	if err != nil {
		return err
	}
	e, err := openEngine(ctx, stage, &engineConfig{Identity: id, Offline: true})
	if err != nil {
		return err
	}
	done, err := r.fill(ctx, e)
	if err = errors.Join(err, e.Close()); err != nil {
		return err
	}
	if err := adoptStore(r.dir, stage); err != nil {
		return err
	}
	was := "no device was removed"
	if len(done.Removed) > 0 {
		was = "removed: " + strings.Join(done.Removed, ", ")
	}
	return r.report(done, "Restored account %s on %s with %s and %s; %s.", done.Account, r.name,
		count(done.Chats, "chat"), count(done.Contacts, "contact"), was)
}

// restoredAccount is what restore prints with --json.
type restoredAccount struct {
	Account  string   `json:"account"`
	Device   string   `json:"device"`
	Chats    int      `json:"chats"`
	Contacts int      `json:"contacts"`
	Removed  []string `json:"removed"` // names
}

// fill brings everything in, removes the devices that are lost, and begins an
// epoch that they do not know.
func (r *restoring) fill(ctx context.Context, e *engine) (done restoredAccount, err error) {
	f, err := os.Open(r.file)
	if err != nil {
		return done, fmt.Errorf("backup: %w", err)
	}
	defer f.Close()
	b, err := encryption.OpenBackup(bufio.NewReader(f), r.words)
	if err != nil {
		return done, fmt.Errorf("%s: %w", r.file, err)
	}
	staySmall() // documents are outside of what the runtime counts, and many pass through
	r.progress("Taking in %s …", count(r.backup.Manifest().Envelopes, "envelope"))
	if err := e.replica.Import(ctx, b); err != nil {
		return done, err
	}
	done.Removed = []string{}
	var ids []encryption.DeviceID
	for _, m := range r.lost {
		ids = append(ids, m.ID)
		done.Removed = append(done.Removed, m.Name)
	}
	if len(ids) > 0 {
		if _, err := e.replica.Recover(ctx, r.words, ids...); err != nil {
			return done, err
		}
	}
	if err := e.replica.Rotate(ctx); err != nil {
		return done, err
	}
	s, err := e.Status(ctx)
	done.Account, done.Device, done.Chats, done.Contacts = s.Account, s.Device, s.Counts.Chats, s.Counts.Contacts
	return done, err
}

// adoptStore moves the account in stage into dir. The identity comes last: it is
// what makes a directory hold an account.
func adoptStore(dir, stage string) error {
	if err := os.Rename(filepath.Join(stage, replica.StoreDir), filepath.Join(dir, replica.StoreDir)); err != nil {
		return fmt.Errorf("move the records in place: %w", err)
	}
	err := adopt(dir, stage)
	if err != nil {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, replica.StoreDir)))
	}
	if errors.Is(err, fs.ErrExist) {
		return client.Errorf(client.CodeExists, "another account was begun in %s", dir)
	}
	return err
}
