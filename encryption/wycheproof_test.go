package encryption

import (
	"bytes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"testing"

	"github.com/c2sp/wycheproof"
	"golang.org/x/crypto/chacha20poly1305"
)

// wycheproofBytes reads the hexadecimal strings of the vector files.
type wycheproofBytes []byte

func (b *wycheproofBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

// wycheproofVector is the union of the fields that the schemas used here define.
type wycheproofVector struct {
	ID      int    `json:"tcId"`
	Comment string `json:"comment"`
	Flags   []string
	Result  string

	Msg, Sig                wycheproofBytes
	Key, IV, AAD, CT, Tag   wycheproofBytes
	IKM, Salt, Info, OKM    wycheproofBytes
	Size                    int
	Public, Private, Shared wycheproofBytes
	Seed, EK, M, C, K       wycheproofBytes
}

type wycheproofGroup struct {
	TagSize   int `json:"tagSize"`
	PublicKey struct {
		PK wycheproofBytes `json:"pk"`
	} `json:"publicKey"`
	Tests []wycheproofVector
}

// runWycheproof hands every vector of a file to accepts, which says whether the implementation took the input
// and gave the expected output, and compares that with the verdict of the file. The number of vectors must be
// the one that the file announces and at least atLeast, so that a renamed field or an empty file does not pass.
func runWycheproof(t *testing.T, file string, atLeast int, accepts func(*wycheproofGroup, *wycheproofVector) bool) {
	raw, err := fs.ReadFile(wycheproof.TestVectors, file)
	if err != nil {
		t.Fatal(err)
	}
	var parsed struct {
		NumberOfTests int
		TestGroups    []wycheproofGroup
	}
	if err := json.Unmarshal(raw, &parsed); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	ran := 0
	verdicts := map[string]int{}
	for i := range parsed.TestGroups {
		g := &parsed.TestGroups[i]
		for j := range g.Tests {
			v := &g.Tests[j]
			ran++
			verdicts[v.Result]++
			if got, want := accepts(g, v), wycheproofAccepts(v); got != want {
				t.Errorf("%s #%d (%s, %v): accepted %t, want %t", file, v.ID, v.Comment, v.Flags, got, want)
			}
		}
	}
	if ran != parsed.NumberOfTests || ran < atLeast {
		t.Errorf("%s: ran %d vectors, file announces %d, expected at least %d", file, ran, parsed.NumberOfTests, atLeast)
	}
	t.Logf("%s: %d vectors %v", file, ran, verdicts)
}

// wycheproofAccepts is the verdict for this project: what the files leave open is accepted, except an X25519
// result of all zeros, which RFC 9180 section 7.1.4 tells HPKE to refuse.
func wycheproofAccepts(v *wycheproofVector) bool {
	return v.Result != "invalid" && !slices.Contains(v.Flags, "ZeroSharedSecret")
}

func TestWycheproofEd25519(t *testing.T) {
	runWycheproof(t, "ed25519_test.json", 150, func(g *wycheproofGroup, v *wycheproofVector) bool {
		return ed25519.Verify(ed25519.PublicKey(g.PublicKey.PK), v.Msg, v.Sig)
	})
}

func TestWycheproofXChaCha20Poly1305(t *testing.T) {
	runWycheproof(t, "xchacha20_poly1305_test.json", 300, acceptsAEAD(chacha20poly1305.NewX))
}

// ChaCha20-Poly1305 is the cipher inside HPKE.
func TestWycheproofChaCha20Poly1305(t *testing.T) {
	runWycheproof(t, "chacha20_poly1305_test.json", 300, acceptsAEAD(chacha20poly1305.New))
}

func acceptsAEAD(newAEAD func([]byte) (cipher.AEAD, error)) func(*wycheproofGroup, *wycheproofVector) bool {
	return func(_ *wycheproofGroup, v *wycheproofVector) bool {
		aead, err := newAEAD(v.Key)
		if err != nil {
			return false
		}
		sealed := slices.Concat(v.CT, v.Tag)
		opened, err := openRecovering(aead, v.IV, sealed, v.AAD)
		return err == nil && bytes.Equal(opened, v.Msg) && bytes.Equal(aead.Seal(nil, v.IV, v.Msg, v.AAD), sealed)
	}
}

// openRecovering turns the panic that a nonce of the wrong length causes into an error.
func openRecovering(aead cipher.AEAD, nonce, sealed, aad []byte) (opened []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return aead.Open(nil, nonce, sealed, aad)
}

func TestWycheproofHKDF(t *testing.T) {
	runWycheproof(t, "hkdf_sha256_test.json", 80, func(_ *wycheproofGroup, v *wycheproofVector) bool {
		key, err := hkdf.Key(sha256.New, v.IKM, v.Salt, string(v.Info), v.Size)
		return err == nil && bytes.Equal(key, v.OKM)
	})
}

func TestWycheproofHMAC(t *testing.T) {
	runWycheproof(t, "hmac_sha256_test.json", 170, func(g *wycheproofGroup, v *wycheproofVector) bool {
		mac := hmac.New(sha256.New, v.Key)
		mac.Write(v.Msg)
		return hmac.Equal(mac.Sum(nil)[:g.TagSize/8], v.Tag)
	})
}

func TestWycheproofX25519(t *testing.T) {
	runWycheproof(t, "x25519_test.json", 500, func(_ *wycheproofGroup, v *wycheproofVector) bool {
		private, err := ecdh.X25519().NewPrivateKey(v.Private)
		if err != nil {
			return false
		}
		public, err := ecdh.X25519().NewPublicKey(v.Public)
		if err != nil {
			return false
		}
		shared, err := private.ECDH(public)
		return err == nil && bytes.Equal(shared, v.Shared)
	})
}

func TestWycheproofMLKEM768(t *testing.T) {
	runWycheproof(t, "mlkem_768_test.json", 200, func(_ *wycheproofGroup, v *wycheproofVector) bool {
		key, err := mlkem.NewDecapsulationKey768(v.Seed)
		if err != nil {
			return false
		}
		shared, err := key.Decapsulate(v.C)
		return err == nil && bytes.Equal(key.EncapsulationKey().Bytes(), v.EK) && bytes.Equal(shared, v.K)
	})
	runWycheproof(t, "mlkem_768_keygen_seed_test.json", 100, func(_ *wycheproofGroup, v *wycheproofVector) bool {
		key, err := mlkem.NewDecapsulationKey768(v.Seed)
		return err == nil && bytes.Equal(key.EncapsulationKey().Bytes(), v.EK)
	})
	runWycheproof(t, "mlkem_768_encaps_test.json", 260, func(_ *wycheproofGroup, v *wycheproofVector) bool {
		key, err := mlkem.NewEncapsulationKey768(v.EK)
		if err != nil {
			return false
		}
		shared, sealed, err := mlkemtest.Encapsulate768(key, v.M)
		return err == nil && bytes.Equal(sealed, v.C) && bytes.Equal(shared, v.K)
	})
}
