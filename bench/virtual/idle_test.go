package virtual_test

import (
	"testing"
	"time"
)

// TestIdleDay: what a day without an edit costs on the network, for two devices that
// are connected and for one that looks for another in vain.
func TestIdleDay(t *testing.T) {
	t.Parallel()
	t.Run("connected", func(t *testing.T) {
		play(t, 2, memory, func(w *world) {
			w.devices[0].edit()
			w.converge(redial + transfer)
			w.idle(day, 3<<20) // a sign of life each way every ten seconds: four packets of 34 bytes
		})
	})
	t.Run("alone", func(t *testing.T) {
		play(t, 2, memory, func(w *world) {
			w.devices[1].stop()
			w.idle(day, 8<<20)
		})
	})
}

// idle lets time pass and fails the test if more than so many bytes are sent.
func (w *world) idle(d time.Duration, most int) {
	w.Helper()
	before := w.net.Sent()
	w.pass(d)
	sent := w.net.Sent()
	bytes, packets := sent.Bytes-before.Bytes, sent.Packets-before.Packets
	w.Logf("%d bytes in %d packets in %v", bytes, packets, d)
	if bytes > most {
		w.Errorf("%d bytes in %v of silence, at most %d are expected", bytes, d, most)
	}
}
