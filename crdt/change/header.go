package change

import (
	"bytes"
	"errors"
	"fmt"
)

// deflateBit marks a compressed column, which only documents may have.
const deflateBit = 8

// readHeader reads the contents of a change chunk in the order of the format.
func (c *Change) readHeader(body []byte) error {
	r := reader{body}
	for _, step := range []func(*reader) error{
		c.readDeps, c.readActor, c.readNumbers, readMessage, c.readActors, c.readColumns,
	} {
		if err := step(&r); err != nil {
			return err
		}
	}
	return r.end("the last column")
}

func (c *Change) readColumns(r *reader) (err error) {
	c.columns, err = readColumns(r)
	return err
}

func (c *Change) readDeps(r *reader) error {
	n, err := r.uint(MaxDeps, "number of dependencies")
	if err != nil {
		return err
	}
	b, err := r.take(n*uint64(len(Hash{})), "dependencies")
	if err != nil {
		return err
	}
	c.Deps = make([]Hash, n)
	for i := range c.Deps {
		c.Deps[i] = Hash(b[i*len(Hash{}):])
		if i > 0 && c.Deps[i-1].Compare(c.Deps[i]) >= 0 {
			return errors.New("dependencies are not sorted or repeat")
		}
	}
	return nil
}

func (c *Change) readActor(r *reader) (err error) {
	c.Actor, err = readActorID(r, "actor")
	return err
}

func readActorID(r *reader, what string) (id [ActorSize]byte, err error) {
	b, err := r.bytes(MaxSize, what)
	if err != nil {
		return id, err
	}
	if len(b) != ActorSize {
		return id, fmt.Errorf("%s has %d bytes, want %d", what, len(b), ActorSize)
	}
	return [ActorSize]byte(b), nil
}

func (c *Change) readNumbers(r *reader) (err error) {
	if c.Seq, err = r.uint(MaxCounter, "sequence number"); err != nil {
		return err
	}
	if c.StartOp, err = r.uint(MaxCounter, "start operation"); err != nil {
		return err
	}
	if c.Seq == 0 || c.StartOp == 0 {
		return errors.New("sequence number or start operation is 0, they begin at 1")
	}
	c.Time, err = r.int("time")
	return err
}

// readMessage wants none: nobody would read it, and it would cost bytes.
func readMessage(r *reader) error {
	_, err := r.uint(0, "message length")
	return err
}

func (c *Change) readActors(r *reader) error {
	n, err := r.uint(MaxActors, "number of other actors")
	if err != nil {
		return err
	}
	for range n {
		id, err := readActorID(r, "other actor")
		if err != nil {
			return err
		}
		if id == c.Actor {
			return errors.New("the actor is among the other actors")
		}
		if k := len(c.Actors); k > 0 && bytes.Compare(c.Actors[k-1][:], id[:]) >= 0 {
			return errors.New("other actors are not sorted or repeat")
		}
		c.Actors = append(c.Actors, id)
	}
	return nil
}
