package change

import (
	"errors"
	"fmt"
)

// The columns of the changes of a saved document, in their order. There is none of
// messages, and none of what comes behind the last column of a change.
const (
	changeActor = iota
	changeSeq
	changeLastOp
	changeTime
	changeDeps
	changeDep
	changeExtra
	changeColumnCount
)

// The columns of its operations, in their order.
const (
	rowObjActor = iota
	rowObjNumber
	rowKeyActor
	rowKeyNumber
	rowKeyText
	rowActor
	rowNumber
	rowInsert
	rowAction
	rowValueType
	rowValue
	rowNexts
	rowNextActor
	rowNext
	rowColumnCount
)

// Their specifications.
var (
	changeSpecs = [changeColumnCount]uint64{1, 3, 19, 35, 64, 67, 86}
	rowSpecs    = [rowColumnCount]uint64{1, 2, 17, 19, 21, 33, 35, 52, 66, 86, 87, 128, 129, 131}
)

// deflateFrom is the length in bytes from which on the core compresses a column.
const deflateFrom = 256

// savedHead is the head of a column.
type savedHead struct {
	size     uint64
	deflated bool
}

// readColumns reads the heads of all columns and the columns.
func (s *savedDocument) readColumns(r *reader) error {
	var changes [changeColumnCount]savedHead
	var rows [rowColumnCount]savedHead
	if err := readSavedHeads(r, changeSpecs[:], changes[:]); err != nil {
		return fmt.Errorf("changes: %w", err)
	}
	if err := readSavedHeads(r, rowSpecs[:], rows[:]); err != nil {
		return fmt.Errorf("operations: %w", err)
	}
	left := MaxSavedInflated
	if err := readSavedColumns(r, changes[:], s.changeColumns[:], &left); err != nil {
		return fmt.Errorf("changes: %w", err)
	}
	if err := readSavedColumns(r, rows[:], s.opColumns[:], &left); err != nil {
		return fmt.Errorf("operations: %w", err)
	}
	return nil
}

// readSavedHeads reads heads of columns with these specifications, of which the
// place of each is that of its specification.
func readSavedHeads(r *reader, specs []uint64, heads []savedHead) error {
	n, err := r.uint(uint64(len(specs)), "number of columns")
	if err != nil {
		return err
	}
	for next := 0; n > 0; n-- {
		i, size, deflated, err := readColumnHead(r, specs, next, MaxSaved)
		if err != nil {
			return err
		}
		heads[i], next = savedHead{size, deflated}, i+1
	}
	return nil
}

// readSavedColumns reads columns, which may take so many bytes when they are
// expanded.
func readSavedColumns(r *reader, heads []savedHead, columns [][]byte, left *int) error {
	for i, h := range heads {
		column, err := r.take(h.size, "columns")
		if err != nil {
			return err
		}
		if h.deflated {
			if column, err = inflate(column, *left); err != nil {
				return err
			}
		}
		if h.deflated != (len(column) >= deflateFrom) {
			return errors.New("a short column is compressed, or a long one is not")
		}
		if *left -= len(column); *left < 0 {
			return fmt.Errorf("columns of more than %d bytes", MaxSavedInflated)
		}
		columns[i] = column
	}
	return nil
}
