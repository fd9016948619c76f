package client

import "github.com/starling-sync/starling/crdt/model"

// Device is a model.Device as it travels: with LastHeard, which the JSON of
// the view itself leaves out.
type Device struct {
	model.Device
	LastHeard model.Time `json:"last_heard,omitzero"`
}

// DeviceOf returns what travels for d.
func DeviceOf(d model.Device) Device { return Device{Device: d, LastHeard: d.LastHeard} }

// View returns the device that travelled.
func (d Device) View() model.Device {
	d.Device.LastHeard = d.LastHeard
	return d.Device
}
