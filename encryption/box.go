package encryption

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// The identity file is
//
//	magic ‖ length of header (2 bytes, big endian) ‖ header ‖ sealed contents
//
// and all before the sealed contents is their associated data. The account id is
// not: it stands inside only, so that the file does not name the account.
const (
	boxMagic     = "starling identity\n"
	maxBoxHeader = 256
)

type boxHeader struct {
	_       struct{} `cbor:",toarray"`
	Version uint64
	Suite   uint64
	KDF     uint64
	Cost    argonCost // zeros unless the KDF is Argon2id
	Salt    [32]byte
	Nonce   [nonceSize]byte
}

// sealBox encrypts the contents of the identity file.
func sealBox(u Unlock, cost argonCost, plain []byte, random io.Reader) ([]byte, error) {
	kind, err := u.kind()
	if err != nil {
		return nil, err
	}
	h := boxHeader{Version: formatVersion, Suite: suiteOne, KDF: kind}
	if kind == kdfPassphrase {
		h.Cost = cost
	}
	for _, b := range [][]byte{h.Salt[:], h.Nonce[:]} {
		if _, err := io.ReadFull(random, b); err != nil {
			return nil, fmt.Errorf("draw salt and nonce: %w", err)
		}
	}
	key, err := u.wrappingKey(&h)
	if err != nil {
		return nil, err
	}
	header := encode(h)
	out := binary.BigEndian.AppendUint16([]byte(boxMagic), uint16(len(header)))
	out = append(out, header...)
	return aead(key).Seal(out, h.Nonce[:], plain, labelSecretsFileSeal.message(out)), nil
}

// openBox is the inverse. Errors: ErrDamaged, ErrUnsupported, ErrWrongUnlock.
func openBox(u Unlock, raw []byte) ([]byte, error) {
	if _, err := u.kind(); err != nil {
		return nil, err
	}
	h, front, err := parseBox(raw)
	if err != nil {
		return nil, err
	}
	key, err := u.wrappingKey(h)
	if err != nil {
		return nil, err
	}
	plain, err := aead(key).Open(nil, h.Nonce[:], raw[front:], labelSecretsFileSeal.message(raw[:front]))
	if err != nil {
		return nil, ErrWrongUnlock
	}
	return plain, nil
}

// parseBox reads the header and returns how long the front part is.
func parseBox(raw []byte) (h *boxHeader, front int, err error) {
	start := len(boxMagic) + 2
	if len(raw) < start || !bytes.HasPrefix(raw, []byte(boxMagic)) {
		return nil, 0, fmt.Errorf("%w: does not begin like one", ErrDamaged)
	}
	n := int(binary.BigEndian.Uint16(raw[start-2:]))
	if n > maxBoxHeader || len(raw) < start+n+aeadSize {
		return nil, 0, fmt.Errorf("%w: cut short", ErrDamaged)
	}
	header := raw[start : start+n]
	if err := checkPreamble(header); err != nil {
		return nil, 0, fmt.Errorf("%w: header: %w", ErrDamaged, err)
	}
	h = new(boxHeader)
	if err := decode(header, maxBoxHeader, h); err != nil {
		return nil, 0, fmt.Errorf("%w: header: %w", ErrDamaged, err)
	}
	return h, start + n, h.check()
}

func (h *boxHeader) check() error {
	switch {
	case h.KDF == kdfPassphrase:
		return h.Cost.check()
	case h.KDF != kdfKey && h.KDF != kdfKeychain:
		return fmt.Errorf("%w: %w: key derivation %d", ErrDamaged, ErrUnsupported, h.KDF)
	case h.Cost != argonCost{}:
		return fmt.Errorf("%w: costs without a passphrase", ErrDamaged)
	}
	return nil
}
