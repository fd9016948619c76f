package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/p2p"
	"github.com/starling-sync/starling/replica"
)

// lateReplica gives the network what it needs of a replica that is opened
// after it: a place for addresses and for membership operations. Calls wait
// until the replica is open, or has failed to.
type lateReplica struct {
	known   []p2p.Entry // read-only
	ready   chan struct{}
	replica *replica.Replica // nil when it failed; read-only once ready is closed
}

var errNotOpened = errors.New("the replica did not open")

func newLateReplica(known []p2p.Entry) *lateReplica {
	return &lateReplica{known: known, ready: make(chan struct{})}
}

// opened must be called once; r is nil after a failure.
func (l *lateReplica) opened(r *replica.Replica) {
	l.replica = r
	close(l.ready)
}

func (l *lateReplica) wait() (*replica.Replica, error) {
	<-l.ready
	if l.replica == nil {
		return nil, errNotOpened
	}
	return l.replica, nil
}

// admit hands over membership operations that came with a hello. What does
// not hold is refused there and noted by the replica.
func (l *lateReplica) admit(ops [][]byte) {
	if r, err := l.wait(); err == nil {
		_ = r.AdmitMembers(context.Background(), ops)
	}
}

// addressBook is the device-local map that remembers addresses.
const addressBook = "addresses"

type bookEntry struct {
	Addrs    []string  `json:"addrs"`
	LastSeen time.Time `json:"last_seen"`
}

// Load implements p2p.AddressBook.
func (l *lateReplica) Load() ([]p2p.Entry, error) {
	r, err := l.wait()
	if err != nil {
		return nil, err
	}
	entries := append([]p2p.Entry(nil), l.known...)
	err = r.Local(addressBook).All(func(key string, value []byte) error {
		device, err := encryption.ParseDeviceID(key)
		if err != nil {
			return fmt.Errorf("address book: %w", err)
		}
		var e bookEntry
		if err := json.Unmarshal(value, &e); err != nil {
			return fmt.Errorf("address book: device %s: %w", key, err)
		}
		entries = append(entries, p2p.Entry{Device: device, Addrs: e.Addrs, LastSeen: e.LastSeen})
		return nil
	})
	return entries, err
}

// Save implements p2p.AddressBook.
func (l *lateReplica) Save(e p2p.Entry) error {
	r, err := l.wait()
	if err != nil {
		return err
	}
	raw, err := json.Marshal(bookEntry{Addrs: e.Addrs, LastSeen: e.LastSeen})
	if err != nil {
		return err
	}
	return r.Local(addressBook).Put(context.Background(), e.Device.String(), raw)
}
