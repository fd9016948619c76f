package main

import (
	"context"
	"io"
	"strings"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// RemoveDevice implements client.Keeper, as do the methods below.
func (e *engine) RemoveDevice(ctx context.Context, id string) (model.Removal, error) {
	d, err := encryption.ParseDeviceID(id)
	if err != nil {
		return model.Removal{}, coded(err)
	}
	removal, err := e.replica.RemoveDevice(ctx, d)
	return removal, coded(err)
}

// ListRemovals returns the removals that count.
func (e *engine) ListRemovals(context.Context) ([]model.Removal, error) {
	return e.replica.Removals(), nil
}

// ReaddDevice adds an orphan again.
func (e *engine) ReaddDevice(ctx context.Context, id string) (model.Device, error) {
	d, err := encryption.ParseDeviceID(id)
	if err != nil {
		return model.Device{}, coded(err)
	}
	now, err := e.replica.ReaddDevice(ctx, d)
	if err != nil {
		return model.Device{}, coded(err)
	}
	devices, err := e.replica.ListDevices(ctx)
	for _, m := range devices {
		if m.ID == now.String() {
			return m, nil
		}
	}
	return model.Device{ID: now.String()}, coded(err)
}

// Recover removes devices in the name of the recovery words.
func (e *engine) Recover(ctx context.Context, words, ids []string) ([]model.Removal, error) {
	w, err := encryption.ParseRecoveryWords(strings.Join(words, " "))
	if err != nil {
		return nil, wordsError(err)
	}
	var devices []encryption.DeviceID
	for _, id := range ids {
		d, err := encryption.ParseDeviceID(id)
		if err != nil {
			return nil, coded(err)
		}
		devices = append(devices, d)
	}
	removals, err := e.replica.Recover(ctx, w, devices...)
	return removals, coded(err)
}

// wordsError gives a mistyped word the code of a wrong passphrase.
func wordsError(err error) error { return client.Errorf(client.CodeUnlock, "recovery words: %w", err) }

// Rotate begins a new content epoch.
func (e *engine) Rotate(ctx context.Context) error { return coded(e.replica.Rotate(ctx)) }

// ReplaceWords replaces the recovery words.
func (e *engine) ReplaceWords(ctx context.Context, old, next []string) ([]string, error) {
	was, err := encryption.ParseRecoveryWords(strings.Join(old, " "))
	if err != nil {
		return nil, wordsError(err)
	}
	words := newWords()
	if next != nil {
		if words, err = encryption.ParseRecoveryWords(strings.Join(next, " ")); err != nil {
			return nil, client.Errorf(client.CodeBadRequest, "new recovery words: %w", err)
		}
	}
	if err := e.replica.ReplaceWords(ctx, was, words); err != nil {
		return nil, coded(err)
	}
	return words.Words(), nil
}

// Backup writes everything to w.
func (e *engine) Backup(ctx context.Context, w io.Writer) error {
	_, err := e.replica.Backup(ctx, w)
	return coded(err)
}
