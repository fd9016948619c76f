package replica_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/store"
)

// Every call has an outcome that is true, also when Close comes between: what
// was acknowledged is there at the next opening, and nothing else is.
func TestCloseInTheMiddleOfWrites(t *testing.T) {
	for _, first := range []string{"close", "write"} {
		synctest.Test(t, func(t *testing.T) { closeWhileWriting(t, first) })
	}
}

func closeWhileWriting(t *testing.T, first string) {
	d := single(t)
	gate := hold(d)
	outcomes := make(chan outcome, 50)
	for i := range cap(outcomes) {
		go func() {
			id := fmt.Sprint("c", i)
			outcomes <- outcome{id, d.Apply(t.Context(), []model.Edit{unread(id), {Op: model.ChatMute, ID: id, Until: model.Forever}})}
		}()
	}
	synctest.Wait() // one or more are being written, the others are queued
	if first == "write" {
		close(gate.free)
	}
	closed := make(chan error)
	go func() { closed <- d.Close() }()
	if first == "close" {
		synctest.Wait()
		close(gate.free)
	}
	var want []string
	for range cap(outcomes) {
		if o := <-outcomes; o.err == nil {
			want = append(want, o.id)
		} else if !errors.Is(o.err, replica.ErrClosed) || !strings.Contains(o.err.Error(), "chat.unread") {
			t.Errorf("an edit ends with %v", o.err)
		}
	}
	try(t, <-closed)
	if len(want) == 0 || first == "close" && len(want) == cap(outcomes) {
		t.Errorf("%d edits were acknowledged", len(want))
	}
	d = openOn(t, d.id, newFaulty(d.store.left))
	list, err := d.ListChats(t.Context())
	try(t, err)
	slices.Sort(want)
	var got []string
	for _, c := range list {
		if got = append(got, c.ID); c.MutedUntil != model.Forever {
			t.Errorf("half of the edits of %s are there", c.ID)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("chats are %q, acknowledged were %q", got, want)
	}
	verified(t, d.Replica)
	try(t, d.Close())
}

// outcome is how an edit ended.
type outcome struct {
	id  string
	err error
}

// After Close every call says so.
func TestCallsAfterClose(t *testing.T) {
	d := single(t)
	try(t, d.Close())
	calls := map[string]error{
		"close":   d.Close(),
		"apply":   d.Apply(t.Context(), []model.Edit{unread("late")}),
		"local":   d.Local("n").Put(t.Context(), "k", nil),
		"members": d.AdmitMembers(t.Context(), nil),
		"wait":    d.WaitInSync(t.Context(), d.id.Device()),
	}
	_, calls["add"] = d.AddDevice(t.Context(), request(t))
	_, calls["get"] = d.GetChat(t.Context(), "c0")
	_, calls["status"] = d.Status(t.Context())
	_, calls["verify"] = d.Verify(t.Context())
	_, calls["devices"] = d.ListDevices(t.Context())
	_, calls["state"] = d.State(t.Context())
	for name, err := range calls {
		if (name == "close") != (err == nil) || err != nil && !errors.Is(err, replica.ErrClosed) {
			t.Errorf("%s after Close gives %v", name, err)
		}
	}
	for ev := range d.Watch(t.Context(), replica.Now) {
		t.Errorf("after Close comes %+v", ev)
	}
}

var errCrash = errors.New("crashed")

// crashAfter lets n commits through and no more, as a crash does.
func crashAfter(s *faulty, n int) {
	s.refusing(func(*store.Batch) error {
		if n--; n < 0 {
			return errCrash
		}
		return nil
	})
}

// Writers write at the same time, the process dies between two commits, and
// the next life begins with what the store had. Everything acknowledged in
// any life is there, whole, and nothing else.
func TestAcknowledgedSurvivesCrash(t *testing.T) {
	home := t.TempDir()
	_, _, err := encryption.Create(home, key(), &encryption.CreateOptions{Name: "a", Now: start})
	try(t, err)
	rapid.Check(t, func(t *rapid.T) {
		disk, want := store.NewMemory(), map[string]bool{}
		for life := range rapid.IntRange(1, 4).Draw(t, "lives") {
			s := newFaulty(disk)
			r := openLife(t, home, s)
			if got := paired(t, r); !slices.Equal(got, sorted(want)) {
				t.Fatalf("life %d begins with %q, acknowledged were %q", life, got, sorted(want))
			}
			crashAfter(s, rapid.IntRange(0, 12).Draw(t, "commits"))
			for _, id := range write(t, r, life, rapid.IntRange(1, 4).Draw(t, "writers")) {
				want[id] = true
			}
			if v, err := r.Verify(t.Context()); err != nil || !v.OK {
				t.Fatalf("verification is %+v: %v", v, err)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			disk = s.left
		}
	})
}

func openLife(t *rapid.T, home string, s *faulty) *replica.Replica {
	id, err := encryption.OpenIdentity(home, key())
	if err != nil {
		t.Fatal(err)
	}
	r, err := replica.Open("", &replica.Config{Identity: id, Store: s})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func sorted(set map[string]bool) []string {
	var all []string
	for id := range set {
		all = append(all, id)
	}
	slices.Sort(all)
	return all
}

// write lets some goroutines apply edits until they fail, and returns what was
// acknowledged.
func write(t *rapid.T, r *replica.Replica, life, writers int) []string {
	done := make(chan []string)
	for w := range writers {
		go func() {
			var acked []string
			for n := range 6 {
				id := fmt.Sprintf("%d-%d-%d", life, w, n)
				name := "name"
				err := r.Apply(t.Context(), []model.Edit{
					unread(id), {Op: model.LabelSet, ID: id, Name: &name}, {Op: model.ChatLabel, ID: id, Label: id},
				})
				if err != nil {
					if !errors.Is(err, errCrash) {
						acked = append(acked, err.Error()) // is not there, so the test fails
					}
					break
				}
				acked = append(acked, id)
			}
			done <- acked
		}()
	}
	var all []string
	for range writers {
		all = append(all, <-done...)
	}
	return all
}

// paired returns the ids of the chats, after checking that each has its label
// and that there is no other label.
func paired(t *rapid.T, r *replica.Replica) []string {
	s, err := r.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for i, c := range s.Chats {
		if ids = append(ids, c.ID); len(s.Labels) != len(s.Chats) || s.Labels[i].ID != c.ID || !slices.Equal(c.Labels, []string{c.ID}) {
			t.Fatalf("chat %+v is half there; labels %+v", c, s.Labels)
		}
	}
	return ids
}
