package beacon

import (
	"context"
	"log/slog"
)

// complaints takes what the library logs, which quotes strangers' packets.
type complaints struct {
	view *view
	log  *slog.Logger
}

// maxComplaint is how much of a packet that couldn't be read is worth a line.
const maxComplaint = 200

// Write logs a line where somebody looks for it. The server has packets that it
// complains of at its view's pace too: a line is as long as it was dear to make.
func (c complaints) Write(line []byte) (int, error) {
	if c.log.Enabled(context.Background(), slog.LevelDebug) {
		c.log.Debug("mDNS: a packet can't be used", "interface", c.view.ifi.Name, "why", string(line[:min(len(line), maxComplaint)]))
	}
	c.view.pace(1 + len(line)/maxComplaint)
	return len(line), nil
}
