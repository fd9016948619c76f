package apitest

import (
	"context"
	"errors"
	"testing"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// take reads n events.
func take(t *testing.T, events func(func(model.Event, error) bool), n int) []model.Event {
	t.Helper()
	var got []model.Event
	events(func(e model.Event, err error) bool {
		if err != nil {
			t.Fatalf("after %d events: %v", len(got), err)
		}
		got = append(got, e)
		return len(got) < n
	})
	if len(got) != n {
		t.Fatalf("the events ended after %d, want %d", len(got), n)
	}
	return got
}

func eventsFromCall(t *testing.T, s Subject) {
	apply(t, s, `[{"op":"chat.unread","id":"before"}]`)
	events := s.API.Events(t.Context(), 0)
	apply(t, s, `[{"op":"chat.unread","id":"a/b"},{"op":"label.set","id":"l","name":"L"}]`)
	got := take(t, events, 2)
	status, err := s.API.Status(t.Context())
	wantCode(t, err, "")
	if got[0].Kind != "chat" || got[0].Entity != "a/b" || got[0].Device != status.Device {
		t.Errorf("first event %+v", got[0])
	}
	if got[1].Kind != "label" || got[1].Entity != "l" || got[1].ID <= got[0].ID {
		t.Errorf("second event %+v after %+v", got[1], got[0])
	}
}

func eventsResume(t *testing.T, s Subject) {
	events := s.API.Events(t.Context(), 0)
	for _, id := range []string{"1", "2", "3", "4"} {
		apply(t, s, `[{"op":"chat.unread","id":"`+id+`"}]`)
	}
	all := take(t, events, 4)
	for i := range all[:3] {
		again := take(t, s.API.Events(t.Context(), all[i].ID), 3-i)
		for j, e := range again {
			if e != all[i+1+j] {
				t.Errorf("resumed after %d: event %+v, want %+v", all[i].ID, e, all[i+1+j])
			}
		}
	}
}

func eventsGap(t *testing.T, s Subject) {
	const notReached = 1 << 60
	got := take(t, s.API.Events(t.Context(), notReached), 1)
	if got[0].Kind != model.GapKind {
		t.Fatalf("after an id that was not reached comes %+v, want a gap", got[0])
	}
}

func eventsEnd(t *testing.T, s Subject) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events := s.API.Events(ctx, 0)
	apply(t, s, `[{"op":"chat.unread","id":"c"}]`)
	n := 0
	for _, err := range events {
		if err != nil {
			t.Fatalf("the end of the context gives %v", err)
		}
		n++
		cancel()
	}
	if n != 1 {
		t.Fatalf("%d events, want 1", n)
	}
}

func invited(t *testing.T, s Subject) client.Invitation {
	t.Helper()
	inv, err := s.Linker.Invite(t.Context())
	wantCode(t, err, "")
	if inv.ID == "" || inv.Ticket == "" || inv.Expires == 0 {
		t.Fatalf("invitation %+v", inv)
	}
	return inv
}

func links(t *testing.T, s Subject) {
	inv := invited(t, s)
	digits, err := s.Join(inv.Ticket, "Pixel ü")
	wantCode(t, err, "")
	name, err := s.Linker.Await(t.Context(), inv.ID)
	wantCode(t, err, "")
	if name != "Pixel ü" {
		t.Errorf("the new device is called %q", name)
	}
	device, err := s.Linker.Confirm(t.Context(), inv.ID, digits)
	wantCode(t, err, "")
	devices, err := s.API.ListDevices(t.Context())
	wantCode(t, err, "")
	found := false
	for _, d := range devices {
		found = found || d == device
	}
	if !found || device.Name != "Pixel ü" || device.Self {
		t.Errorf("the new device is %+v, listed are %+v", device, devices)
	}
	_, err = s.Linker.Confirm(t.Context(), inv.ID, digits)
	wantEnded(t, err)
}

// wantEnded takes both answers that an invite which has ended may give.
func wantEnded(t *testing.T, err error) {
	t.Helper()
	if code := client.CodeOf(err); code != client.CodeLinkFailed && code != client.CodeNotFound {
		t.Fatalf("an invite that has ended gives %v", err)
	}
}

func wrongDigits(t *testing.T, s Subject) {
	inv := invited(t, s)
	digits, err := s.Join(inv.Ticket, "tablet")
	wantCode(t, err, "")
	_, err = s.Linker.Await(t.Context(), inv.ID)
	wantCode(t, err, "")
	last := len(digits) - 1
	wrong := digits[:last] + string('0'+(digits[last]-'0'+1)%10)
	_, err = s.Linker.Confirm(t.Context(), inv.ID, wrong)
	wantCode(t, err, client.CodeLinkFailed)
	_, err = s.Linker.Confirm(t.Context(), inv.ID, digits)
	wantEnded(t, err)
}

func nextInvite(t *testing.T, s Subject) {
	first, second := invited(t, s), invited(t, s)
	if first.ID == second.ID || first.Ticket == second.Ticket {
		t.Fatalf("two invites are alike: %+v, %+v", first, second)
	}
	_, err := s.Linker.Await(t.Context(), first.ID)
	wantEnded(t, err)
}

func cancels(t *testing.T, s Subject) {
	inv := invited(t, s)
	ended := make(chan error, 1)
	go func() {
		_, err := s.Linker.Await(t.Context(), inv.ID)
		ended <- err
	}()
	wantCode(t, s.Linker.Cancel(t.Context(), inv.ID), "")
	wantEnded(t, <-ended)
}

func noInvite(t *testing.T, s Subject) {
	for _, id := range []string{"no such", "..", "a/b"} {
		_, err := s.Linker.Await(t.Context(), id)
		wantCode(t, err, client.CodeNotFound)
		_, err = s.Linker.Confirm(t.Context(), id, "123456")
		wantCode(t, err, client.CodeNotFound)
		wantCode(t, s.Linker.Cancel(t.Context(), id), client.CodeNotFound)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	inv := invited(t, s)
	if _, err := s.Linker.Await(ctx, inv.ID); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting after the end of the context gives %v", err)
	}
}
