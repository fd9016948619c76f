package disk

import (
	"testing"

	"github.com/starling-sync/starling/replica/store"
	"github.com/starling-sync/starling/replica/store/storetest"
)

func testConfig() *Config {
	c := &Config{}
	copy(c.BadgerKey[:], "a key for badger, of 32 bytes...")
	copy(c.RecordKey[:], "a key for records, of 32 bytes..")
	return c
}

func TestConforms(t *testing.T) {
	storetest.Run(t, true, func(t *testing.T) storetest.Place {
		dir := t.TempDir()
		return func() (store.Store, error) {
			s, err := Open(dir, testConfig())
			if err != nil {
				return nil, err // not a nil *Store in an interface
			}
			return s, nil
		}
	})
}
