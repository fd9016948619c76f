//go:build !unix

package bench_test

import (
	"io/fs"
	"time"
)

func allocated(info fs.FileInfo) int64 { return info.Size() }

func processorTime() time.Duration { return 0 }
