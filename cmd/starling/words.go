package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// maxWordsFile bounds a file of recovery words, in bytes.
const maxWordsFile = 2 << 10

func (a *app) wordsCommand() *cobra.Command {
	var file string
	var yes, age bool
	cmd := &cobra.Command{
		Use: "words", Short: "Replace the recovery words", Args: cobra.NoArgs,
		Long: "Replace the recovery words: give the ones that count, and get new ones, which are\nshown once. Backups made before open with the old words only. It is for words that\nmay get lost: somebody who has copied the old ones can still act as if they had not\nheard of the new ones.\n\nWith --age nothing is replaced: the words are printed as an identity of the age\ntool, which opens a backup (age -d -i IDENTITY FILE). It is as secret as they are.",
		RunE: a.does(func(ctx context.Context, _ []string) error {
			if age {
				return a.ageIdentity(file)
			}
			if err := a.canAsk(yes, "starling words"); err != nil {
				return err
			}
			return a.replaceWords(ctx, file, yes)
		}),
	}
	addWordsFlag(cmd, &file)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask the new words back")
	cmd.Flags().BoolVar(&age, "age", false, "print the words as an identity of the age tool")
	return cmd
}

func addWordsFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "words-file", "", "read the recovery words from this `FILE`, - for standard input; default: ask")
}

// recoveryWords reads the words from a file, or from the person at the terminal.
// They are never arguments, which other users of the machine can see.
func (a *app) recoveryWords(file string) (encryption.RecoveryWords, error) {
	text, err := a.wordsText(file)
	if err != nil {
		return encryption.RecoveryWords{}, err
	}
	words, err := encryption.ParseRecoveryWords(text)
	if err != nil {
		return words, wordsError(err)
	}
	return words, nil
}

func (a *app) wordsText(file string) (string, error) {
	switch {
	case file == "-":
		return limited(a.lines)
	case file == "" && a.interactive():
		return a.askWords()
	case file == "":
		return "", client.Errorf(client.CodeUnlock, "the recovery words cannot be asked for here: give --words-file")
	}
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("recovery words: %w", err)
	}
	defer f.Close()
	return limited(f)
}

func limited(r io.Reader) (string, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxWordsFile+1))
	if err == nil && len(raw) > maxWordsFile {
		return "", client.Errorf(client.CodeTooLarge, "recovery words: more than %d bytes", maxWordsFile)
	}
	return string(raw), err
}

// wordCount is how many recovery words there are.
const wordCount = 24

// askWords takes lines until there are 24 words, or an empty line.
func (a *app) askWords() (string, error) {
	var words []string
	a.prompt("The 24 recovery words, in order, on one or several lines:\n")
	for len(words) < wordCount {
		line, err := a.readLine()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return "", err
		}
		more := strings.Fields(line)
		if len(more) == 0 {
			break
		}
		words = append(words, more...)
	}
	return strings.Join(words, " "), nil
}

func (a *app) ageIdentity(file string) error {
	words, err := a.recoveryWords(file)
	if err != nil {
		return err
	}
	identity, err := words.AgeIdentity()
	if err != nil {
		return err
	}
	type shown struct {
		Identity string `json:"age_identity"`
	}
	return a.report(shown{identity}, "%s", identity)
}

func (a *app) replaceWords(ctx context.Context, file string, yes bool) error {
	if err := a.checkAccount(); err != nil {
		return err
	}
	old, err := a.recoveryWords(file)
	if err != nil {
		return err
	}
	next := newWords()
	if !yes {
		if err := a.teachWords(next); err != nil {
			return fmt.Errorf("%w; the old words still count, and those above are worth nothing", err)
		}
	}
	err = a.withKeeper(ctx, func(k keeperAPI) error {
		_, err := k.ReplaceWords(ctx, old.Words(), next.Words())
		return err
	})
	if err != nil && !yes {
		return fmt.Errorf("%w; the words above are worth nothing", err)
	} else if err != nil {
		return err
	}
	if a.json {
		type replaced struct {
			Words []string `json:"recovery_words"`
		}
		return a.emit(replaced{next.Words()})
	}
	if yes {
		a.showWords(next)
	}
	return a.say("These words count from now on, and the old ones no more. Make a new backup: those made before open with the old words only.")
}

func newWords() encryption.RecoveryWords {
	var seed [32]byte
	rand.Read(seed[:])
	return encryption.NewRecoveryWords(encryption.NewSecret(seed))
}
