//go:build linux || darwin || freebsd

package disk

import "golang.org/x/sys/unix"

// freeSpace returns the bytes that an ordinary user may still write.
func freeSpace(dir string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	// The types of these fields differ between systems; where they are signed,
	// a negative count means none.
	if int64(st.Bavail) <= 0 {
		return 0, nil
	}
	return uint64(st.Bavail) * uint64(st.Bsize), nil
}
