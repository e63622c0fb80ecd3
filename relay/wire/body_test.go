package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func some(t *rapid.T, name string) (b [32]byte) {
	copy(b[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, name))
	return b
}

func TestEveryBodyIsReadBackAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Create{
			Preimage: some(t, "c"), View: some(t, "view"), Sender: some(t, "sender"),
			Offer:  rapid.SliceOfN(rapid.Byte(), 1, MaxOffer).Draw(t, "offer"),
			Lanes:  rapid.IntRange(1, MaxLanes).Draw(t, "lanes"),
			TTL:    time.Duration(rapid.Int64Range(1, int64(MaxTTL/time.Second)).Draw(t, "ttl")) * time.Second,
			Public: rapid.SampledFrom([][]byte{nil, []byte(`{}`), []byte(`{"title":"<b> & \u2028 é"}`)}).Draw(t, "public"),
		}
		if got, err := ParseCreate(c.Body()); err != nil || !reflect.DeepEqual(got, c) {
			t.Fatalf("create: %v\ngot  %+v\nwant %+v", err, got, c)
		}
		b := Binding{Epoch: rapid.Uint64Range(0, MaxNumber).Draw(t, "epoch"), Lane: [8]byte(append(c.View[:7:7], 1)), Claim: c.Sender}
		if got, err := ParseBinding(b.Body()); err != nil || got != b {
			t.Fatalf("binding: %v, got %+v, want %+v", err, got, b)
		}
		p := Proof{H: c.View, Over: c.Sender}
		if got, err := ParseProof(p.Body()); err != nil || got != p {
			t.Fatalf("proof: %v, got %+v, want %+v", err, got, p)
		}
	})
}

// sample is a create that is read; each case below spoils it in one place.
func sample() map[string]string {
	word := `"` + Text(make([]byte, 32)) + `"`
	return map[string]string{"preimage": word, "offer": `"AAAA"`, "view": word, "sender": word, "lanes": "4", "ttl": "3600", "public": `{"a": 1}`}
}

func join(fields map[string]string) []byte {
	var parts []string
	for name, value := range fields {
		parts = append(parts, `"`+name+`":`+value)
	}
	return []byte("{" + strings.Join(parts, ",") + "}")
}

func TestACreateIsReadStrictly(t *testing.T) {
	if _, err := ParseCreate(join(sample())); err != nil {
		t.Fatalf("the unspoilt create must be read: %v", err)
	}
	long := `"` + Text(make([]byte, MaxOffer+1)) + `"`
	for _, c := range []struct {
		field, value string
		want         error
	}{
		{"ttl", "0", ErrOutOfRange}, {"ttl", "604801", ErrOutOfRange}, {"ttl", "691200", ErrOutOfRange}, {"ttl", "18446744073709551617", ErrOutOfRange},
		{"ttl", "-1", ErrMalformed}, {"ttl", "1.5", ErrMalformed}, {"ttl", "1e2", ErrMalformed}, {"ttl", `"60"`, ErrMalformed}, {"ttl", "null", ErrMalformed},
		{"lanes", "0", ErrOutOfRange}, {"lanes", "17", ErrOutOfRange}, {"lanes", "[]", ErrMalformed},
		{"view", `""`, ErrMalformed}, {"view", "null", ErrMalformed}, {"view", `"AAAA"`, ErrMalformed}, {"sender", "1", ErrMalformed},
		{"preimage", `"` + strings.Repeat("A", 42) + `B"`, ErrMalformed}, // bits that say nothing must be zero
		{"preimage", `"` + strings.Repeat("A", 42) + `\n"`, ErrMalformed},
		{"offer", `""`, ErrMalformed}, {"offer", long, ErrMalformed}, {"offer", "{}", ErrMalformed},
		{"public", "[]", ErrMalformed}, {"public", "null", ErrMalformed}, {"public", `{"a":"` + strings.Repeat("a", MaxPublic) + `"}`, ErrMalformed},
		{"other", "1", ErrMalformed}, {"TTL", "60", ErrMalformed},
	} {
		fields := sample()
		fields[c.field] = c.value
		if _, err := ParseCreate(join(fields)); !errors.Is(err, c.want) {
			t.Errorf("%s = %.40s: got %v, want %v", c.field, c.value, err, c.want)
		}
	}
	for _, missing := range []string{"preimage", "offer", "view", "sender"} {
		fields := sample()
		delete(fields, missing)
		if _, err := ParseCreate(join(fields)); !errors.Is(err, ErrMalformed) {
			t.Errorf("a create without %s must be refused, got %v", missing, err)
		}
	}
}

func TestACreateHasDefaults(t *testing.T) {
	fields := sample()
	delete(fields, "ttl")
	delete(fields, "lanes")
	delete(fields, "public")
	c, err := ParseCreate(join(fields))
	if err != nil || c.TTL != 24*time.Hour || c.Lanes != 4 || c.Public != nil {
		t.Errorf("without ttl, lanes and public: %v, %v, %d lanes, public %q; want 24h, 4 and none", err, c.TTL, c.Lanes, c.Public)
	}
}

func TestABodyIsOneObjectWithEachFieldOnce(t *testing.T) {
	good := string(Proof{}.Body())
	half := `"h":"` + Text(make([]byte, 32)) + `"`
	for _, b := range []string{
		"", "{", "null", "[]", "1", `"h"`, "{}", "{" + half + "}", good + good, good + "x", "[" + good + "]", strings.TrimSuffix(good, "}"),
		strings.TrimSuffix(good, "}") + "," + half + "}", strings.TrimSuffix(good, "}") + `,"\u0068":"` + Text(make([]byte, 32)) + `"}`,
		strings.TrimSuffix(good, "}") + `,"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}",
		good + strings.Repeat(" ", MaxJSON),
	} {
		if _, err := ParseProof([]byte(b)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%.80s: got %v, want it refused as malformed", b, err)
		}
	}
	if _, err := ParseProof([]byte(" " + good + "\n")); err != nil {
		t.Errorf("white space around an object does no harm, got %v", err)
	}
}

func TestNoErrorRepeatsWhatTheClientSent(t *testing.T) {
	fields := sample()
	fields["marker-field"] = `"marker-value"`
	_, err := ParseCreate(join(fields))
	fields = sample()
	fields["view"] = `"marker-value"`
	_, err2 := ParseCreate(join(fields))
	_, err3 := ParseQuery("marker=1", From)
	for _, err := range []error{err, err2, err3} {
		if err == nil || strings.Contains(err.Error(), "marker") {
			t.Errorf("an error ends up in answers and logs and must not hold what came in: %v", err)
		}
	}
}

func FuzzCreate(f *testing.F) {
	f.Add(join(sample()))
	f.Add(Create{Offer: []byte{1}, Public: []byte(`{"title":"x"}`)}.Body())
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseCreate(b)
		if err != nil {
			return
		}
		if again, err := ParseCreate(c.Body()); err != nil || !reflect.DeepEqual(c, again) {
			t.Fatalf("a create that was read isn't read back: %v\n%+v\n%+v", err, c, again)
		}
		if c.Lanes < 1 || c.Lanes > MaxLanes || c.TTL < time.Second || c.TTL > MaxTTL || len(c.Offer) > MaxOffer || len(c.Public) > MaxPublic {
			t.Fatalf("beyond the bounds: %+v", c)
		}
		if c.Public != nil && !json.Valid(c.Public) {
			t.Fatalf("public is no JSON: %q", c.Public)
		}
	})
}

func FuzzBinding(f *testing.F) {
	f.Add(Binding{Lane: [8]byte{1}}.Body())
	f.Add(Binding{Epoch: MaxNumber, Lane: [8]byte{1}}.Body())
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseBinding(b)
		if again, _ := ParseBinding(c.Body()); err == nil && (again != c || c.Lane == [8]byte{}) {
			t.Fatalf("%+v was read back as %+v", c, again)
		}
	})
}

func FuzzProof(f *testing.F) {
	f.Add(Proof{H: [32]byte{1}}.Body())
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseProof(b)
		if again, _ := ParseProof(p.Body()); err == nil && !bytes.Equal(again.Body(), p.Body()) {
			t.Fatalf("%+v was read back as %+v", p, again)
		}
	})
}
