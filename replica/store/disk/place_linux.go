package disk

import (
	"bytes"
	"os"

	"golang.org/x/sys/unix"
)

// birthplace is what tells a directory from all others: its inode, and when it
// was made. Where the file system does not keep that, it is the device; that
// alone would not do, because many file systems get another one at each mount.
func birthplace(dir string) ([]uint64, error) {
	var s unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, dir, 0, unix.STATX_INO|unix.STATX_BTIME, &s); err != nil {
		return nil, err
	}
	if s.Mask&unix.STATX_BTIME != 0 {
		return []uint64{s.Ino, 1, uint64(s.Btime.Sec), uint64(s.Btime.Nsec)}, nil
	}
	return []uint64{s.Ino, 0, uint64(s.Dev_major), uint64(s.Dev_minor)}, nil
}

// machine names the machine, as far as it has a name.
func machine() string {
	for _, path := range []string{"/etc/machine-id", "/var/lib/dbus/machine-id"} {
		if b, err := os.ReadFile(path); err == nil {
			return string(bytes.TrimSpace(b))
		}
	}
	return ""
}
