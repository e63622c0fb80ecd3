package relay_test

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay"
)

// rows returns the cells of a table's rows in a section of PROTOCOL.md.
func rows(t *testing.T, section string) (all [][]string) {
	t.Helper()
	page, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(page), "\n## "+section+"\n")
	if !found {
		t.Fatalf("PROTOCOL.md has no section %q", section)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if strings.HasPrefix(line, "| ") && len(cells) > 2 {
			cells[0] = strings.TrimPrefix(cells[0], "| ")
			all = append(all, cells)
		}
	}
	return all
}

// TestTheProtocolPageAndOpenAPIAgreeOnEveryAnswer holds the page's two tables
// against the document, which TestOpenAPITellsExactlyWhatTheRelayAnswers holds
// against a running relay.
func TestTheProtocolPageAndOpenAPIAgreeOnEveryAnswer(t *testing.T) {
	ops := documented(t, readYAML(t, "openapi.yaml"))
	inDocument := map[string]bool{"404 no-such-call": true, "405 method": true} // in its words alone
	for _, op := range ops {
		for status, r := range op.answers {
			for typ := range r.types {
				inDocument[fmt.Sprint(status, " ", strings.TrimPrefix(string(typ), "urn:sparekey:problem:"))] = true
			}
		}
	}
	onPage := map[string]bool{}
	for _, cells := range rows(t, "Answers") {
		if _, err := strconv.Atoi(cells[0]); err != nil {
			continue
		}
		for _, typ := range ticked.FindAllStringSubmatch(cells[1], -1) {
			onPage[cells[0]+" "+typ[1]] = true
		}
	}
	if !maps.Equal(inDocument, onPage) {
		t.Errorf("the answers differ:\nPROTOCOL.md  %v\nopenapi.yaml %v", slices.Sorted(maps.Keys(onPage)), slices.Sorted(maps.Keys(inDocument)))
	}
}

// TestTheProtocolPageAndOpenAPIAgreeOnWhatEachCallGives compares the statuses of success.
func TestTheProtocolPageAndOpenAPIAgreeOnWhatEachCallGives(t *testing.T) {
	inDocument := map[string][]string{}
	for name, op := range documented(t, readYAML(t, "openapi.yaml")) {
		if method, path, _ := strings.Cut(name, " "); method != "HEAD" {
			for status := range op.answers {
				if status < 300 {
					inDocument[method+" "+path] = append(inDocument[method+" "+path], fmt.Sprint(status))
				}
			}
		}
	}
	onPage := map[string][]string{}
	names := strings.NewReplacer("ID", "{id}", "EPOCH", "{epoch}", "LANE", "{lane}", "SIDE", "{side}", "SEQ", "{seq}")
	for _, cells := range rows(t, "Calls") {
		for _, call := range calls.FindAllStringSubmatch(cells[0], -1) {
			name := call[1] + " " + names.Replace(call[2])
			answer := cells[len(cells)-1]
			for _, status := range statuses.FindAllString(answer, -1) {
				if status < "300" && !slices.Contains(onPage[name], status) {
					onPage[name] = append(onPage[name], status)
				}
			}
		}
	}
	// /readyz stands beside /healthz in one row.
	onPage["GET /readyz"] = onPage["GET /healthz"]
	for name := range inDocument {
		slices.Sort(inDocument[name])
		slices.Sort(onPage[name])
	}
	if !maps.EqualFunc(inDocument, onPage, slices.Equal[[]string]) {
		t.Errorf("what calls give differs:\nPROTOCOL.md  %v\nopenapi.yaml %v", onPage, inDocument)
	}
}

// TestALogIsFullWhereTheProtocolPageSaysSo fills a log of a relay as it is by default.
func TestALogIsFullWhereTheProtocolPageSaysSo(t *testing.T) {
	page, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`\| one side's log of a lane \| (\d+) frames and 4 MiB \(([\d,]+) bytes.*at most (\d+) bytes, up to (\d+) frames and (\d+) bytes more`)
	told := row.FindStringSubmatch(string(page))
	if told == nil {
		t.Fatal("PROTOCOL.md doesn't say how much a log holds")
	}
	var n [5]int
	for i, s := range told[1:] {
		n[i], _ = strconv.Atoi(strings.ReplaceAll(s, ",", ""))
	}
	frames, bytes, small, allFrames, more := n[0], n[1], n[2], n[3], n[4]
	log := func() (put func(size int) bool) {
		c, seq := frame.Candidate{1}, uint64(0)
		r := relay.Record{Open: map[frame.Candidate]relay.Lane{c: {}}}
		return func(size int) bool {
			f := frame.New(frame.Data, c, seq, make([]byte, size-frame.HeaderSize))
			_, err := r.Append(c, relay.SenderSide, []frame.Frame{f}, nil, relay.Limits{}.WithDefaults())
			if err == nil {
				seq++
			}
			return err == nil
		}
	}
	put := log()
	for i := range allFrames {
		if i >= frames && put(small+1) {
			t.Errorf("frame %d is of %d bytes", i, small+1)
		}
		if !put(small) {
			t.Fatalf("frame %d doesn't fit", i)
		}
	}
	if put(100) {
		t.Errorf("there is room for more than %d frames", allFrames)
	}
	put = log()
	for left := bytes; left > 0; {
		size := min(left, 60_000)
		if !put(size) {
			t.Fatalf("the log is full with %d of %d bytes to go", left, bytes)
		}
		left -= size
	}
	if put(small + 1) {
		t.Errorf("%d bytes and a large frame", bytes)
	}
	for left := more; left > 0; left -= small {
		if !put(small) {
			t.Fatalf("of the last %d bytes there are %d left, and it is full", more, left)
		}
	}
	if put(100) {
		t.Errorf("there is room for more than %d bytes beyond the bound", more)
	}
}

// TestAMailboxsLifeIsBoundedWhereTheProtocolPageSaysSo writes and erases in a
// mailbox of a relay as it is by default, until there is no room for the rest.
func TestAMailboxsLifeIsBoundedWhereTheProtocolPageSaysSo(t *testing.T) {
	page, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`\| bytes of frames of one side in a mailbox's whole life, those erased too \| (\d+) MiB for the sender and (\d+) MiB .* beyond, (\d+) bytes in frames of at most (\d+)`)
	told := row.FindStringSubmatch(string(page))
	if told == nil {
		t.Fatal("PROTOCOL.md doesn't say how much a mailbox takes")
	}
	var n [5]int
	for i, s := range told[1:] {
		n[i], _ = strconv.Atoi(s)
	}
	more, small := n[2], n[3]
	for _, c := range []struct {
		side        relay.Side
		confirmed   bool
		bound, more int
	}{
		{relay.SenderSide, false, n[0] << 20, more},
		{relay.SenderSide, true, n[0] << 20, more},
		{relay.ReceiverSide, false, n[1] << 20 / 2, 0},
		{relay.ReceiverSide, true, n[1] << 20, more},
	} {
		large, all := life(c.side, c.confirmed, small)
		if large > c.bound || large <= c.bound-small-1 || all > c.bound+c.more || all <= c.bound+c.more-frame.HeaderSize {
			t.Errorf("side %d, confirmed %v: %d bytes in large frames, %d in all; the page says %d and %d", c.side, c.confirmed, large, all, c.bound, c.bound+c.more)
		}
	}
}

// life appends on one side of a mailbox until its life has no room for the
// smallest frame, and returns how many bytes were taken in frames larger than
// small, and in all.
func life(side relay.Side, confirmed bool, small int) (large, all int) {
	lane := frame.Candidate{1}
	r := relay.NewRecord(relay.Mailbox{Offer: frame.New(frame.Offer, frame.Candidate{}, 0, nil), Lanes: 4})
	for size, seq := 60_000, uint64(0); all < 1<<28; {
		r.Open[lane] = relay.Lane{Logs: r.Open[lane].Logs} // open, as the first frame finds it
		if confirmed {
			r.Confirmed = lane
		}
		f := frame.New(frame.Data, lane, seq, make([]byte, size-frame.HeaderSize))
		_, err := r.Append(lane, side, []frame.Frame{f}, nil, relay.Limits{}.WithDefaults())
		switch {
		case err == nil:
			if seq++; size > small {
				large += size
			}
			all += size
		case seq > 0: // the log may be full
			r.NextOffer(frame.New(frame.Offer, frame.Candidate{}, r.Epoch+1, nil))
			seq = 0
		case size > small+1:
			size = max(small+1, size/2)
		case size > small:
			size = small
		case size > frame.HeaderSize:
			size = max(frame.HeaderSize, size/2)
		default:
			return large, all
		}
	}
	return large, all
}

var (
	calls    = regexp.MustCompile("`(GET|PUT|DELETE) (/[^?`]+)")
	statuses = regexp.MustCompile(`\b[2-5][0-9][0-9]\b`)
)
