package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/starling-sync/starling/crdt/model"
)

// Keeper keeps the account itself: who is in it, and its keys. What it
// changes is durable here when it returns, and reaches the other devices as
// edits do. Recovery words are lists of 24.
type Keeper interface {
	// RemoveDevice takes a device out of the account, this one too: then it
	// leaves. CodeNotFound for one that is not a member.
	RemoveDevice(ctx context.Context, id string) (model.Removal, error)
	// ListRemovals returns the removals that count.
	ListRemovals(ctx context.Context) ([]model.Removal, error)
	// ReaddDevice adds a device again whose membership rested on a removed
	// one, with the keys that it has.
	ReaddDevice(ctx context.Context, id string) (model.Device, error)
	// Recover removes devices in the name of the recovery words, which
	// overrule what those devices did. Without ids it ends a freeze in favour
	// of this device. CodeUnlock for words of another account.
	Recover(ctx context.Context, words, ids []string) ([]model.Removal, error)
	// ReplaceWords makes next the recovery words, with the old ones, and
	// returns them. With next nil it makes some: who can ask a person to write
	// words down makes them before, so that only words count that are.
	ReplaceWords(ctx context.Context, old, next []string) ([]string, error)
	// Rotate begins a new content epoch.
	Rotate(ctx context.Context) error
	// Backup writes everything to w, encrypted to the recovery words. What was
	// written before an error is of no use.
	Backup(ctx context.Context, w io.Writer) error
}

var _ Keeper = (*Client)(nil)

// RemoveDevice implements Keeper.
func (c *Client) RemoveDevice(ctx context.Context, id string) (model.Removal, error) {
	var r model.Removal
	err := c.call(ctx, http.MethodDelete, "/v1/devices/"+segment(id), nil, &r)
	return r, err
}

// ListRemovals implements Keeper.
func (c *Client) ListRemovals(ctx context.Context) ([]model.Removal, error) {
	var answer struct{ Removals []model.Removal }
	err := c.get(ctx, "/v1/removals", &answer)
	return answer.Removals, err
}

// ReaddDevice implements Keeper.
func (c *Client) ReaddDevice(ctx context.Context, id string) (model.Device, error) {
	var d Device
	err := c.call(ctx, http.MethodPost, "/v1/devices/"+segment(id)+"/readd", nil, &d)
	return d.View(), err
}

// Recovery is what Recover and ReplaceWords send.
type Recovery struct {
	Words    []string `json:"words"`
	Devices  []string `json:"devices,omitempty"`   // ids; Recover only
	NewWords []string `json:"new_words,omitempty"` // ReplaceWords only
}

// Format keeps the words out of whatever prints them.
func (Recovery) Format(f fmt.State, _ rune) { io.WriteString(f, "[recovery]") }

// Recover implements Keeper.
func (c *Client) Recover(ctx context.Context, words, ids []string) ([]model.Removal, error) {
	var answer struct{ Removals []model.Removal }
	err := c.call(ctx, http.MethodPost, "/v1/recover", Recovery{Words: words, Devices: ids}, &answer)
	return answer.Removals, err
}

// ReplaceWords implements Keeper.
func (c *Client) ReplaceWords(ctx context.Context, old, next []string) ([]string, error) {
	var answer struct{ Words []string }
	err := c.call(ctx, http.MethodPost, "/v1/words", Recovery{Words: old, NewWords: next}, &answer)
	return answer.Words, err
}

// Rotate implements Keeper.
func (c *Client) Rotate(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/v1/rotate", nil, nil)
}

// Backup implements Keeper.
func (c *Client) Backup(ctx context.Context, w io.Writer) error {
	response, err := c.send(ctx, http.MethodPost, "/v1/backup", nil, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	from := &source{r: response.Body}
	_, err = io.Copy(w, from)
	if from.err != nil {
		return Errorf(CodeUnreachable, "backup: the daemon at %s broke off: %w", c.socket, from.err)
	}
	return err
}

// source remembers that reading failed, as opposed to writing.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}
