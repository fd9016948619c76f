package change

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// runs reads a column of values that may be null, as runs of equal values, runs
// of different ones, and runs of nulls. Behind its end everything is null.
type runs[T any] struct {
	rest    reader
	read    func(*reader) (T, error)
	left    uint64 // of the run
	literal bool
	null    bool
	value   T
}

// more says whether there are values that were written.
func (c *runs[T]) more() bool { return c.left > 0 || len(c.rest.rest) > 0 }

// next returns the next value; ok is false for null.
func (c *runs[T]) next() (v T, ok bool, err error) {
	if !c.more() {
		return v, false, nil
	}
	if c.left == 0 {
		if err := c.begin(); err != nil {
			return v, false, err
		}
	}
	c.left--
	if c.null {
		return v, false, nil
	}
	if c.literal {
		c.value, err = c.read(&c.rest)
	}
	return c.value, err == nil, err
}

var errRun = errors.New("a run of no length")

// begin reads the head of a run.
func (c *runs[T]) begin() error {
	n, err := c.rest.int("run length")
	if err != nil {
		return err
	}
	c.literal, c.null = n < 0, n == 0
	switch {
	case n < 0:
		c.left = uint64(-n)
	case n > 0:
		c.left = uint64(n)
		c.value, err = c.read(&c.rest)
	default:
		c.left, err = c.rest.uint(MaxOps, "run of nulls")
	}
	if err == nil && c.left == 0 {
		return errRun
	}
	if c.left > MaxOps {
		return fmt.Errorf("a run of more than %d", MaxOps)
	}
	return err
}

func readNumber(r *reader) (uint64, error) { return r.uint(MaxInflated<<4|15, "number") }
func readDelta(r *reader) (int64, error)   { return r.int("difference") }

func readText(r *reader) (string, error) {
	b, err := r.bytes(MaxInflated, "text")
	if err == nil && !utf8.Valid(b) {
		return "", errors.New("text is not UTF-8")
	}
	return string(b), err
}

// deltas reads a column of numbers that are written as differences.
type deltas struct {
	runs[int64]
	last int64
}

// next returns the next number; ok is false for null, which is skipped over.
func (c *deltas) next() (v uint64, ok bool, err error) {
	d, ok, err := c.runs.next()
	if err != nil || !ok {
		return 0, false, err
	}
	if c.last += d; c.last < 0 || c.last > MaxCounter {
		return 0, false, fmt.Errorf("number %d, want 0 to %d", c.last, int64(MaxCounter))
	}
	return uint64(c.last), true, nil
}

// flags reads a column of truth values: lengths of runs, of which the first is
// false.
type flags struct {
	rest  reader
	left  uint64
	value bool
	begun bool
}

func (c *flags) next() (bool, error) {
	for c.left == 0 {
		if len(c.rest.rest) == 0 {
			return false, errors.New("the column of truth values is too short")
		}
		n, err := c.rest.uint(MaxOps, "run of truth values")
		if err != nil {
			return false, err
		}
		if n == 0 && c.begun {
			return false, errRun
		}
		c.value = c.begun && !c.value
		c.begun, c.left = true, n
	}
	c.left--
	return c.value, nil
}

// runWriter writes what runs reads, in the one way in which the core does.
type runWriter[T comparable] struct {
	out   []byte
	write func([]byte, T) []byte
	equal uint64 // length of a run of last
	last  T
	own   []T    // a run of different values
	nulls uint64 // a run of nulls
}

func (w *runWriter[T]) value(v T) {
	if w.nulls > 0 {
		w.flush()
	}
	switch n := len(w.own); {
	case w.equal > 0 && w.last == v:
		w.equal++
	case w.equal > 0:
		w.flush()
		w.own = append(w.own, v)
	case n > 0 && w.own[n-1] == v:
		w.own = w.own[:n-1]
		w.flush()
		w.last, w.equal = v, 2
	default:
		w.own = append(w.own, v)
	}
}

func (w *runWriter[T]) null() {
	if w.nulls == 0 {
		w.flush()
	}
	w.nulls++
}

// flush ends the run. One of them is not empty at the most.
func (w *runWriter[T]) flush() {
	switch {
	case w.nulls > 0:
		w.out = appendUint(append(w.out, 0), w.nulls)
	case w.equal > 0:
		w.out = w.write(appendInt(w.out, int64(w.equal)), w.last)
	case len(w.own) > 0:
		w.out = appendInt(w.out, -int64(len(w.own)))
		for _, v := range w.own {
			w.out = w.write(w.out, v)
		}
	}
	w.nulls, w.equal, w.own = 0, 0, w.own[:0]
}

// finish returns the column; it is empty if all is null.
func (w *runWriter[T]) finish() []byte {
	if len(w.out) == 0 && w.nulls > 0 {
		return nil
	}
	w.flush()
	return w.out
}

// reset forgets everything but what memory there is.
func (w *runWriter[T]) reset() {
	w.out, w.own, w.equal, w.nulls = w.out[:0], w.own[:0], 0, 0
}

func writeText(b []byte, s string) []byte { return append(appendUint(b, uint64(len(s))), s...) }

// deltaWriter writes what deltas reads.
type deltaWriter struct {
	runWriter[int64]
	before int64
}

func (w *deltaWriter) number(v uint64) {
	w.value(int64(v) - w.before)
	w.before = int64(v)
}

func (w *deltaWriter) reset() {
	w.runWriter.reset()
	w.before = 0
}

// flagWriter writes what flags reads.
type flagWriter struct {
	out  []byte
	last bool
	n    uint64
}

func (w *flagWriter) flag(v bool) {
	if v != w.last {
		w.out = appendUint(w.out, w.n)
		w.last, w.n = v, 0
	}
	w.n++
}

func (w *flagWriter) finish() []byte { return appendUint(w.out, w.n) }
