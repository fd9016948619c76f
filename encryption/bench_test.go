package encryption

import (
	"fmt"
	"testing"
)

func BenchmarkSealEnvelope(b *testing.B) {
	id := newFounder(b, "laptop", 1)
	for _, size := range []int{100, 4 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			w, random := newTestWriter(id, 1), seeded(2)
			c := w.content(make([]byte, size))
			b.ReportAllocs()
			for b.Loop() {
				raw, _, err := id.SealEnvelope(random, c, Hash{})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(len(raw)), "B/envelope")
			}
		})
	}
}

func BenchmarkOpenEnvelope(b *testing.B) {
	id := newFounder(b, "laptop", 1)
	for _, size := range []int{100, 4 << 10, 64 << 10} {
		raw := newTestWriter(id, 1).seal(b, make([]byte, size))
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := receive(id, new(*Chain), raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func benchLog(b *testing.B, devices int) *Identity {
	id := newFounder(b, "laptop", 1)
	j := newTestJoiner(b, "phone", 2)
	for i := range devices - 1 {
		add(b, id, j.Request(Hash{byte(i)}))
	}
	return id
}

func BenchmarkAdmit(b *testing.B) {
	id := benchLog(b, MaxDevices)
	ops := id.Ops()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := newLog(id.account).admit(ops); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(len(ops)), "µs/op")
}

func BenchmarkMembers(b *testing.B) {
	id := benchLog(b, MaxDevices)
	b.ReportAllocs()
	for b.Loop() {
		if got := resolve(id.log.ops, firstOf(len(id.log.ops))); len(got.members) != MaxDevices {
			b.Fatal(len(got.members))
		}
	}
}

func BenchmarkHello(b *testing.B) {
	x := newFounder(b, "laptop", 1)
	y := link(b, x, "phone", 2)
	b.ReportAllocs()
	for b.Loop() {
		i, r := helloPair(x, y, 1)
		if _, err := runHello(i, r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWelcome(b *testing.B) {
	id := newFounder(b, "laptop", 1)
	j := newTestJoiner(b, "phone", 2)
	r := j.Request(Hash{1})
	add(b, id, r)
	for b.Loop() {
		raw, err := id.Welcome(r)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(raw)), "B/welcome")
	}
}

func BenchmarkUnlockPassphrase(b *testing.B) {
	h := &boxHeader{KDF: kdfPassphrase, Cost: defaultCost}
	for b.Loop() {
		if _, err := UnlockPassphrase([]byte("x")).wrappingKey(h); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenIdentity(b *testing.B) {
	dir := b.TempDir()
	if _, _, err := Create(dir, testKey(), &CreateOptions{Name: "laptop", Now: testTime}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := OpenIdentity(dir, testKey()); err != nil {
			b.Fatal(err)
		}
	}
}
