package disk

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// notesName is a file beside Badger's.
const notesName = "applying"

// maxNotes bounds how many notes are read.
const maxNotes = 1 << 16

// Notes is a file of hashes that outlives the process: what is noted is in the
// system's hands when Begin returns, and not synced, so that it costs a few
// microseconds. A power cut can lose or garble it. It is not safe for concurrent
// use.
type Notes struct {
	file *os.File
	n    int64
}

// OpenNotes opens the notes of a store's directory, and makes them if there are
// none. Whoever has the store open has them.
func OpenNotes(dir string) (*Notes, error) {
	f, err := os.OpenFile(filepath.Join(dir, notesName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open notes: %w", err)
	}
	return &Notes{file: f}, nil
}

// Left returns what was noted last. A part of a hash does not count.
func (n *Notes) Left() (hashes [][32]byte, err error) {
	raw, err := io.ReadAll(io.NewSectionReader(n.file, 0, maxNotes*32))
	if err != nil {
		return nil, fmt.Errorf("read notes: %w", err)
	}
	for ; len(raw) >= 32; raw = raw[32:] {
		hashes = append(hashes, [32]byte(raw))
	}
	return hashes, nil
}

// Begin notes one more.
func (n *Notes) Begin(hash [32]byte) error {
	if _, err := n.file.WriteAt(hash[:], n.n); err != nil {
		return fmt.Errorf("write a note: %w", err)
	}
	n.n += int64(len(hash))
	return nil
}

// End forgets all.
func (n *Notes) End() error {
	n.n = 0
	if err := n.file.Truncate(0); err != nil {
		return fmt.Errorf("clear the notes: %w", err)
	}
	return nil
}

// Close keeps what is noted.
func (n *Notes) Close() error { return n.file.Close() }
