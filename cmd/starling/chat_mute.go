package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

func (a *app) chatMuteCommand() *cobra.Command {
	var until string
	var span time.Duration
	cmd := &cobra.Command{
		Use: "mute CHAT", Short: "Silence a chat, for ever unless an end is given", Args: cobra.ExactArgs(1),
		RunE: a.does(func(ctx context.Context, args []string) error {
			end, err := muteEnd(until, span, time.Now())
			if err != nil {
				return err
			}
			done := "Muted %s until " + end.String() + "."
			if end == model.Forever {
				done = "Muted %s for ever."
			}
			return a.editChat(ctx, model.Edit{Op: model.ChatMute, ID: args[0], Until: end}, done, args[0])
		}),
	}
	cmd.Flags().StringVar(&until, "until", "", "end: 2026-01-31T09:30:00Z, milliseconds since 1970, or forever")
	cmd.Flags().DurationVar(&span, "for", 0, "end after this long, such as 8h")
	cmd.MarkFlagsMutuallyExclusive("until", "for")
	return cmd
}

func muteEnd(until string, span time.Duration, now time.Time) (model.Time, error) {
	switch {
	case until != "":
		return parseTime("--until", until)
	case span < 0:
		return 0, client.Errorf(client.CodeBadRequest, "--for: %s is negative", span)
	case span > 0:
		return model.TimeOf(now.Add(span)), nil
	}
	return model.Forever, nil
}

func (a *app) chatUnmuteCommand() *cobra.Command {
	return a.chatEdit("unmute", "End the mute of a chat", model.ChatUnmute, "Unmuted %s.")
}
