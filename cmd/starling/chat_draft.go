package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

func (a *app) chatDraftCommand() *cobra.Command {
	var discard bool
	var draft string
	cmd := &cobra.Command{
		Use: "draft CHAT [TEXT…|-]", Short: "Keep what was begun to be written, or print it", Args: cobra.MinimumNArgs(1),
		Long: "Keep what was begun to be written in a chat: the words given, or standard input\nwith -. Without either, print the newest draft. --clear says that it was sent or\nthrown away.",
		RunE: a.does(func(ctx context.Context, args []string) error {
			if discard {
				edit := model.Edit{Op: model.ChatDraftDone, ID: args[0], Draft: draft}
				return a.editChat(ctx, edit, "Cleared the draft of %s.", args[0])
			}
			if len(args) == 1 {
				return a.printDraft(ctx, args[0])
			}
			text, err := a.draftText(args[1:])
			if err != nil {
				return err
			}
			edit := model.Edit{Op: model.ChatDraft, ID: args[0], Text: &text, Draft: draft}
			return a.editChat(ctx, edit, "Kept a draft of %d bytes for %s.", len(text), args[0])
		}),
	}
	cmd.Flags().BoolVar(&discard, "clear", false, "the draft was sent or thrown away")
	cmd.Flags().StringVar(&draft, "draft", "", "id of the draft that was on the screen")
	return cmd
}

func (a *app) draftText(words []string) (string, error) {
	if len(words) != 1 || words[0] != "-" {
		return strings.Join(words, " "), nil
	}
	raw, err := io.ReadAll(io.LimitReader(a.lines, model.MaxDraft+1))
	if err != nil {
		return "", fmt.Errorf("draft from standard input: %w", err)
	}
	if len(raw) > model.MaxDraft {
		return "", client.Errorf(client.CodeTooLarge, "draft from standard input: more than %d bytes", model.MaxDraft)
	}
	return string(raw), nil
}

func (a *app) printDraft(ctx context.Context, id string) error {
	return a.with(ctx, func(api client.API) error {
		chat, err := api.GetChat(ctx, id)
		if err != nil {
			return err
		}
		switch {
		case a.json:
			return a.emit(chat.Drafts)
		case len(chat.Drafts) == 0:
			return a.say("%s has no draft.", id)
		}
		_, err = fmt.Fprintln(a.stdout, chat.Drafts[0].Text)
		return err
	})
}
