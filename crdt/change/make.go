package change

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// Make returns the change that Parse would return for what Marshal writes: that of
// c.Actor with the number c.Seq, behind c.Deps, which are sorted, at c.Time, with
// these operations from c.StartOp on, whose ids it sets. Every error wraps
// ErrMalformed. It keeps the operations.
func Make(c Change, ops []Op) (Change, error) {
	c.Len = uint64(len(ops))
	if err := c.checkMade(); err != nil {
		return Change{}, fmt.Errorf("make change %d of %x: %w: %w", c.Seq, c.Actor, ErrMalformed, err)
	}
	preds := 0
	for i := range ops {
		o := &ops[i]
		o.ID = OpID{c.StartOp + uint64(i), c.Actor}
		preds += len(o.Pred)
		err := errors.Join(o.refers(), o.check())
		switch {
		case err != nil:
		case len(o.Pred) > MaxActors+1 || preds > MaxPreds:
			err = errors.New("too many predecessors")
		case !utf8.ValidString(o.Key):
			err = errors.New("a key that is not UTF-8")
		}
		if err != nil {
			return Change{}, fmt.Errorf("make change %d of %x: %w: operation %d: %w", c.Seq, c.Actor, ErrMalformed, o.ID.Counter, err)
		}
	}
	c.Actors = actorsOf(c.Actor, ops)
	if len(c.Actors) > MaxActors {
		return Change{}, fmt.Errorf("make change %d of %x: %w: more than %d other actors", c.Seq, c.Actor, ErrMalformed, MaxActors)
	}
	w := opWriters.Get().(*opWriter)
	defer opWriters.Put(w)
	if len(ops) <= fewOps {
		c.ops = ops
	}
	if err := w.write(&c, ops); err != nil {
		return Change{}, fmt.Errorf("make change %d of %x: %w: %w", c.Seq, c.Actor, ErrMalformed, err)
	}
	return c, nil
}

func (c *Change) checkMade() error {
	switch {
	case c.Len == 0:
		return errors.New("no operations")
	case c.Len > MaxOps:
		return fmt.Errorf("more than %d operations", MaxOps)
	case c.Seq == 0 || c.StartOp == 0 || c.Seq > MaxCounter || c.StartOp > MaxCounter || c.LastOp() >= MaxCounter:
		return fmt.Errorf("sequence number %d or start operation %d is not from 1 to %d", c.Seq, c.StartOp, uint64(MaxCounter))
	case len(c.Deps) > MaxDeps:
		return fmt.Errorf("more than %d dependencies", MaxDeps)
	}
	for i := 1; i < len(c.Deps); i++ {
		if c.Deps[i-1].Compare(c.Deps[i]) >= 0 {
			return errors.New("dependencies are not sorted or repeat")
		}
	}
	return nil
}

// write sets what the bytes of c say, whose other fields are set and checked.
func (w *opWriter) write(c *Change, ops []Op) (err error) {
	w.begin(c)
	for i := range ops {
		w.op(&ops[i])
	}
	c.plain, c.Hash = w.chunk(c)
	c.Raw = c.plain
	if len(c.plain) > MaxSize {
		*c, err = parseDeflated(c.plain)
		return err
	}
	at := len(c.plain)
	for i := len(w.columns) - 1; i >= 0; i-- {
		end := at
		at -= len(w.columns[i])
		c.columns[i] = c.plain[at:end:end]
	}
	return nil
}
