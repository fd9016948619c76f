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
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
