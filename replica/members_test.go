package replica_test

import (
	"testing"
	"testing/synctest"

	"github.com/starling-sync/starling/crdt/model"
)

// Devices are added while ListDevices waits for its turn.
func TestListDevicesWhileDevicesAreAdded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := single(t)
		gate := hold(d)
		added := make(chan error, 2)
		for range 2 {
			req := request(t)
			go func() {
				_, err := d.AddDevice(t.Context(), req)
				added <- err
			}()
			synctest.Wait() // the first is being written, the second waits behind it
		}
		listed := make(chan []model.Device)
		go func() {
			devices, err := d.ListDevices(t.Context())
			if err != nil {
				t.Error(err)
			}
			listed <- devices
		}()
		synctest.Wait()
		close(gate.free)
		devices := <-listed
		if len(devices) == 0 || !devices[0].Self && len(devices) == 1 {
			t.Errorf("devices are %+v", devices)
		}
		try(t, <-added)
		try(t, <-added)
		devices, err := d.ListDevices(t.Context())
		if err != nil || len(devices) != 3 {
			t.Errorf("devices are %+v, %v", devices, err)
		}
		try(t, d.Close())
	})
}
