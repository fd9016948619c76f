package core

import "testing"

// What an exchange costs on the stream, as framed: to find out that two
// members are equal, however much they hold, and to pass one live change on.
func TestBytes(t *testing.T) {
	n := newNetwork()
	a, b := n.add("a", identity("a", "ab"), "bytes"), n.add("b", identity("b", "ab"), "bytes")
	a.prints, b.prints = true, true
	a.setPrint()
	b.setPrint()
	s := &scenario{network: n, auto: true}
	talk := func(x, y *end, write uint64) (there, back int) {
		there, back = x.bytes, y.bytes
		a.edits += write
		s.work()
		if err := s.settle(nil); err != nil {
			t.Fatal(err)
		}
		if a.x.Digest() != b.x.Digest() {
			t.Fatal("not equal")
		}
		return x.bytes - there, y.bytes - back
	}
	x, y := n.connect(a, b)
	talk(x, y, 0) // the hellos
	talk(x, y, 100)
	x, y = n.connect(a, b)
	if err := s.settle(nil); err != nil {
		t.Fatal(err)
	}
	t.Logf("equal, 100 changes: %d bytes there, %d back", x.bytes, y.bytes)
	if x.bytes > 64 || y.bytes > 64 || x.bytes == 0 || y.bytes == 0 {
		t.Errorf("equal members say %d and %d bytes, more than 64 each way", x.bytes, y.bytes)
	}
	if there, back := talk(x, y, 0); there+back != 0 {
		t.Errorf("%d and %d bytes without a change", there, back)
	}
	a.hangUp(x)
	b.hangUp(y)
	x, y = n.ends[0], n.ends[1]
	a.bulk = 40 // about what one small change takes beside the numbers
	there, back := talk(x, y, 1)
	t.Logf("one live change: %d bytes there, %d back", there, back)
	if there > 256 || back > 32 || there == 0 || back == 0 {
		t.Errorf("a live change costs %d bytes there and %d back, more than 256 and 32", there, back)
	}
}
