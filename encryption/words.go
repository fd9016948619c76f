package encryption

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
)

const (
	recoveryWordCount = 24
	recoverySeedSize  = 32
	bitsPerWord       = 11
	// maxWordsText bounds what ParseRecoveryWords looks at, in bytes: 24 words of at most eight letters and
	// generous blanks.
	maxWordsText = 2048
	// quizSize is how many words are asked back before an account is created.
	quizSize = 3
)

// Errors of ParseRecoveryWords and WordQuiz.Check. None of them, and no error that wraps them, contains a word.
var (
	// ErrWordCount means that the text does not hold exactly 24 words.
	ErrWordCount = errors.New("recovery phrase must have 24 words")
	// ErrWordUnknown means that a word is not on the list; it comes wrapped in a *WordError.
	ErrWordUnknown = errors.New("not a word of the recovery list")
	// ErrWordChecksum means that all words exist but do not belong together: one of them, or their order, is wrong.
	ErrWordChecksum = errors.New("recovery words do not fit together: one word or the order is wrong")
	// ErrWordWrong means that a word asked back is not the one shown; it comes wrapped in a *WordError.
	ErrWordWrong = errors.New("not the word that was shown")
)

// WordError says at which word of a recovery phrase something is wrong. It never says what was typed, because
// a mistyped word narrows down the right one and errors end up in logs.
type WordError struct {
	// Position counts from 1, as the words are numbered for people.
	Position int
	// Reason is ErrWordUnknown or ErrWordWrong.
	Reason error
}

func (e *WordError) Error() string { return fmt.Sprintf("word %d: %v", e.Position, e.Reason) }

func (e *WordError) Unwrap() error { return e.Reason }

// RecoveryWords is the recovery seed of an account in the form that people keep: 24 English words as defined by
// BIP-39, the last of which holds an eight-bit checksum. The 32 bytes that the words encode are the seed itself;
// BIP-39's stretching with PBKDF2 is not used, because 256 random bits need none.
//
// It prints redacted through fmt, log/slog and the encoders; Words is the only way to the words. Copies share the
// seed. The zero value holds no seed: its Words are nil.
type RecoveryWords struct{ seed Secret }

// NewRecoveryWords returns the words for a seed.
func NewRecoveryWords(seed Secret) RecoveryWords { return RecoveryWords{seed: seed} }

// ParseRecoveryWords reads words that a person typed: any letter case, any blanks and line breaks between them.
// The errors are ErrWordCount, ErrWordChecksum, or a *WordError with ErrWordUnknown for the first unknown word.
func ParseRecoveryWords(text string) (RecoveryWords, error) {
	if len(text) > maxWordsText {
		return RecoveryWords{}, fmt.Errorf("%w: got more than %d bytes", ErrWordCount, maxWordsText)
	}
	words := strings.Fields(strings.ToLower(text))
	if len(words) != recoveryWordCount {
		return RecoveryWords{}, fmt.Errorf("%w, got %d", ErrWordCount, len(words))
	}
	var packed [recoverySeedSize + 1]byte
	for i, word := range words {
		index, ok := wordIndex[word]
		if !ok {
			return RecoveryWords{}, &WordError{Position: i + 1, Reason: ErrWordUnknown}
		}
		putWord(&packed, i, index)
	}
	seed := [recoverySeedSize]byte(packed[:recoverySeedSize])
	if packed[recoverySeedSize] != seedChecksum(&seed) {
		return RecoveryWords{}, ErrWordChecksum
	}
	return NewRecoveryWords(NewSecret(seed)), nil
}

// Words returns the 24 words in order. The caller owns the slice and should show it once and drop it.
func (w RecoveryWords) Words() []string {
	if w.seed.IsZero() {
		return nil
	}
	seed := w.seed.Reveal()
	var packed [recoverySeedSize + 1]byte
	copy(packed[:], seed[:])
	packed[recoverySeedSize] = seedChecksum(&seed)
	words := make([]string, recoveryWordCount)
	for i := range words {
		words[i] = wordlist[wordAt(&packed, i)]
	}
	return words
}

// Seed returns the secret that the words encode; the zero Secret for the zero
// value.
func (w RecoveryWords) Seed() Secret { return w.seed }

const redactedWords = "[recovery words redacted]"

// Format prints a placeholder for every verb, so that no fmt call shows the words.
func (w RecoveryWords) Format(s fmt.State, _ rune) { io.WriteString(s, redactedWords) }

// LogValue keeps the words out of log/slog.
func (w RecoveryWords) LogValue() slog.Value { return slog.StringValue(redactedWords) }

// MarshalText keeps the words out of the encoders that ask for it, such as encoding/json.
func (w RecoveryWords) MarshalText() ([]byte, error) { return []byte(redactedWords), nil }

// seedChecksum is the first ENT/32 = 8 bits of the seed's SHA-256 (BIP-39, "Generating the mnemonic").
func seedChecksum(seed *[recoverySeedSize]byte) byte {
	sum := sha256.Sum256(seed[:])
	return sum[0]
}

// wordAt returns the 11 bits at word position i, most significant bit first.
func wordAt(packed *[recoverySeedSize + 1]byte, i int) int {
	index := 0
	for bit := i * bitsPerWord; bit < (i+1)*bitsPerWord; bit++ {
		index = index<<1 | int(packed[bit/8]>>(7-bit%8))&1
	}
	return index
}

// putWord is the inverse of wordAt on zeroed bits.
func putWord(packed *[recoverySeedSize + 1]byte, i, index int) {
	for b := range bitsPerWord {
		bit := i*bitsPerWord + b
		packed[bit/8] |= byte(index>>(bitsPerWord-1-b)&1) << (7 - bit%8)
	}
}

// WordQuiz asks for three of the words, to see that they were written down. It prints redacted, since it holds
// the words.
type WordQuiz struct {
	words     RecoveryWords
	positions [quizSize]int
}

// Quiz picks three distinct positions uniformly, using random. It fails when random does or when w is the zero value.
func (w RecoveryWords) Quiz(random io.Reader) (*WordQuiz, error) {
	if w.seed.IsZero() {
		return nil, errors.New("quiz: no recovery words")
	}
	q := &WordQuiz{words: w}
	for picked := 0; picked < quizSize; {
		var b [1]byte
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return nil, fmt.Errorf("quiz: pick a position: %w", err)
		}
		// 240 is the largest multiple of 24 in a byte: what lies above would favour the first positions.
		position := int(b[0])%recoveryWordCount + 1
		if b[0] >= 240 || slices.Contains(q.positions[:picked], position) {
			continue
		}
		q.positions[picked] = position
		picked++
	}
	slices.Sort(q.positions[:])
	return q, nil
}

// Positions returns the word numbers to ask for, from 1 to 24, ascending.
func (q *WordQuiz) Positions() [quizSize]int { return q.positions }

// Check compares the answers, given in the order of Positions, regardless of letter case and surrounding blanks.
// The error is a *WordError with ErrWordWrong for the first wrong answer.
func (q *WordQuiz) Check(answers [quizSize]string) error {
	words := q.words.Words()
	for i, position := range q.positions {
		answer := strings.ToLower(strings.TrimSpace(answers[i]))
		if subtle.ConstantTimeCompare([]byte(answer), []byte(words[position-1])) != 1 {
			return &WordError{Position: position, Reason: ErrWordWrong}
		}
	}
	return nil
}

// Format prints a placeholder for every verb.
func (q *WordQuiz) Format(s fmt.State, verb rune) { q.words.Format(s, verb) }
