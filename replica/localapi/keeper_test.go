package localapi_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/starling-sync/starling/replica/localapi"
	"github.com/starling-sync/starling/replica/localapi/apitest"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// startKept is start with a fake that also keeps the account.
func startKept(t *testing.T) *daemon {
	t.Helper()
	r := apitest.New(nil)
	d := serve(t, r, r, &localapi.Config{Keeper: r})
	d.Replica = r
	return d
}

func TestKeeperOverTheSocket(t *testing.T) {
	d := startKept(t)
	ctx, c := t.Context(), d.client
	device, err := c.ReaddDevice(ctx, apitest.Orphan)
	if err != nil || device.ID != apitest.Orphan {
		t.Fatalf("readd: %+v, %v", device, err)
	}
	removal, err := c.RemoveDevice(ctx, apitest.Orphan)
	if err != nil || removal.Device != apitest.Orphan || removal.By != apitest.Device {
		t.Fatalf("remove: %+v, %v", removal, err)
	}
	all, err := c.ListRemovals(ctx)
	if err != nil || len(all) != 1 || all[0].ID != removal.ID {
		t.Fatalf("list: %+v, %v", all, err)
	}
	_, err = c.RemoveDevice(ctx, "a/b")
	wantCode(t, err, client.CodeNotFound)
	_, err = c.Recover(ctx, []string{"zoo"}, nil)
	wantCode(t, err, client.CodeUnlock)
	all, err = c.Recover(ctx, []string{apitest.Word}, []string{apitest.Device})
	if err != nil || len(all) != 1 || all[0].By != "" {
		t.Fatalf("recover: %+v, %v", all, err)
	}
	for _, next := range [][]string{nil, {"legal"}} {
		words, err := c.ReplaceWords(ctx, []string{apitest.Word}, next)
		if err != nil || len(words) != 1 || next != nil && words[0] != next[0] {
			t.Fatalf("words %v: %v, %v", next, words, err)
		}
	}
	_, err = c.ReplaceWords(ctx, []string{"zoo"}, nil)
	wantCode(t, err, client.CodeUnlock)
	if err := c.Rotate(ctx); err != nil {
		t.Fatal(err)
	}
}

// A backup that breaks off is an error at the client, never a short file that
// looks whole.
func TestBackupThatBreaksOff(t *testing.T) {
	d := startKept(t)
	var whole bytes.Buffer
	if err := d.client.Backup(t.Context(), &whole); err != nil || whole.String() != strings.Repeat("age ", 20_000) {
		t.Fatalf("%d bytes, %v", whole.Len(), err)
	}
	d.Break(&client.Error{Code: client.CodeDamaged, Message: "broken"})
	wantCode(t, d.client.Backup(t.Context(), &bytes.Buffer{}), client.CodeUnreachable)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.client.Backup(ctx, &bytes.Buffer{}); err == nil {
		t.Error("went on after its context had ended")
	}
}

func TestNoKeeper(t *testing.T) {
	d := start(t, nil)
	wantCode(t, d.client.Rotate(t.Context()), client.CodeUnreachable)
	wantCode(t, d.client.Backup(t.Context(), &bytes.Buffer{}), client.CodeUnreachable)
	_, err := d.client.ListRemovals(t.Context())
	wantCode(t, err, client.CodeUnreachable)
}
