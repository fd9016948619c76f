package client

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
)

// DefaultSocket returns where the daemon of the replica in dir listens:
// $XDG_RUNTIME_DIR/starling/<key>.sock, or starling-<uid>/<key>.sock in the
// directory for temporary files where XDG_RUNTIME_DIR is not set, with the
// first twelve hexadecimal digits of the SHA-256 of the absolute dir as key.
// Nothing is created or checked: localapi.Listen does that on the daemon's
// side, and a Client before it connects.
func DefaultSocket(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	digest := sha256.Sum256([]byte(dir))
	key := fmt.Sprintf("%x.sock", digest[:6])
	//lint:allow os.Getenv the place is defined by this variable, for programs that have only this package
	if run := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(run) {
		return filepath.Join(run, "starling", key)
	}
	return filepath.Join(os.TempDir(), "starling-"+strconv.Itoa(os.Getuid()), key)
}

// MaxSocketPath is the longest path of a socket in bytes: sun_path less the
// zero byte that ends it.
func MaxSocketPath() int {
	if runtime.GOOS == "linux" {
		return 107
	}
	return 103
}

// CheckSocketPath returns the absolute form of path, or an Error with
// CodeBadRequest when the system cannot bind or dial one that long.
func CheckSocketPath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", Errorf(CodeBadRequest, "socket %s: %w", path, err)
	}
	if len(abs) > MaxSocketPath() {
		return "", Errorf(CodeBadRequest, "socket %s: the path has %d bytes, the system allows %d: choose a shorter one", abs, len(abs), MaxSocketPath())
	}
	return abs, nil
}
