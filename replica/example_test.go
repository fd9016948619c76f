package replica_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/p2p"
	"github.com/starling-sync/starling/replica"
)

// The first device of an account, with a network: it marks a chat as read and
// reads what it did from its own events.
func ExampleOpen() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "starling")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	if err := embed(ctx, dir, encryption.UnlockKey(make([]byte, 32))); err != nil { // a real key is random
		fmt.Println(err)
	}
	// Output:
	// chat signal:+4912345 by this device: true
	// read up to m42
}

func embed(ctx context.Context, dir string, unlock encryption.Unlock) error {
	id, _, err := encryption.Create(dir, unlock, &encryption.CreateOptions{Name: "laptop", Now: time.Now()}) // later OpenIdentity
	if err != nil {
		return err
	}
	net, err := p2p.Listen(ctx, &p2p.Config{Identity: id, Listen: "127.0.0.1:0", NoDiscovery: true}) // leave Network nil to stay offline
	if err != nil {
		return err
	}
	r, err := replica.Open(dir, &replica.Config{Identity: id, Network: net, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return errors.Join(err, net.Close())
	}
	defer r.Close() // and the network with it

	events := r.Watch(ctx, replica.Now) // or replica.After the last event that was seen
	sent := time.Date(2026, 1, 31, 9, 30, 0, 0, time.UTC)
	chat := r.Chat("signal:+4912345")
	err = chat.MarkRead(ctx, account.Position{Time: model.TimeOf(sent), ID: "m42"})
	if err != nil { // once it returns, the edit is durable here; it never waits for others
		return err
	}
	for event := range events { // ends with ctx
		fmt.Printf("%s %s by this device: %t\n", event.Kind, event.Entity, event.Device == id.Device().String())
		break
	}
	c, err := chat.Get(ctx)
	if err != nil {
		return err
	}
	fmt.Println("read up to", c.Read.ID)
	return nil
}
