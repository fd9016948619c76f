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

// benchWorld is a log of 1,000 operations: devices come and go, and each that
// stays acknowledges. So it has as many removals as a log of this size can.
func benchWorld(b *testing.B) *Identity {
	id := newFounder(b, "laptop", 1)
	j := newTestJoiner(b, "phone", 2)
	for i := 0; len(id.log.ops) < 1000; i++ {
		op := add(b, id, j.Request(Hash{byte(i), byte(i >> 8)}))
		if i%3 != 0 || len(id.log.resolved.members) > 8 {
			removed(b, id, deviceID(op))
		}
	}
	return id
}

func BenchmarkMembers1000(b *testing.B) {
	ops := benchWorld(b).log.ops
	all := firstOf(len(ops))
	b.ReportAllocs()
	for b.Loop() {
		if got := resolve(ops, all); len(got.removals) < 400 {
			b.Fatal(len(got.removals))
		}
	}
}

func BenchmarkAdmit1000(b *testing.B) {
	id := benchWorld(b)
	ops := id.Ops()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := newLog(id.account).admit(ops); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(len(ops)), "µs/op")
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

// benchTeam is an account of n devices, each with keys of its own.
func benchTeam(b *testing.B, n int) *Identity {
	id := newFounder(b, "laptop", 1)
	for i := 1; i < n; i++ {
		add(b, id, newTestJoiner(b, "phone", byte(i+1)).Request(Hash{byte(i)}))
	}
	return id
}

func BenchmarkRotation(b *testing.B) {
	for _, n := range []int{1, 8, 64} {
		id := benchTeam(b, n)
		b.Run(fmt.Sprintf("devices=%d", n), func(b *testing.B) {
			for b.Loop() {
				_, record, err := id.PrepareEpoch(testTime, nil)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(len(record)), "B/record")
			}
		})
	}
}

// BenchmarkReopen100Epochs is what the epochs add to a start: everything comes
// from the store, and the file holds the first epoch alone.
func BenchmarkReopen100Epochs(b *testing.B) {
	id, f := newFoundation(b, "laptop", 1)
	for i := range 7 {
		add(b, id, newTestJoiner(b, "phone", byte(i+2)).Request(Hash{byte(i)}))
	}
	for range 100 {
		rotate(b, id)
	}
	ops, records := id.Ops(), id.EpochRecords()
	size := 0
	for _, r := range records {
		size += len(r)
	}
	var again *Identity
	for b.Loop() {
		b.StopTimer()
		var err error
		if again, err = newIdentity(f.stored); err != nil {
			b.Fatal(err)
		}
		if _, err := again.Admit(ops...); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if _, err := again.AdmitEpochs(records...); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(size)/101, "B/record")
	b.ReportMetric(float64(len(records[100])), "B/last-record")
	if len(again.ring.secrets) != 101 {
		b.Fatalf("%d epochs open", len(again.ring.secrets))
	}
}

func BenchmarkRewrap(b *testing.B) {
	id := benchTeam(b, 2)
	late := id.Members()
	for b.Loop() {
		records, err := id.PrepareRewrap(nil, late[0].ID, late[1].ID)
		if err != nil || len(records) != 1 {
			b.Fatal(len(records), err)
		}
		b.ReportMetric(float64(len(records[0])), "B/record")
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
