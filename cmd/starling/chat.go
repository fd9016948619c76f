package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

func (a *app) chatCommand() *cobra.Command {
	return group("chat", "Read, mute, archive, pin and label chats, and keep drafts",
		a.chatReadCommand(), a.chatUnreadCommand(), a.chatMuteCommand(), a.chatUnmuteCommand(),
		a.chatArchiveCommand(), a.chatUnarchiveCommand(), a.chatPinCommand(), a.chatUnpinCommand(),
		a.chatLabelCommand(), a.chatUnlabelCommand(), a.chatDraftCommand(),
		a.chatShowCommand(), a.chatListCommand(),
	)
}

// editChat applies one edit of a chat and reports it.
func (a *app) editChat(ctx context.Context, e model.Edit, format string, args ...any) error {
	return a.with(ctx, func(api client.API) error {
		if err := a.apply(ctx, api, e); err != nil {
			return err
		}
		return a.reportChat(ctx, api, e.ID, format, args...)
	})
}

// reportChat prints the chat as it is now with --json, and otherwise the
// sentence.
func (a *app) reportChat(ctx context.Context, api client.API, id, format string, args ...any) error {
	if !a.json {
		return a.say(format, args...)
	}
	chat, err := api.GetChat(ctx, id)
	if err != nil {
		return err
	}
	return a.emit(chat)
}

// apply checks the edits here, for an error that names the argument, and
// makes them durable.
func (a *app) apply(ctx context.Context, api client.API, edits ...model.Edit) error {
	for _, e := range edits {
		if err := e.Validate(); err != nil {
			return client.Errorf(client.CodeBadRequest, "%w", err)
		}
	}
	return api.Apply(ctx, edits)
}

// chatEdit makes a command that takes a chat and nothing else.
func (a *app) chatEdit(use, short string, op model.Op, done string) *cobra.Command {
	return &cobra.Command{
		Use: use + " CHAT", Short: short, Args: cobra.ExactArgs(1),
		RunE: a.does(func(ctx context.Context, args []string) error {
			return a.editChat(ctx, model.Edit{Op: op, ID: args[0]}, done, args[0])
		}),
	}
}

// positionFlags are --at and --message, which name a message together.
type positionFlags struct{ at, message string }

func (p *positionFlags) add(cmd *cobra.Command, what string) {
	cmd.Flags().StringVar(&p.at, "at", "", "when "+what+" was sent: 2026-01-31T09:30:00Z, or milliseconds since 1970")
	cmd.Flags().StringVar(&p.message, "message", "", "id of "+what)
	cmd.MarkFlagsRequiredTogether("at", "message")
}

// position is nil when neither flag was given.
func (p *positionFlags) position() (*model.Position, error) {
	if p.at == "" && p.message == "" {
		return nil, nil
	}
	at, err := parseTime("--at", p.at)
	if err != nil {
		return nil, err
	}
	position := model.Position{Time: at, ID: p.message}
	if err := model.CheckPosition(position); err != nil {
		return nil, client.Errorf(client.CodeBadRequest, "--message: %w", err)
	}
	return &position, nil
}

func parseTime(flag, s string) (model.Time, error) {
	t, err := model.ParseTime(s)
	if err != nil {
		return 0, client.Errorf(client.CodeBadRequest, "%s: %w", flag, err)
	}
	if t == model.Forever && flag != "--until" {
		return 0, client.Errorf(client.CodeBadRequest, "%s: forever is no instant", flag)
	}
	return t, nil
}

// describe says in few words what is special about a chat at this moment.
func describe(c *model.Chat, now time.Time) string {
	var words []string
	if c.MarkedUnread {
		words = append(words, "unread")
	}
	switch {
	case c.MutedUntil == model.Forever:
		words = append(words, "muted")
	case c.MutedUntil > model.TimeOf(now):
		words = append(words, "muted until "+c.MutedUntil.String())
	}
	if c.Archived {
		words = append(words, "archived")
	}
	if c.Pinned {
		words = append(words, "pinned")
	}
	return strings.Join(words, ", ")
}
