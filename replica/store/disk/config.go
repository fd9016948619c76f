package disk

import (
	"errors"
	"log/slog"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// DefaultReserve is the free space in bytes that commits leave on the disk. It
// is what Badger may write by itself after the last commit: two memtables of
// 7 MiB become tables, five such tables are merged with about 10 MiB below.
const DefaultReserve = 64 << 20

// Sizes of Badger in bytes, chosen for a small resident set. They do not
// affect what is on disk. A transaction may fill 15 % of a memtable, and
// valueThreshold must not be more than that, nor more than 1 MiB. It is as
// high as it can be, because deleted values leave the value log late.
const (
	memTableSize   = 7 << 20
	baseTableSize  = 1 << 20
	valueLogSize   = 16 << 20
	valueThreshold = 1 << 20
	blockCacheSize = 2 << 20
	indexCacheSize = 2 << 20
)

// Config says how Open opens a store. The two keys are required; of every
// other field zero is the default.
type Config struct {
	// BadgerKey encrypts the files (AES-256), RecordKey seals each record
	// (XChaCha20-Poly1305). Both are random and belong to this store alone;
	// all zeroes is refused.
	BadgerKey, RecordKey [32]byte

	// Reserve is the free space in bytes that a commit must leave; Open and Close
	// need half of it, so that a store on a full disk can still be read. Zero is
	// DefaultReserve. With much less, a full disk kills the process: Badger
	// writes through memory maps.
	Reserve uint64

	// FreeSpace returns the bytes that this process may still write on the
	// file system of dir. Nil asks the operating system.
	FreeSpace func(dir string) (uint64, error)

	// Log receives what Badger reports, at the levels debug and warn. Nil
	// discards it.
	Log *slog.Logger

	// step is called between the steps of a commit through the journal. An
	// error is a crash at that moment; nil is none. For tests.
	step func(name string) error
}

// validate returns a copy with the defaults filled in.
func (c *Config) validate() (*Config, error) {
	if c == nil || c.BadgerKey == [32]byte{} || c.RecordKey == [32]byte{} {
		return nil, errors.New("disk: both keys are required")
	}
	out := *c
	if out.Reserve == 0 {
		out.Reserve = DefaultReserve
	}
	if out.FreeSpace == nil {
		out.FreeSpace = freeSpace
	}
	if out.Log == nil {
		out.Log = slog.New(slog.DiscardHandler)
	}
	return &out, nil
}

func (c *Config) badger(dir string) badger.Options {
	return badger.DefaultOptions(dir).
		WithLogger(&logger{c.Log}).
		WithSyncWrites(true).
		WithDetectConflicts(false). // there is one writer
		WithEncryptionKey(c.BadgerKey[:]).
		WithCompression(options.None). // sealed values do not compress
		WithMetricsEnabled(false).
		WithMemTableSize(memTableSize).
		WithNumMemtables(2).
		WithNumLevelZeroTables(2).
		WithNumLevelZeroTablesStall(5).
		WithNumCompactors(2).
		WithBaseTableSize(baseTableSize).
		WithValueThreshold(valueThreshold).
		WithValueLogFileSize(valueLogSize).
		WithBlockCacheSize(blockCacheSize).
		WithIndexCacheSize(indexCacheSize)
}
