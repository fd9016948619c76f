package disk

import (
	"fmt"
	"log/slog"
	"strings"
)

// logger is a badger.Logger. Badger's informative lines are noise to a user,
// so that they are debug here, and its errors come back from its functions
// too, so that nothing is an error here.
type logger struct{ log *slog.Logger }

func (l *logger) Errorf(format string, args ...any)   { l.log.Warn(line(format, args)) }
func (l *logger) Warningf(format string, args ...any) { l.log.Warn(line(format, args)) }
func (l *logger) Infof(format string, args ...any)    { l.log.Debug(line(format, args)) }

// Debugf drops lines that may hold keys of records.
func (l *logger) Debugf(string, ...any) {}

func line(format string, args []any) string {
	return "badger: " + strings.TrimSpace(fmt.Sprintf(format, args...))
}
