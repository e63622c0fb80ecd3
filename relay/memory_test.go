package relay_test

import (
	"testing"

	"github.com/sparekey/sparekey/relay"
	"github.com/sparekey/sparekey/relay/storetest"
)

func TestMemoryKeepsWhatAStorePromises(t *testing.T) {
	storetest.Test(t, func(_ *testing.T, c *storetest.Clock, l relay.Limits) relay.Store { return relay.NewMemory(c.Now, l) })
}
