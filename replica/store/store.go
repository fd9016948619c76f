package store

// Table names one kind of record. All 256 values may be used.
type Table byte

// Limits of one record in bytes. Commit refuses more with ErrTooLarge. A
// batch has no limit but memory: of a very large one a store may hold two
// copies while it commits.
const (
	MaxKey   = 4 << 10
	MaxValue = 8 << 20
)

// Store is an ordered map from (table, key) to value. All methods may be
// called from any number of goroutines, and from within the callback of a
// Scan. After Close every method returns ErrClosed.
type Store interface {
	// Get returns the value of one record, or ErrNotFound, or an error that
	// matches ErrDamaged if there is a record that cannot be trusted. The
	// caller owns the result; an empty value is not nil.
	Get(t Table, key []byte) ([]byte, error)

	// Scan calls fn for the records of t whose keys begin with prefix, from
	// the key from on (nil: from the first; a key outside the prefix is
	// allowed), in the order of keys, out of one consistent snapshot. Key and
	// value are the store's and valid only during the call.
	//
	// When fn returns ErrStop, the scan ends without an error; any other
	// error of fn ends it and is returned.
	//
	// A damaged record is left out and the scan goes on; after its last record
	// Scan returns a *DamagedScan, which matches ErrDamaged and lists what was
	// left out. It is returned also after ErrStop, and joined to an error of fn.
	Scan(t Table, prefix, from []byte, fn func(key, value []byte) error) error

	// Commit applies all of b, or nothing, whatever its size. When it returns
	// nil, b is visible to every later read and survives a crash and a power
	// cut. Commits that wait at the same time are made durable together; they
	// take effect in some order, one after the other. b must not be changed
	// during the call and can be committed again afterwards.
	//
	// After an error nothing of b is visible. ErrDiskFull and ErrTooLarge are
	// found before anything is written: later commits may succeed. After an
	// error of the disk itself it is unknown whether b will be there when the
	// store is opened again (all of it or nothing); until then the store
	// refuses further commits.
	Commit(b *Batch) error

	// Close waits for commits under way, releases everything, and is
	// idempotent. A scan under way ends with ErrClosed or is waited for.
	// A callback of Scan must not call Close.
	Close() error
}
