package change

import (
	"errors"
	"fmt"
)

var errExact = errors.New("a column that is not written as the core does")

// exact reads a column of values that may be null, as runs does, but accepts only
// what runWriter writes: runs as long as they can be, values of a literal run that
// differ from their neighbours, no nulls alone, and as many values as are read. So
// nothing has to be written again to see that.
type exact[T comparable] struct {
	rest reader
	read func(*reader) (T, error)
	most uint64 // values of a run
	left uint64 // of the run
	kind runKind
	last T    // value of this run or of the one before
	near bool // last is that of the value before, and not of one before nulls
	any  bool // there was a value
}

type runKind byte

const (
	runNone runKind = iota
	runLiteral
	runEqual
	runNull
)

// next returns the next value; ok is false for null.
func (c *exact[T]) next() (v T, ok bool, err error) {
	if c.left == 0 {
		if len(c.rest.rest) == 0 {
			if c.kind != runNone {
				return v, false, errExact
			}
			return v, false, nil // there is no such column
		}
		if err := c.begin(); err != nil {
			return v, false, err
		}
	}
	c.left--
	switch c.kind {
	case runNull:
		return v, false, nil
	case runLiteral:
		err = c.value()
	}
	return c.last, err == nil, err
}

// value reads a value that is not the one before.
func (c *exact[T]) value() error {
	v, err := c.read(&c.rest)
	if err == nil && c.near && v == c.last {
		return errExact
	}
	c.last, c.near, c.any = v, true, true
	return err
}

// begin reads the head of a run.
func (c *exact[T]) begin() error {
	n, err := c.rest.int("run length")
	if err != nil {
		return err
	}
	before := c.kind
	switch {
	case n < 0:
		c.kind, c.left = runLiteral, -uint64(n)
	case n > 0:
		c.kind, c.left = runEqual, uint64(n)
		err = c.value()
	default:
		c.kind, c.near = runNull, false
		c.left, err = c.rest.uint(c.most, "run of nulls")
	}
	switch {
	case err != nil:
		return err
	case c.left > c.most:
		return fmt.Errorf("a run of more than %d", c.most)
	case c.left == 0 || n == 1 || c.kind == before && c.kind != runEqual:
		return errExact
	}
	return nil
}

// end says whether all was read.
func (c *exact[T]) end() error {
	if c.left > 0 || len(c.rest.rest) > 0 || c.kind != runNone && !c.any {
		return errExact
	}
	return nil
}

// exactDeltas reads what deltaWriter writes: numbers between low and high.
type exactDeltas struct {
	exact[int64]
	low, high, number int64
}

// next returns the next number; ok is false for null, which is skipped over.
func (c *exactDeltas) next() (v int64, ok bool, err error) {
	d, ok, err := c.exact.next()
	if err != nil || !ok {
		return 0, false, err
	}
	sum := c.number + d
	if (sum > c.number) != (d > 0) || sum < c.low || sum > c.high {
		return 0, false, fmt.Errorf("number %d after %d, want %d to %d", sum, c.number, c.low, c.high)
	}
	c.number = sum
	return sum, true, nil
}

// exactFlags reads what flagWriter writes.
type exactFlags struct {
	rest  reader
	most  uint64
	left  uint64
	value bool
	begun bool
}

func (c *exactFlags) next() (bool, error) {
	for c.left == 0 {
		n, err := c.rest.uint(c.most, "run of truth values")
		if err != nil {
			return false, err
		}
		if n == 0 && c.begun {
			return false, errExact
		}
		c.value = c.begun && !c.value
		c.begun, c.left = true, n
	}
	c.left--
	return c.value, nil
}

func (c *exactFlags) end() error {
	if c.left > 0 || len(c.rest.rest) > 0 {
		return errExact
	}
	return nil
}
