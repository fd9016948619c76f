package sim

import "testing"

func TestDebug(t *testing.T) {
	w := newWorld(*from, t.Output())
	w.play()
	for _, d := range w.devices {
		tag, ok := d.id.CurrentEpoch()
		t.Logf("%s: %v epoch %v %v, discovery %v, members %d", d.name, d.id.Device(), tag, ok, d.id.DiscoveryEpochs(), len(d.id.Members()))
		t.Logf("   ops%s", short(d.id.Ops()))
		t.Logf("   rec%s", short(d.id.EpochRecords()))
	}
}
