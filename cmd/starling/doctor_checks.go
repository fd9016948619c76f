package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/localapi/client"
	"github.com/starling-sync/starling/replica/store/disk"
)

// The names of the checks that need no store.
const (
	checkDirectory = "directory"
	checkSpace     = "free space"
	checkIdentity  = "identity"
	checkDaemon    = "daemon"
	checkLeftovers = "leftovers"
	checkStore     = "store"
)

// checkDirectory says who can read and write the directory.
func (d *doctor) checkDirectory() (finding, error) {
	f := finding{Check: checkDirectory, Result: resultOK, Text: d.dir + " can be written, and read by you only"}
	bad := func(err error) (finding, error) {
		f.Result, f.Text, f.code = resultProblem, d.dir+" cannot be used: "+plainCause(err), codeOf(err)
		f.Advice = "Nothing can be saved until this user can write there. Restore its owner and permissions,\nor free the disk of its write protection."
		return f, nil
	}
	info, err := os.Stat(d.dir)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: d.dir, Err: errors.New("it is no directory")}
	}
	if err != nil {
		return bad(err)
	}
	for _, dir := range []string{d.dir, filepath.Join(d.dir, replica.StoreDir)} {
		probe, err := os.CreateTemp(dir, "probe-*.tmp")
		if errors.Is(err, fs.ErrNotExist) && dir != d.dir {
			continue // there is no store; that is for another check
		}
		if err == nil {
			err = errors.Join(probe.Close(), os.Remove(probe.Name()))
		}
		if err != nil && codeOf(err) != client.CodeDiskFull {
			return bad(err)
		}
	}
	if info.Mode().Perm()&0o077 != 0 {
		f.Result, f.Text = resultNote, fmt.Sprintf("other users of this machine may look into %s (mode %04o)", d.dir, info.Mode().Perm())
		f.Advice = "What is in it is encrypted. To keep them out: chmod 700 " + d.dir
	}
	return f, nil
}

// plainCause is an error without its operation and path.
func plainCause(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return oneLine(err.Error())
}

// checkSpace compares what is free with what the store leaves free.
func (d *doctor) checkSpace() (finding, error) {
	f := finding{Check: checkSpace, Result: resultOK}
	free, err := disk.FreeSpace(d.dir)
	if err != nil {
		f.Result, f.Text, f.code = resultProblem, "it cannot be asked for: "+oneLine(err.Error()), codeOf(err)
		return f, nil
	}
	const mib = 1 << 20
	f.Text = fmt.Sprintf("%d MiB, of which %d are kept as a reserve", free/mib, uint64(disk.DefaultReserve)/mib)
	if free < disk.DefaultReserve {
		f.Result, f.code = resultProblem, client.CodeDiskFull
		f.Text = fmt.Sprintf("the disk is full: %d MiB are free, and %d must be", free/mib, uint64(disk.DefaultReserve)/mib)
		f.Advice = "Nothing new is saved until there is room. Nothing that was saved is lost by it.\nDelete something else on this disk, then run starling doctor again."
	}
	return f, nil
}

// checkIdentity opens the file with this device's keys.
func (d *doctor) checkIdentity() (finding, error) {
	f := finding{Check: checkIdentity, Result: resultOK}
	err := d.unlocked()
	if err == nil {
		f.Text = "the keys of this device open"
		if exposed, e := encryption.KeyFileExposed(d.keyFile); d.keyFile != "" && e == nil && exposed {
			f.Result, f.Text = resultNote, fmt.Sprintf("the keys open, and other users of this machine may read %s", d.keyFile)
			f.Advice = "Whoever has it and this directory can read everything: chmod 600 " + d.keyFile
		}
		return f, nil
	}
	f.Result, f.code, f.Details = resultProblem, codeOf(err), []string{err.Error()}
	switch {
	case errors.Is(err, encryption.ErrWrongUnlock):
		f.Text = "the keys of this device do not open: the passphrase or key is another one, or the file is damaged"
		f.Advice = "The two cannot be told apart. With the right passphrase or key file it is the file\n" + identityLost(d.dir)
	case errors.Is(err, encryption.ErrDamaged):
		f.Text = "the file with the keys of this device is damaged"
		f.Advice = "Without it nothing here can be read.\n" + identityLost(d.dir)
	default:
		return f, err // of the flags, or of the person who was asked
	}
	return f, nil
}

// identityLost says what is left to do.
func identityLost(dir string) string {
	return fmt.Sprintf("%s: put a copy of it back if there is one. If there is none, remove this\ndevice on another one (starling devices remove) and link it anew in an empty directory.\nWhere this was the only device, starling restore brings back what a backup has.", filepath.Join(dir, "identity"))
}

// leftover is a file that is there for no good reason.
type leftover struct{ pattern, what string }

var leftovers = []leftover{
	{"daemon.json", "says where a daemon is that was killed; the next starling up replaces it"},
	{".identity-*", "half of a change of the passphrase that was interrupted; it may be deleted"},
	{".new-*", "half of an account that was begun or restored and interrupted; it may be deleted"},
	{buildingDir, "half of a repair that was interrupted; the next repair replaces it"},
	{filepath.Join(replica.StoreDir, "*.tmp"), "half of a file of the store; it may be deleted"},
	{damagedPrefix + "*", "a store that a repair has set aside; it may be deleted once all devices are equal again"},
}

// checkLeftovers names what crashes and repairs have left. None of it is used.
func (d *doctor) checkLeftovers() finding {
	f := finding{Check: checkLeftovers, Result: resultOK, Text: "nothing is left of crashes or repairs"}
	n := 0
	for _, l := range leftovers {
		found, err := filepath.Glob(filepath.Join(d.dir, l.pattern))
		if err != nil {
			continue // the patterns are constant, and the directory has no meta characters then
		}
		for _, path := range found {
			n++
			name, err := filepath.Rel(d.dir, path)
			if err != nil {
				name = path
			}
			f.Details = append(f.Details, name)
			f.Advice += name + ": " + l.what + "\n"
		}
	}
	switch {
	case n == 1:
		f.Result, f.Text = resultNote, f.Details[0]+" is not used any more"
	case n > 1:
		f.Result, f.Text = resultNote, fmt.Sprintf("%d files or directories are not used any more", n)
	}
	f.Advice = strings.TrimSpace(f.Advice)
	return f
}
