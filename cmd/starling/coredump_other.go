//go:build !unix

package main

func withoutCoreDumps() {}
