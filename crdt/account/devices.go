package account

import (
	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/model"
)

// deviceNames are registers by the device's id.
var deviceNames = crdt.StampRegister[string]{Field: "name", Valid: func(s string) bool {
	return model.Edit{Op: model.DeviceRename, ID: noDevice, Name: &s}.Validate() == nil
}}

const noDevice = "00000000000000000000000000000000"

// ViewDevices returns the names that were given to devices, sorted by id.
// Which devices are members is not decided here.
func ViewDevices(d *crdt.Document) []model.DeviceName {
	list := []model.DeviceName{}
	for _, id := range d.Elements(deviceNames.Field) {
		if name, ok := deviceNames.Get(d, id); ok && model.CheckDeviceID(id) == nil {
			list = append(list, model.DeviceName{ID: id, Name: name})
		}
	}
	return list
}

func renameDevice(e *crdt.Edit, m model.Edit) error { return choose(e, deviceNames, m.ID, *m.Name) }
