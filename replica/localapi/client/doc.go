// Package client talks to a starling daemon over its Unix socket. It needs
// neither cgo nor the engine.
//
// API is what a program can ask of one replica, Linker what it can ask of one
// that has a network. A Client implements both over the socket; a replica
// implements API in its own process. An Error carries the stable Code of a
// failure, the same on both ways.
//
//	c := client.New(client.DefaultSocket(dir))
//	defer c.Close()
//	err := c.Apply(ctx, []model.Edit{{Op: model.ChatUnread, ID: "signal:+4912345"}})
//	for event, err := range c.Events(ctx, 0) {
//		…
//	}
//
// A program in another language speaks HTTP to the same socket, as openapi.yaml
// beside package localapi describes:
//
//	curl --unix-socket "$XDG_RUNTIME_DIR/starling/0123456789ab.sock" http://starling/v1/chats
//
// What stays compatible: the paths under /v1/, the names of fields and codes,
// the place of the socket, and the bytes that EncodeState writes. Fields and
// codes are added, so a client ignores fields that it does not know.
package client
