package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/localapi/client"
)

func (a *app) recoverCommand() *cobra.Command {
	var file string
	var remove []string
	var yes bool
	cmd := &cobra.Command{
		Use: "recover", Short: "Remove devices with the recovery words, or end a freeze", Args: cobra.NoArgs,
		Long: "Remove devices in the name of the recovery words, which overrule what those devices\ndid. Without --remove it ends a freeze, where devices have removed each other, in\nfavour of this one. The words restore authority, not data: for that, starling restore.",
		RunE: a.does(func(ctx context.Context, _ []string) error {
			if !encryption.Exists(a.dir) {
				return client.Errorf(client.CodeNotFound, "%s holds no account; recovery words restore authority, not data: with a backup run starling restore, with a device that is left run starling recover there, or starling link and join", a.dir)
			}
			if err := a.canAsk(yes, "starling recover"); err != nil {
				return err
			}
			return a.recoverWith(ctx, file, remove, yes)
		}),
	}
	addWordsFlag(cmd, &file)
	cmd.Flags().StringArrayVar(&remove, "remove", nil, "`ID` of a device to remove; may be repeated")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask before")
	return cmd
}

func (a *app) recoverWith(ctx context.Context, file string, remove []string, yes bool) error {
	words, err := a.recoveryWords(file)
	if err != nil {
		return err
	}
	return a.withKeeper(ctx, func(k keeperAPI) error {
		if !yes {
			what := "End the freeze in favour of this device, for good?"
			if len(remove) > 0 {
				what = "Remove " + strings.Join(remove, ", ") + ", for good?"
			}
			if err := a.confirmed(what); err != nil {
				return err
			}
		}
		removals, err := k.Recover(ctx, words.Words(), remove)
		if err != nil {
			return err
		}
		return a.report(list(removals), "Removed %s.", removedNames(removals))
	})
}

func removedNames(removals []model.Removal) string {
	var names []string
	for _, r := range removals {
		names = append(names, r.Name)
	}
	if len(names) == 0 {
		return "no device"
	}
	return strings.Join(names, ", ")
}

// canAsk says whether the person can be asked what the command asks unless yes is
// given.
func (a *app) canAsk(yes bool, command string) error {
	if yes || !a.json && a.interactive() {
		return nil
	}
	return usageError{errors.New("nobody can be asked here: give --yes"), command}
}

// confirmed asks the person at the terminal whether to go on.
func (a *app) confirmed(question string) error {
	a.prompt("%s (yes/no) ", shown(question))
	answer, err := a.readLine()
	if err == nil && strings.EqualFold(strings.TrimSpace(answer), "yes") {
		return nil
	}
	return client.Errorf(client.CodeBadRequest, "not confirmed: nothing was done")
}
