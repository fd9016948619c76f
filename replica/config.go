package replica

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/store"
	"github.com/starling-sync/starling/replica/store/disk"
)

// Config says how Open opens a replica. Only Identity is required.
type Config struct {
	// Identity is the unlocked device. It is used, not owned.
	Identity *encryption.Identity
	// Network reaches the other devices. Default nil: none, the replica is
	// offline. The replica closes it; when Open fails, the caller does.
	Network Network
	// Store holds the records. Default: Badger in the directory given to
	// Open, encrypted under the identity's keys. The replica closes it.
	Store store.Store
	// Place names where the store lives, in bytes that a copy of it would not
	// have. A store that is opened at another place than before is a copy, or
	// was put back from a backup: it writes as somebody else from then on.
	// Default: what tells the directory of the default store from any other;
	// with a Store, nil, and nothing is noticed.
	Place []byte
	// Generation notices that an older state of the store was put back in its
	// place. Default: nil, that is left to what the other devices know.
	Generation Generation
	// Journal finds what other devices sent that ends the process. The replica
	// closes it. Default: a file beside the default store; with a Store, nil,
	// and what ends the process ends it again.
	Journal Journal
	// Log takes what an operator should see. Default: nothing is logged.
	Log *slog.Logger
	// Clock is the source of the stamps of edits. Default: time.Now.
	Clock func() time.Time
	// Random is the source of nonces. Default: crypto/rand.
	Random io.Reader
}

// Network carries streams to the account's other devices. The replica calls
// Accept from one goroutine, again and again until it fails, and Close once;
// Close ends a waiting Accept.
type Network interface {
	// Accept waits for the next stream to an authenticated member, whoever
	// opened it. The stream is ordered and reliable; closing it from either
	// side, or losing the connection, ends its Reads and Writes. The first
	// call starts looking for devices.
	Accept(ctx context.Context) (io.ReadWriteCloser, encryption.Peer, error)
	Close() error
}

// Refresher is a Network that wants to know that devices were added or removed,
// or that an epoch began. Each call of Refresh is in a goroutine of its own: calls may
// overlap, and one may come after Close.
type Refresher interface{ Refresh() }

// StoreDir is where, within the directory of a replica, its records are.
const StoreDir = "store"

func (c *Config) withDefaults(dir string) (*Config, error) {
	if c == nil || c.Identity == nil {
		return nil, errors.New("replica: Config.Identity is required")
	}
	d := *c
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Clock == nil {
		d.Clock = time.Now
	}
	if d.Random == nil {
		d.Random = rand.Reader
	}
	if d.Store == nil {
		s, err := openDisk(dir, &d)
		if err != nil {
			return nil, err
		}
		d.Store = s
	}
	return &d, nil
}

func openDisk(dir string, c *Config) (store.Store, error) {
	dir = filepath.Join(dir, StoreDir)
	s, err := disk.Open(dir, &disk.Config{
		BadgerKey: c.Identity.BadgerKey().Reveal(),
		RecordKey: c.Identity.RecordKey().Reveal(),
		Log:       c.Log,
	})
	if err != nil {
		return nil, err
	}
	if err := c.beside(dir); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// beside sets what the default store has beside it, what has to be closed last.
func (c *Config) beside(dir string) (err error) {
	if c.Place == nil {
		if c.Place, err = disk.Place(dir); err != nil {
			return err
		}
	}
	if c.Journal == nil {
		c.Journal, err = disk.OpenNotes(dir)
	}
	return err
}
