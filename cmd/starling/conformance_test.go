package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/p2p"
	"github.com/starling-sync/starling/replica/localapi"
	"github.com/starling-sync/starling/replica/localapi/apitest"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// newEngine opens a real replica on a real store, with a network that listens
// on the loopback interface.
func newEngine(t *testing.T) *engine {
	t.Helper()
	dir := t.TempDir()
	unlock := encryption.UnlockKey(make([]byte, 32))
	id, _, err := encryption.Create(dir, unlock, &encryption.CreateOptions{Name: "laptop", Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	e, err := openEngine(t.Context(), dir, &engineConfig{Identity: id, Listen: "127.0.0.1:0", NoDiscovery: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return e
}

// newDevice returns what joins with a ticket, over the real handshake, which
// ends with the test.
func newDevice(t *testing.T) func(ticket, name string) (digits string, err error) {
	return func(ticket, name string) (string, error) {
		j, err := encryption.NewJoiner(&encryption.JoinOptions{Name: name})
		if err != nil {
			return "", err
		}
		ctx, cancel := context.WithCancel(context.Background())
		shown, ended := make(chan string, 1), make(chan error, 1)
		dir := t.TempDir()
		go func() {
			ended <- p2p.Join(ctx, ticket, j, &p2p.JoinConfig{
				ShowDigits: func(digits string) { shown <- digits },
				Save: func() (*encryption.Identity, error) {
					return j.Save(dir, encryption.UnlockKey(make([]byte, 32)))
				},
			})
		}()
		t.Cleanup(func() {
			cancel()
			<-ended
		})
		select {
		case digits := <-shown:
			return digits, nil
		case err := <-ended:
			ended <- err
			return "", err
		}
	}
}

// The real replica keeps what package client promises, for a command that
// opens the directory itself.
func TestEngineConforms(t *testing.T) {
	apitest.Run(t, func(t *testing.T) apitest.Subject {
		e := newEngine(t)
		return apitest.Subject{API: e, Linker: e, Join: newDevice(t)}
	})
}

// And so it does through the daemon's socket, for every other program.
func TestDaemonConforms(t *testing.T) {
	apitest.Run(t, func(t *testing.T) apitest.Subject {
		e := newEngine(t)
		run, err := os.MkdirTemp("", "starling") // the path of a socket is short
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(run) })
		socket := filepath.Join(run, "api", "d.sock")
		l, err := localapi.Listen(socket)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan error, 1)
		go func() { served <- localapi.Serve(ctx, l, localapi.New(e, e.linker, nil)) }()
		c := client.New(socket)
		t.Cleanup(func() {
			c.Close()
			cancel()
			if err := <-served; err != nil {
				t.Errorf("serve: %v", err)
			}
		})
		return apitest.Subject{API: c, Linker: c, Join: newDevice(t)}
	})
}
