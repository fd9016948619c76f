// Package client talks to a starling daemon over its Unix socket. It needs
// neither cgo nor the engine.
package client
