package model

import (
	"crypto/sha256"
	"encoding/hex"
)

// labelDomain separates this use of SHA-256 from every other.
const labelDomain = "starling label name\x00"

// LabelID returns the id for a label that is created by its name, 32
// hexadecimal digits: two devices that create the same label while they are
// apart create one. A label keeps its id when it is renamed.
func LabelID(name string) string {
	sum := sha256.Sum256([]byte(labelDomain + name))
	return hex.EncodeToString(sum[:16])
}
