package wire

import (
	"errors"
	"fmt"
)

// ErrMalformed is wrapped by every error about bytes that break the format
// or a limit of it.
var ErrMalformed = errors.New("malformed")

// ErrUnsupported is wrapped by the error about a Hello or a Batch of another
// version than this program knows.
var ErrUnsupported = errors.New("unsupported version")

func malformed(format string, args ...any) error {
	return fmt.Errorf("wire: %w: "+format, append([]any{ErrMalformed}, args...)...)
}
