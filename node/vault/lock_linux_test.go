package vault

import (
	"testing"

	"pgregory.net/rapid"
)

// TestEachShareHasALockOfItsOwn: no two ids are of one byte, and none is of the gate's.
func TestEachShareHasALockOfItsOwn(t *testing.T) {
	id := rapid.StringMatching("[" + alphabet + "]{8}")
	rapid.Check(t, func(t *rapid.T) {
		a, b := id.Draw(t, "a"), id.Draw(t, "b")
		if a < b != (number(a) < number(b)) || a == b != (number(a) == number(b)) {
			t.Errorf("%s is %d, %s is %d", a, number(a), b, number(b))
		}
	})
	if first, last := number("aaaaaaaa"), number("zzzzzzzz"); first != 0 || last != 25*25*25*25*25*25*25*25-1 {
		t.Errorf("from %d to %d", first, last)
	}
}
