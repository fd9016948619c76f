package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/starling-sync/starling/replica/localapi/client"
)

// replaceFile writes a file whole and durably, or leaves the one that is there.
func replaceFile(path string, write func(io.Writer) error) error {
	return putFile(path, true, func(f *os.File) error { return write(f) })
}

// putFile writes a file whole and durably. Without replace one that is there, or
// has come meanwhile, is an error. write gets the file under another name.
func putFile(path string, replace bool, write func(*os.File) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails when it was renamed, which is fine
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := name(f.Name(), path, replace); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// name gives a file its name.
func name(from, to string, replace bool) error {
	if replace {
		return os.Rename(from, to)
	}
	err := os.Link(from, to) // a rename would replace what has come meanwhile
	if errors.Is(err, fs.ErrExist) {
		return client.Errorf(client.CodeExists, "%s exists already: give --force to replace it", to)
	} else if err != nil {
		return os.Rename(from, to) // a file system without links
	}
	return nil
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
