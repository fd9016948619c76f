package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/localapi/client"
)

func (a *app) initCommand() *cobra.Command {
	var name string
	var yes bool
	cmd := &cobra.Command{
		Use: "init --name NAME", Short: "Begin an account with this device", Args: cobra.NoArgs,
		Long: "Begin an account with this device as its first. The 24 recovery words are shown\nonce; three of them are asked back unless --yes is given. With --key-file the file\nis made if it does not exist.",
		RunE: a.does(func(context.Context, []string) error {
			if err := a.canAsk(yes, "starling init"); err != nil {
				return err
			}
			return a.inStage(func(stage string, u encryption.Unlock) error { return a.beginIn(stage, name, u, yes) })
		}),
	}
	cmd.Flags().StringVar(&name, "name", "", "name of this device, as the others see it")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask recovery words back")
	require(cmd, "name")
	return cmd
}

func (a *app) beginIn(stage, name string, unlock encryption.Unlock, yes bool) error {
	id, words, err := encryption.Create(stage, unlock, &encryption.CreateOptions{Name: name, Now: time.Now()})
	if err != nil {
		return err
	}
	if !yes {
		if err := a.teachWords(words); err != nil {
			return fmt.Errorf("%w; no account was begun", err)
		}
	}
	err = adopt(a.dir, stage)
	if errors.Is(err, fs.ErrExist) {
		return client.Errorf(client.CodeExists, "another account was begun in %s", a.dir)
	} else if err != nil {
		return err
	}
	if a.json {
		return a.emit(begun{id.Account().String(), id.Device().String(), words.Words()})
	}
	if yes {
		a.showWords(words)
	}
	return a.say("Began account %s on %s.", id.Account(), name)
}

// begun is what init prints with --json.
type begun struct {
	Account string   `json:"account"`
	Device  string   `json:"device"`
	Words   []string `json:"recovery_words"`
}

func (a *app) showWords(words encryption.RecoveryWords) {
	fmt.Fprintln(a.stdout, "Write these 24 recovery words down, on paper. They are shown this once and")
	fmt.Fprintln(a.stdout, "stored nowhere; whoever has them has authority over all devices.")
	var rows [][]string
	list := words.Words()
	for i := range 6 {
		var row []string
		for _, n := range []int{i, i + 6, i + 12, i + 18} {
			row = append(row, fmt.Sprintf("%2d %s", n+1, list[n]))
		}
		rows = append(rows, row)
	}
	fmt.Fprintf(a.stdout, "\n%s\n", aligned(rows))
}

// teachWords shows the words and asks three of them back. The caller says what
// did not happen when they are wrong.
func (a *app) teachWords(words encryption.RecoveryWords) error {
	quiz, err := words.Quiz(rand.Reader)
	if err != nil {
		return err
	}
	a.showWords(words)
	positions := quiz.Positions()
	var answers [len(positions)]string
	for i, n := range positions {
		a.prompt("Word %d: ", n)
		if answers[i], err = a.readLine(); err != nil {
			return client.Errorf(client.CodeBadRequest, "recovery words: not all three were given")
		}
	}
	if err := quiz.Check(answers); err != nil {
		return client.Errorf(client.CodeBadRequest, "%w", err)
	}
	return nil
}
