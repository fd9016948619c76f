package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// checkFree says whether an account can begin in dir.
func checkFree(dir string) error {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil // whoever makes it finds out why it cannot be made
	}
	if encryption.Exists(dir) {
		return client.Errorf(client.CodeExists, "%s holds an account already", dir)
	}
	return nil
}

// inNewDir runs make, which leaves an account in this device's directory that u
// opens. If it fails, the directory is left as it was.
func (a *app) inNewDir(make func(u encryption.Unlock) error) error {
	if err := checkFree(a.dir); err != nil {
		return err
	}
	undoDir, err := makeDir(a.dir)
	if err != nil {
		return err
	}
	unlock, undoKey, err := a.unlockNew()
	if err == nil {
		err = make(unlock)
	}
	if err != nil {
		undoKey()
		undoDir()
	}
	return err
}

// inStage is inNewDir for what makes the account in a directory within, and moves
// it in place last.
func (a *app) inStage(make func(stage string, u encryption.Unlock) error) error {
	return a.inNewDir(func(u encryption.Unlock) error {
		stage, err := os.MkdirTemp(a.dir, ".new-*")
		if err != nil {
			return err
		}
		err = make(stage, u)
		if e := os.RemoveAll(stage); err != nil { // once the account is in place, what is left is of no harm
			err = errors.Join(err, e)
		}
		return err
	})
}

// makeDir makes dir and what is missing above it. undo removes what was made
// and is empty again.
func makeDir(dir string) (undo func(), err error) {
	var made []string
	undo = func() {
		for _, d := range made {
			_ = os.Remove(d) // not empty: somebody uses it
		}
	}
	for d := filepath.Clean(dir); ; d = filepath.Dir(d) {
		if _, err := os.Lstat(d); !errors.Is(err, fs.ErrNotExist) || d == filepath.Dir(d) {
			break
		}
		made = append(made, d)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		undo()
		return undo, fmt.Errorf("make %s: %w", dir, err)
	}
	return undo, nil
}

// adopt moves the files of stage into dir, none of which may exist there.
func adopt(dir, stage string) error {
	entries, err := os.ReadDir(stage)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Link(filepath.Join(stage, e.Name()), filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return syncDir(dir)
}
