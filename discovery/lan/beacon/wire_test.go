//go:build linux

package beacon

import (
	"bytes"
	"strings"
	"testing"
)

// TestWaitingDeviceIsSilentUntilAsked: for one who waits nothing goes out, not
// when it starts, when it gets an address, when others ask for other tags, or
// when it ends; and then one answer a question. (The system itself tells routers
// that somebody here listens to mDNS: that isn't UDP and is the same for all.)
func TestWaitingDeviceIsSilentUntilAsked(t *testing.T) {
	r := newRoom(t, "switch")
	a, b := r.host(both), r.host(both)
	a.plug("eth0", "switch", "10.0.0.1/24")
	b.plug("eth0", "switch", "10.0.0.2/24")
	w := r.tap(a.ports["eth0"])
	alice, bob := a.start("alice"), b.start("bob")
	alice.answer(tag1, "hello")
	a.ip(nil, "addr add 10.0.0.3/24 dev eth0")
	bob.tell("ask", tag2)
	all := w.await("six questions for another tag", func(all []datagram) bool { return questionsIn(all) >= 6 })
	if answersIn(all) > 0 || questionsIn(all) != len(all) {
		t.Errorf("on the wire before the first question: %+v", all)
	}
	bob.stop("ask", tag2)
	asked := questionsIn(w.all())
	bob.tell("ask", tag1)
	bob.hears(tag1, "hello")
	bob.hears(tag1, "hello") // by the other IP version
	bob.stop("ask", tag1)
	all = w.await("answer to each question", func(all []datagram) bool { return answersIn(all) >= questionsIn(all)-asked })
	if q, a := questionsIn(all)-asked, answersIn(all); q != a || len(all) != asked+q+a {
		t.Errorf("%d questions, %d answers, %d datagrams", q, a, len(all)-asked)
	}
	alice.stop("answer", tag1)
	before := len(w.all())
	bob.tell("ask", tag1)
	all = w.await("four questions for a tag that is no more", func(all []datagram) bool { return len(all) >= before+4 })
	if q := questionsIn(all[before:]); q != len(all)-before {
		t.Errorf("%d datagrams, %d of them questions", len(all)-before, q)
	}
}

// TestBeaconHasNoSocketsWhileNothingIsRegistered: the port is others' too.
func TestBeaconHasNoSocketsWhileNothingIsRegistered(t *testing.T) {
	r := newRoom(t, "switch")
	h := r.host(both)
	h.plug("eth0", "switch", "10.0.0.1/24")
	alice := h.start("alice")
	alice.answer(tag1, "hello") // Go's own descriptors come with the first socket
	alice.stop("answer", tag1)
	idle := alice.weigh().Descriptors
	alice.answer(tag1, "hello")
	alice.tell("ask", tag2)
	alice.holds(idle + 6) // a server and two ears, by two IP versions
	alice.stop("answer", tag1)
	alice.holds(idle + 4)
	alice.answer(tag1, "hello")
	alice.stop("ask", tag2)
	alice.holds(idle + 2)
	alice.stop("answer", tag1)
	alice.holds(idle)
}

// TestThousandSharesUseTheSocketsOfOne, and all of them are found.
func TestThousandSharesUseTheSocketsOfOne(t *testing.T) {
	const shares = 1000
	r := newRoom(t, "switch")
	a, b := r.host(both), r.host(both)
	a.plug("eth0", "switch", "10.0.0.1/24")
	b.plug("eth0", "switch", "10.0.0.2/24")
	alice, bob := a.start("alice"), b.start("bob")
	bob.tell("ask", tag1)
	alice.answer(tag1, "hello")
	bob.hears(tag1, "hello")
	one := [2]event{alice.weigh(), bob.weigh()}
	for i := range shares {
		alice.answer(numbered(i), "hello")
	}
	missing := make(map[string]bool)
	for i := range shares {
		missing[numbered(i)] = true
		bob.tell("ask", numbered(i))
	}
	bob.await("each of a thousand", func(e event) bool {
		delete(missing, e.Tag)
		return len(missing) == 0
	})
	alice.holds(one[0].Descriptors)
	bob.holds(one[1].Descriptors)
	all := [2]event{alice.weigh(), bob.weigh()}
	t.Logf("one share: %+v; a thousand: %+v", one, all)
	if all[0].Goroutines != one[0].Goroutines || all[1].Goroutines > one[1].Goroutines+shares {
		t.Errorf("goroutines: %d and %d, with one share %d and %d", all[0].Goroutines, all[1].Goroutines, one[0].Goroutines, one[1].Goroutines)
	}
}

// TestAskEndsWithItsContextOrItsBeacon, and both leave nothing: a device looks
// for goroutines when it ends.
func TestAskEndsWithItsContextOrItsBeacon(t *testing.T) {
	r := newRoom(t, "switch")
	h := r.host(both)
	h.plug("eth0", "switch", "10.0.0.1/24")
	alice := h.start("alice")
	alice.tell("ask", tag1)
	alice.stop("ask", tag1)
	alice.answer(tag1, "hello")
	alice.tell("ask", tag2)
	alice.tell("close")
	failed := func(tag string) func(event) bool {
		return func(e event) bool { return e.Event == "failed" && e.Tag == tag && e.Text == ErrClosed.Error() }
	}
	alice.await("end of what was asked", failed(tag2))
	alice.answer(tag1, "hello")
	alice.tell("ask", tag1)
	alice.await("refusal to ask", failed(tag1))
	alice.tell("ask", "no-tag")
	alice.await("refusal of what is no tag", func(e event) bool { return e.Event == "failed" && e.Tag == "no-tag" })
}

// TestWireTellsNoNameAndNothingCommonToTwoShares: of a share there are its tag,
// its text and what every question and answer in the world has, and that on this
// link only.
func TestWireTellsNoNameAndNothingCommonToTwoShares(t *testing.T) {
	question := "\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x10_TAG\x04_udp\x05local\x00\x00\x10\x80\x01"
	toAll := strings.TrimSuffix(question, "\x80\x01") + "\x00\x01" // the answer goes to the group
	answer := "\x00\x00\x84\x00\x00\x00\x00\x01\x00\x00\x00\x00\x10_TAG\x04_udp\x05local\x00\x00\x10\x00\x01\x00\x00\x00\x01\x00\x06\x05TEXT!"

	r := newRoom(t, "switch")
	a, b := r.host(both), r.host(both)
	a.plug("eth0", "switch", "10.0.0.1/24")
	b.plug("eth0", "switch", "10.0.0.2/24")
	w := r.tap(a.ports["eth0"])
	alice, bob := a.start("grandmas-phone"), b.start("catsitters-phone")
	for tag, text := range map[string]string{tag1: "text1", tag2: "text2"} {
		alice.answer(tag, text)
		bob.tell("ask", tag)
		bob.hears(tag, text)
		bob.hears(tag, text)
		bob.stop("ask", tag)
	}
	all := w.all()
	if len(all) < 8 {
		t.Fatalf("%d datagrams", len(all))
	}
	for _, d := range all {
		for _, name := range []string{"grandma", "catsitter", "phone", "sparekey", "eth0"} {
			if bytes.Contains(bytes.ToLower(d.payload), []byte(name)) {
				t.Errorf("%q is on the wire: %q", name, d.payload)
			}
		}
		if d.ttl != 1 {
			t.Errorf("a router would pass on %q", d.payload)
		}
		bare := strings.NewReplacer(tag1, "TAG", tag2, "TAG", "text1", "TEXT!", "text2", "TEXT!").Replace(string(d.payload))
		if bare != question && bare != toAll && bare != answer {
			t.Errorf("on the wire: %q", d.payload)
		}
	}
}

// TestTextIsOpaque: every byte comes through, and 255 of them.
func TestTextIsOpaque(t *testing.T) {
	r := newRoom(t)
	h := r.host(v4only)
	alice, bob := h.start("alice"), h.start("bob")
	alice.tell("bytes", tag1)
	alice.await("answering", func(e event) bool { return e.Event == "answering" })
	bob.tell("ask", tag1)
	bob.hears(tag1, printable(everyByte()))
}
