package main

import (
	"testing"
	"time"

	"github.com/starling-sync/starling/crdt/model"
)

// Columns are aligned by what a terminal shows, not by bytes or letters.
func TestAligned(t *testing.T) {
	got := aligned([][]string{{"NAME", "ID"}, {"山田太郎", "1"}, {"Zoe\u0308", "2"}, {"a\x1b[31m\u202eb", "3"}})
	want := "NAME      ID\n山田太郎  1\nZoe\u0308       2\na [31mb   3\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestDescribe(t *testing.T) {
	now := time.UnixMilli(1000)
	for want, c := range map[string]model.Chat{
		"":                                     {MutedUntil: 1000},
		"muted":                                {MutedUntil: model.Forever},
		"muted until 1970-01-01T00:00:01.001Z": {MutedUntil: 1001},
		"unread, archived, pinned":             {MarkedUnread: true, Archived: true, Pinned: true},
	} {
		if got := describe(&c, now); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
