// Starling keeps the metadata of one person's chats, the contacts and
// the settings equal on all of that person's devices, without a server.
//
// Every command works on the directory of one device (--dir). A running
// daemon (starling up) says in its daemon.json where its socket is, and then
// all other commands talk to it; without one they open the store themselves.
// Either way a command sees nothing but client.API, so both behave alike.
//
// One file holds one subcommand. Behind them, app is one run of the program
// (its streams and global flags), session is how a command reaches its
// replica, engine puts identity, network and replica together, and exit.go
// says which failure gives which exit code.
//
// What stays compatible: commands, flags, the JSON that --json prints, and
// the exit codes.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	withoutCoreDumps()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
