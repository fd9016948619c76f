package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/localapi/client"
	"github.com/starling-sync/starling/replica/store"
	"github.com/starling-sync/starling/replica/store/disk"
)

// lose NAME CHAT deletes the document of a chat and its index entry from a stopped
// device, and leaves everything else.
func cmdLose(ts *testscript.TestScript, _ bool, args []string) {
	const docs, index = 6, 7
	unlock, err := encryption.ReadKeyFile(ts.MkAbs(args[0] + ".key"))
	ts.Check(err)
	id, err := encryption.OpenIdentity(ts.MkAbs(args[0]), unlock)
	ts.Check(err)
	s, err := disk.Open(filepath.Join(ts.MkAbs(args[0]), replica.StoreDir), &disk.Config{
		BadgerKey: id.BadgerKey().Reveal(), RecordKey: id.RecordKey().Reveal(),
	})
	ts.Check(err)
	doc := account.Ref{Kind: account.KindChat, Entity: args[1]}.ID([32]byte(id.Account()))
	b := &store.Batch{}
	b.Delete(docs, doc[:])
	b.Delete(index, append([]byte{byte(account.KindChat)}, args[1]...))
	ts.Check(errors.Join(s.Commit(b), s.Close()))
}

// What verify says of devices with other documents, and what it ends with.
func TestVerificationNamesDocuments(t *testing.T) {
	docs := []model.DifferentDocument{
		{ID: "00ff", Kind: "chat", Entity: "signal:1", Here: true, There: true},
		{ID: "01ff", Kind: "settings", Here: true},
		{ID: "02ff", There: true},
	}
	for result, want := range map[string]string{
		"repaired":  "Repaired with device d, and equal now: chat signal:1, settings (only here), document 02ff (only there), and 7 more.",
		"different": "Different from device d: chat signal:1, settings (only here), document 02ff (only there), and 7 more.",
	} {
		v := &model.Verification{OK: result == "repaired", Peers: []model.PeerVerification{{Device: "d", Result: result, Documents: docs, More: 7}}}
		if got := verification(v); len(got) != 2 || got[1] != want {
			t.Errorf("it says %q, want %q", got, want)
		}
		var failed *client.Error
		err := verified(v)
		if v.OK != (err == nil) || err != nil && (!errors.As(err, &failed) || failed.Code != codeDifferent || !strings.Contains(err.Error(), "chat signal:1, settings")) {
			t.Errorf("%s ends with %v", result, err)
		}
	}
}
