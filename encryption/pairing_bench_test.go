package encryption

import "testing"

// BenchmarkPairing is a whole linking on both sides, with the add operation and
// the welcome, without files and passphrases.
func BenchmarkPairing(b *testing.B) {
	member, joiner := newFounder(b, "laptop", 1), newTestJoiner(b, "phone", 2)
	founded := member.log.clone()
	b.ReportAllocs()
	for b.Loop() {
		member.log = founded.clone()
		p := &pairing{tb: b, now: testTime, codes: pairingCodes, member: member, joiner: joiner}
		p.reopen(1)
		p.untilFinish()
		if err := p.a.Finish(p.finish); err != nil {
			b.Fatal(err)
		}
	}
}
