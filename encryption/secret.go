package encryption

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is 32 secret bytes. It prints as "[redacted]" under every verb, in JSON,
// as text and in slog. The bytes stand behind a function, because fmt prints the
// unexported fields of a foreign struct without asking their methods, and under
// an unfitting verb it even follows a pointer. The zero value holds no secret.
// Memory is not wiped: Go cannot promise it.
type Secret struct{ value func() *[32]byte }

// NewSecret copies b into a Secret.
func NewSecret(b [32]byte) Secret { return Secret{value: func() *[32]byte { return &b }} }

// Reveal returns a copy of the bytes; zeros for the zero Secret.
func (s Secret) Reveal() [32]byte {
	if s.value == nil {
		return [32]byte{}
	}
	return *s.value()
}

// IsZero reports whether s holds no secret.
func (s Secret) IsZero() bool { return s.value == nil }

// Equal compares in constant time.
func (s Secret) Equal(o Secret) bool {
	a, b := s.Reveal(), o.Reveal()
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && s.IsZero() == o.IsZero()
}

// slice returns the bytes themselves, for calls that do not keep them.
func (s Secret) slice() []byte {
	if s.value == nil {
		// unreachable: secrets are made by newSecret and NewSecret, and never left zero in what is used
		panic("encryption: use of an absent secret")
	}
	return s.value()[:]
}

func (Secret) String() string               { return redacted }
func (Secret) GoString() string             { return redacted }
func (Secret) Format(f fmt.State, _ rune)   { io.WriteString(f, redacted) }
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }

// newSecret draws 32 bytes.
func newSecret(random io.Reader) (Secret, error) {
	var b [32]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return Secret{}, fmt.Errorf("draw a secret: %w", err)
	}
	return NewSecret(b), nil
}
