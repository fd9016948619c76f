package wire

import (
	"errors"
	"fmt"
)

// ErrMalformed is wrapped by every error about bytes that break the format
// or a limit of it.
var ErrMalformed = errors.New("malformed")

// ErrUnsupported is wrapped by the error about a Hello or a Batch of a
// version that this program does not know.
var ErrUnsupported = errors.New("made by a newer version")

func malformed(format string, args ...any) error {
	return fmt.Errorf("wire: %w: "+format, append([]any{ErrMalformed}, args...)...)
}
