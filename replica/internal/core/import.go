package core

import (
	"errors"
	"fmt"

	"github.com/starling-sync/starling/encryption"
)

// Import offers an envelope that no device sent: it comes out of a backup. From
// there on it goes the way of all others, so that Next verifies it. It returns
// the writer and number that the envelope claims.
func (l *Ledger) Import(raw []byte) (encryption.WriterID, uint64, error) {
	w, seq, err := l.offer(source{}, raw)
	if errors.Is(err, errDuplicate) {
		err = nil
	}
	return w, seq, err
}

// Holds says whether an envelope is durable here, as far as can be seen: it is
// the last one of its writer, or an earlier one.
func (l *Ledger) Holds(d encryption.Dep) bool {
	c := l.durable[d.Writer]
	return c.Seq > d.Seq || c.Seq == d.Seq && c.Head == d.Head
}

// WhyNot says why an envelope that was imported is not durable.
func (l *Ledger) WhyNot(raw []byte) error {
	u, err := l.id.OpenEnvelope(raw)
	if err != nil {
		return err
	}
	if err := l.frozen[u.Writer]; err != nil {
		return err
	}
	if _, _, err := u.Verify(l.id, l.prior(u.Writer)); err != nil {
		return err
	}
	return fmt.Errorf("envelope %d of writer %s comes before what it depends on", u.Seq, u.Writer)
}
