package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/crdt/model"
)

func (a *app) chatArchiveCommand() *cobra.Command {
	var p positionFlags
	cmd := &cobra.Command{
		Use: "archive CHAT", Short: "Put a chat away until a newer message arrives", Args: cobra.ExactArgs(1),
		Long: "Put a chat away until a message arrives that is newer than the one given, or\nthan the read mark when none is given.",
		RunE: a.does(func(ctx context.Context, args []string) error {
			at, err := p.position()
			if err != nil {
				return err
			}
			return a.editChat(ctx, model.Edit{Op: model.ChatArchive, ID: args[0], At: at}, "Archived %s.", args[0])
		}),
	}
	p.add(cmd, "the newest message that was on the screen")
	return cmd
}

func (a *app) chatUnarchiveCommand() *cobra.Command {
	return a.chatEdit("unarchive", "Take a chat out of the archive", model.ChatUnarchive, "Took %s out of the archive.")
}
