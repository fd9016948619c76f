package main

import (
	"os"
	"os/exec"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdReadonly makes a directory such that nothing in it can be written. Root
// may write in spite of permissions, so for root it becomes a mount.
func cmdReadonly(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	if os.Getuid() != 0 {
		ts.Check(exec.Command("chmod", "-R", "a-w", dir).Run())
		ts.Defer(func() { exec.Command("chmod", "-R", "u+w", dir).Run() })
		return
	}
	ts.Check(exec.Command("mount", "--bind", dir, dir).Run())
	ts.Defer(func() { exec.Command("umount", dir).Run() })
	ts.Check(exec.Command("mount", "-o", "remount,bind,ro", dir).Run())
}

// tmpfs DIR SIZE makes a directory on a disk of that size.
func cmdTmpfs(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.Mkdir(dir, 0o700))
	ts.Check(exec.Command("mount", "-t", "tmpfs", "-o", "size="+args[1], "tmpfs", dir).Run())
	ts.Defer(func() { exec.Command("umount", "-l", dir).Run() })
}

// cmdWritable undoes cmdReadonly.
func cmdWritable(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	if os.Getuid() != 0 {
		ts.Check(exec.Command("chmod", "-R", "u+w", dir).Run())
		return
	}
	ts.Check(exec.Command("umount", dir).Run())
}

// canBeReadonly says whether cmdReadonly works here: as root only where
// mounting is allowed.
func canBeReadonly() bool {
	if os.Getuid() != 0 {
		return true
	}
	dir, err := os.MkdirTemp("", "starling-mount-")
	if err != nil {
		return false
	}
	defer os.RemoveAll(dir)
	if exec.Command("mount", "--bind", dir, dir).Run() != nil {
		return false
	}
	return exec.Command("umount", dir).Run() == nil
}
