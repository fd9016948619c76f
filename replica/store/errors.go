package store

import (
	"errors"
	"fmt"
)

// Errors that callers branch on, with errors.Is.
var (
	ErrNotFound = errors.New("store: no such record")
	ErrInUse    = errors.New("store: in use by another process")
	ErrDiskFull = errors.New("store: disk is full")
	ErrDamaged  = errors.New("store: damaged")
	ErrReadOnly = errors.New("store: directory cannot be written")
	ErrClosed   = errors.New("store: closed")
	ErrTooLarge = errors.New("store: key or value too large")
	ErrWrongKey = errors.New("store: wrong encryption key")
	ErrNewer    = errors.New("store: written by a newer version of starling")

	// ErrStop is returned by the callback of a Scan to end it.
	ErrStop = errors.New("store: stop the scan")
)

// MaxDamagedListed is how many records a DamagedScan lists; the others it
// only counts.
const MaxDamagedListed = 1024

// DamagedError names a record that exists and cannot be trusted. It matches
// ErrDamaged.
type DamagedError struct {
	Table Table
	Key   []byte // owned by the error
	Err   error  // what is wrong with it; may be nil
}

// Error names table and key in hexadecimal digits: a key may hold anything.
func (e *DamagedError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("store: damaged record: table %02x key %x", byte(e.Table), e.Key)
	}
	return fmt.Sprintf("store: damaged record: table %02x key %x: %v", byte(e.Table), e.Key, e.Err)
}

func (e *DamagedError) Unwrap() error        { return e.Err }
func (e *DamagedError) Is(target error) bool { return target == ErrDamaged }

// DamagedScan is what a Scan left out. It matches ErrDamaged, and its records
// can be had with errors.As, which finds the first, or from Records.
type DamagedScan struct {
	Records []*DamagedError // in the order of keys, at most MaxDamagedListed
	Count   int             // of all damaged records that the scan met
	// Err is not nil if the scan ended early because the store could not go
	// on, so that any number of records after the last one seen are missing.
	Err error
}

// Add counts one more damaged record.
func (e *DamagedScan) Add(record *DamagedError) {
	e.Count++
	if len(e.Records) < MaxDamagedListed {
		e.Records = append(e.Records, record)
	}
}

// OrNil is e as an error, or nil if nothing was damaged.
func (e *DamagedScan) OrNil() error {
	if e.Count == 0 && e.Err == nil {
		return nil
	}
	return e
}

func (e *DamagedScan) Error() string {
	switch {
	case e.Err != nil:
		return fmt.Sprintf("store: scan ended early, %d damaged records before: %v", e.Count, e.Err)
	case e.Count == 1:
		return e.Records[0].Error()
	case e.Count > 1:
		return fmt.Sprintf("%v and %d more", e.Records[0], e.Count-1)
	}
	return "store: nothing damaged"
}

func (e *DamagedScan) Is(target error) bool { return target == ErrDamaged }

func (e *DamagedScan) Unwrap() []error {
	var errs []error
	for _, r := range e.Records {
		errs = append(errs, r)
	}
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	return errs
}
