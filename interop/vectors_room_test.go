package interop

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
)

// TestTagsAndTextsOfTheRoomComeOutAsTheVectorsSay does discovery/lan/testdata/vectors.json.
func TestTagsAndTextsOfTheRoomComeOutAsTheVectorsSay(t *testing.T) {
	var v struct {
		About string
		Tags  []struct {
			Topic, Tag hexBytes
			Role, Name string
		}
		Texts []struct {
			Name, Role, Refuse string
			Topic, Path, Text  hexBytes
			Addresses          []netip.AddrPort
		}
	}
	vectorFile(t, "discovery/lan/testdata/vectors.json", &v)
	roles := map[string]role{"sender": theSender, "receiver": theReceiver}
	for _, c := range v.Tags {
		got := linkKeys{topic: c.Topic}.tag(roles[c.Role])
		equal(t, c.Role, got[:], c.Tag)
		equal(t, c.Role+"'s name", []byte(got.name()), []byte(c.Name))
	}
	var n tally
	for _, c := range v.Texts {
		k := linkKeys{topic: c.Topic, path: c.Path}
		got, err := k.openText(roles[c.Role], c.Text)
		n.judge(t, c.Name, c.Refuse, err)
		if err != nil {
			continue
		}
		if !slices.Equal(got, c.Addresses) {
			t.Errorf("%s: %v, and not %v", c.Name, got, c.Addresses)
		}
		equal(t, c.Name, k.sealText(roles[c.Role], c.Text[:nonceSize], got), c.Text)
	}
	n.report(t, 13)
}

// TestWhatAPathCarriesComesOutAsTheVectorsSay does discovery/lan/quicpath/testdata/vectors.json.
func TestWhatAPathCarriesComesOutAsTheVectorsSay(t *testing.T) {
	var v struct {
		About string
		Tags  []struct {
			Name, Text string
			Tag        hexBytes
		}
		Proofs []struct {
			Name                 string
			End                  end
			Role                 role
			Key, Exporter, Proof hexBytes
		}
		Pieces []struct {
			Name   string
			Bytes  hexBytes
			Frames []hexBytes
			Refuse bool
		}
		Answers []struct {
			Name          string
			Bytes         hexBytes
			Taken, Refuse bool
		}
	}
	vectorFile(t, "discovery/lan/quicpath/testdata/vectors.json", &v)
	var n tally
	refuse := func(yes bool) string { return map[bool]string{true: "it breaks the connection"}[yes] }
	for _, c := range v.Tags {
		got, err := parseTag(c.Text)
		n.judge(t, c.Name, refuse(c.Tag == nil), err)
		if err == nil {
			equal(t, c.Name, got[:], c.Tag)
		}
	}
	for _, c := range v.Proofs {
		equal(t, c.Name, linkKeys{path: c.Key}.proof(c.End, c.Role, c.Exporter), c.Proof)
	}
	for _, c := range v.Pieces {
		r := bytes.NewReader(c.Bytes)
		got, err := readPiece(r)
		n.judge(t, c.Name, refuse(c.Refuse), err)
		if err == nil && (r.Len() > 0 || !slices.EqualFunc(got, c.Frames, func(f frame, b hexBytes) bool { return bytes.Equal(f, b) })) {
			t.Errorf("%s: %d frames with %d bytes behind them, and not %d", c.Name, len(got), r.Len(), len(c.Frames))
		}
	}
	for _, c := range v.Answers {
		taken, err := readAnswer(bytes.NewReader(c.Bytes))
		n.judge(t, c.Name, refuse(c.Refuse), err)
		if err == nil && taken != c.Taken {
			t.Errorf("%s: %v", c.Name, taken)
		}
	}
	n.report(t, 27)
}
