package seeded

import (
	"bytes"
	"crypto/hpke"
	"testing"
)

// What a source seals is the same again, and the standard library opens it.
func TestSealHPKE(t *testing.T) {
	key, err := hpke.MLKEM768X25519().NewPrivateKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	seal := func(s *Source) []byte {
		sealed, err := s.SealHPKE(key.PublicKey().Bytes(), []byte("info"), []byte("plain"))
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	s := New([32]byte{1})
	first, second := seal(s), seal(s)
	if !bytes.Equal(first, seal(New([32]byte{1}))) {
		t.Error("a seed gives two results")
	}
	if bytes.Equal(first, second) {
		t.Error("randomness is used twice")
	}
	for _, sealed := range [][]byte{first, second} {
		plain, err := hpke.Open(key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte("info"), sealed)
		if err != nil || string(plain) != "plain" {
			t.Errorf("opens as %q: %v", plain, err)
		}
	}
	if _, err := s.SealHPKE([]byte("short"), nil, nil); err == nil {
		t.Error("sealed for no key")
	}
}

// What a cheap source seals is another thing for another info, opens, and is the
// same from every source.
func TestCheapSealHPKE(t *testing.T) {
	key, err := hpke.MLKEM768X25519().NewPrivateKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for i := range byte(3) {
		sealed, err := Cheap{New([32]byte{i})}.SealHPKE(key.PublicKey().Bytes(), []byte{i / 2}, []byte("plain"))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := hpke.Open(key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte{i / 2}, sealed)
		if err != nil || string(plain) != "plain" {
			t.Errorf("opens as %q: %v", plain, err)
		}
		all = append(all, sealed)
	}
	if !bytes.Equal(all[0], all[1]) || bytes.Equal(all[1], all[2]) {
		t.Error("it depends on something else than key and info")
	}
	c := Cheap{New([32]byte{1})}
	for _, public := range [][]byte{must(c.Nobody()), must(c.Source.Nobody())} {
		if sealed, err := c.SealHPKE(public, nil, nil); err != nil || len(sealed) == 0 {
			t.Errorf("nobody has no key: %v", err)
		}
	}
}
