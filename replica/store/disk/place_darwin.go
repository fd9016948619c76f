package disk

import "golang.org/x/sys/unix"

// birthplace is what tells a directory from all others: its inode, and when it
// was made.
func birthplace(dir string) ([]uint64, error) {
	var s unix.Stat_t
	if err := unix.Stat(dir, &s); err != nil {
		return nil, err
	}
	return []uint64{s.Ino, 1, uint64(s.Btim.Sec), uint64(s.Btim.Nsec)}, nil
}

// machine names the machine, as far as it has a name.
func machine() string {
	id, err := unix.Sysctl("kern.uuid")
	if err != nil {
		return ""
	}
	return id
}
