package encryption

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The hash is that of english.txt in the repository of Bitcoin improvement proposals. It was compared with the
// lists inside github.com/tyler-smith/go-bip39 v1.1.0 and the npm package bip39 3.1.2.
func TestWordlistIsTheOfficialOne(t *testing.T) {
	sum := sha256.Sum256([]byte(wordlistText))
	const want = "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda"
	if got := hex.EncodeToString(sum[:]); got != want {
		t.Fatalf("wordlist_english.txt has SHA-256 %s, want %s", got, want)
	}
	if len(wordlist) != 2048 || len(wordIndex) != 2048 {
		t.Fatalf("%d words, %d distinct, want 2048", len(wordlist), len(wordIndex))
	}
}

// Official vectors of BIP-39 (github.com/trezor/python-mnemonic, vectors.json), those of 256 bits.
var bip39Vectors = []struct{ seed, words string }{
	{"0000000000000000000000000000000000000000000000000000000000000000", "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art"},
	{"7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f", "legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth title"},
	{"8080808080808080808080808080808080808080808080808080808080808080", "letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic bless"},
	{"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo vote"},
	{"3e141609b97933b66a060dcddc71fad1d91677db872031e85f4c015c5e7e8982", "dignity pass list indicate nasty swamp pool script soccer toe leaf photo multiply desk host tomato cradle drill spread actor shine dismiss champion exotic"},
	{"2c85efc7f24ee4573d2b81a6ec66cee209b2dcbd09d8eddc51e0215b0b68e416", "clutch control vehicle tonight unusual clog visa ice plunge glimpse recipe series open hour vintage deposit universe tip job dress radar refuse motion taste"},
	{"4fa1a8bc3e6d80ee1316050e862c1812031493212b7ec3f3bb1b08f168cabeef", "exile ask congress lamp submit jacket era scheme attend cousin alcohol catch course end lucky hurt sentence oven short ball bird grab wing top"},
	{"15da872c95a13dd738fbf50e427583ad61f18fd99f628c417a61cf8343c90419", "beyond stage sleep clip because twist token leaf atom beauty genius food business side grid unable middle armed observe pair crouch tonight away coconut"},
}

func TestRecoveryWordsAgainstBIP39(t *testing.T) {
	for _, v := range bip39Vectors {
		raw, err := hex.DecodeString(v.seed)
		if err != nil {
			t.Fatal(err)
		}
		seed := [32]byte(raw)
		if got := strings.Join(NewRecoveryWords(NewSecret(seed)).Words(), " "); got != v.words {
			t.Errorf("seed %s: words %q, want %q", v.seed, got, v.words)
		}
		parsed, err := ParseRecoveryWords(v.words)
		if err != nil || parsed.Seed().Reveal() != seed {
			t.Errorf("parse %q: seed %x, error %v", v.words, parsed.Seed().Reveal(), err)
		}
	}
}

func TestRecoveryWordsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "seed"))
		words := NewRecoveryWords(NewSecret(seed)).Words()
		blank := rapid.SampledFrom([]string{" ", "  ", "\n", "\t \r\n", "\u00a0"}).Draw(t, "blank")
		text := blank + strings.Join(words, blank) + blank
		if rapid.Bool().Draw(t, "upper") {
			text = strings.ToUpper(text)
		}
		parsed, err := ParseRecoveryWords(text)
		if err != nil || parsed.Seed().Reveal() != seed {
			t.Fatalf("parse: %v", err)
		}
	})
}

func TestParseRecoveryWordsRejects(t *testing.T) {
	good := strings.Fields(bip39Vectors[5].words)
	replaced := func(i int, word string) string {
		words := append([]string(nil), good...)
		words[i] = word
		return strings.Join(words, " ")
	}
	swapped := replaced(0, good[1])
	swapped = strings.Replace(swapped, good[1]+" "+good[1], good[1]+" "+good[0], 1)
	cases := []struct {
		name, text string
		want       error
		position   int
	}{
		{"empty", "", ErrWordCount, 0},
		{"23 words", strings.Join(good[:23], " "), ErrWordCount, 0},
		{"25 words", strings.Join(good, " ") + " zoo", ErrWordCount, 0},
		{"12 valid words of a shorter phrase", strings.Repeat("abandon ", 11) + "about", ErrWordCount, 0},
		{"too long", strings.Repeat(" ", maxWordsText) + strings.Join(good, " "), ErrWordCount, 0},
		{"unknown first", replaced(0, "clutchy"), ErrWordUnknown, 1},
		{"unknown last", replaced(23, "tast"), ErrWordUnknown, 24},
		{"four-letter abbreviation", replaced(6, "visx"), ErrWordUnknown, 7},
		{"comma", replaced(3, good[3]+","), ErrWordUnknown, 4},
		{"number", replaced(2, "3."), ErrWordUnknown, 3},
		{"accent", replaced(9, "glimpsé"), ErrWordUnknown, 10},
		{"two words swapped", swapped, ErrWordChecksum, 0},
		{"other known word", replaced(12, "zoo"), ErrWordChecksum, 0},
		{"wrong last word", replaced(23, "zoo"), ErrWordChecksum, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			words, err := ParseRecoveryWords(c.text)
			if !errors.Is(err, c.want) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			if words.Words() != nil {
				t.Error("words returned beside an error")
			}
			var at *WordError
			if c.position != 0 && (!errors.As(err, &at) || at.Position != c.position) {
				t.Errorf("error %v names no position %d", err, c.position)
			}
		})
	}
}

// A mistyped word is nearly the right one, so an error must not carry it into a log.
func TestWordErrorsContainNoWord(t *testing.T) {
	text := strings.Replace(bip39Vectors[5].words, "vehicle", "vehicel", 1)
	_, err := ParseRecoveryWords(text)
	for _, word := range strings.Fields(text) {
		if strings.Contains(err.Error(), " "+word) {
			t.Errorf("error %q contains the word %q", err, word)
		}
	}
}

func TestOneWrongWordIsMostlyNoticed(t *testing.T) {
	good := strings.Fields(bip39Vectors[7].words)
	accepted := 0
	for _, word := range wordlist {
		words := append([]string(nil), good...)
		words[11] = word
		if _, err := ParseRecoveryWords(strings.Join(words, " ")); err == nil {
			accepted++
		}
	}
	// Eight bits of checksum: 2048/256 = 8 are expected, the right word among them.
	if accepted < 1 || accepted > 24 {
		t.Errorf("%d of 2048 words accepted at one position, expected about 8", accepted)
	}
}

func TestRecoveryWordsPrintRedacted(t *testing.T) {
	words := NewRecoveryWords(NewSecret([32]byte(bytes.Repeat([]byte{0x7f}, 32))))
	quiz, err := words.Quiz(bytes.NewReader([]byte{1, 2, 3}))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o"} {
		fmt.Fprintf(&out, verb+verb+verb+"\n", words, quiz, struct{ Outer struct{ inner RecoveryWords } }{struct{ inner RecoveryWords }{words}})
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "words", words)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "words", words)
	encoded, err := json.Marshal(map[string]any{"words": words})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(encoded)
	for _, leak := range []string{"legal", "winner", "7f7f7f7f", "7F7F7F7F", "127 127", "0x7f, 0x7f", "177 177"} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("printed form contains %q:\n%s", leak, out.String())
		}
	}
}

func TestQuizChecksAnswers(t *testing.T) {
	words := NewRecoveryWords(NewSecret([32]byte{1, 2, 3}))
	all := words.Words()
	// 255 is rejected, 5 repeats, so the picked positions are 6, 24 and 1.
	quiz, err := words.Quiz(bytes.NewReader([]byte{255, 5, 5, 23, 240, 24, 9}))
	if err != nil {
		t.Fatal(err)
	}
	if got := quiz.Positions(); got != [3]int{1, 6, 24} {
		t.Fatalf("positions %v", got)
	}
	right := [3]string{" " + strings.ToUpper(all[0]), all[5] + "\n", all[23]}
	if err := quiz.Check(right); err != nil {
		t.Errorf("right answers: %v", err)
	}
	for i, position := range quiz.Positions() {
		wrong := right
		wrong[i] = "zoo"
		var at *WordError
		if err := quiz.Check(wrong); !errors.As(err, &at) || at.Position != position || !errors.Is(err, ErrWordWrong) {
			t.Errorf("wrong answer at word %d: %v", position, err)
		}
	}
	if err := quiz.Check([3]string{}); !errors.Is(err, ErrWordWrong) {
		t.Errorf("empty answers: %v", err)
	}
}

func TestQuizFailures(t *testing.T) {
	if _, err := (RecoveryWords{}).Quiz(bytes.NewReader(make([]byte, 9))); err == nil {
		t.Error("a quiz without words was made")
	}
	if _, err := NewRecoveryWords(NewSecret([32]byte{})).Quiz(bytes.NewReader([]byte{1, 2})); !errors.Is(err, io.EOF) {
		t.Errorf("short randomness: %v", err)
	}
}

func TestQuizPositionsAreUniform(t *testing.T) {
	counts := map[int]int{}
	words := NewRecoveryWords(NewSecret([32]byte{}))
	for first := range 240 {
		// One distinct first pick each; the other two are drawn from fixed bytes.
		quiz, err := words.Quiz(bytes.NewReader([]byte{byte(first), 0, 1, 2}))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range quiz.Positions() {
			if p > 3 {
				counts[p]++
			}
		}
	}
	for p := 4; p <= 24; p++ {
		if counts[p] != 10 {
			t.Errorf("position %d picked first %d times of 240, want 10", p, counts[p])
		}
	}
}
