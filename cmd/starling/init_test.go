package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/starling-sync/starling/encryption"
)

// Whoever wrote the words down passes, in the order in which they are asked.
func TestWordsAreAskedBack(t *testing.T) {
	words := encryption.NewRecoveryWords(encryption.NewSecret(sha256.Sum256([]byte("seed"))))
	shownIn, shownOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	typedIn, typedOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	askedIn, askedOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	a := newApp(typedIn, shownOut, askedOut)
	a.tty = askedOut
	go func() { // the person, who copies what is shown
		questions := bufio.NewReader(askedIn)
		for range 3 {
			question, err := questions.ReadString(':')
			if err != nil {
				t.Errorf("question: %v", err)
			}
			n, err := strconv.Atoi(strings.Trim(question, " Word:"))
			if err != nil {
				t.Errorf("question %q: %v", question, err)
				n = 1
			}
			fmt.Fprintln(typedOut, words.Words()[n-1])
		}
	}()
	if err := a.teachWords(words); err != nil {
		t.Error(err)
	}
	shownOut.Close()
	text, err := io.ReadAll(shownIn)
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range words.Words() {
		if !bytes.Contains(text, fmt.Appendf(nil, "%2d %s", i+1, w)) {
			t.Errorf("word %d, %s, was not shown in\n%s", i+1, w, text)
		}
	}
	if strings.Count(string(text), "\n") > 10 {
		t.Errorf("the words are shown more than once:\n%s", text)
	}
}
