package encryption

import (
	_ "embed"
	"strings"
)

// wordlistText is the official English word list of BIP-39, one word per line in alphabetical order, byte for
// byte as published with the proposal (MIT licence). Its SHA-256 is asserted by a test.
//
//go:embed wordlist_english.txt
var wordlistText string

// wordlist holds the 2,048 words by index. Read-only.
var wordlist = strings.Fields(wordlistText)

// wordIndex is the inverse of wordlist. Read-only.
var wordIndex = indexWords(wordlist)

func indexWords(words []string) map[string]int {
	index := make(map[string]int, len(words))
	for i, word := range words {
		index[word] = i
	}
	return index
}
