package credential

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/sparekey/sparekey/vectortest"
)

// vectors is testdata/vectors.json; PROTOCOL.md tells how to read it.
type vectors struct {
	About string       `json:"about"`
	Cases []vectorCase `json:"cases"`
}

// A vectorCase is a message of a sender, as text.
type vectorCase struct {
	Name    string         `json:"name"`
	Format  string         `json:"format"` // the preview's
	Message string         `json:"message"`
	Exact   bool           `json:"exact,omitempty"` // what this sender writes
	Content *vectorContent `json:"content,omitempty"`
	Refuse  string         `json:"refuse,omitempty"`
}

type vectorContent struct {
	Name string `json:"name"`
	Mode uint32 `json:"mode"`
	Data string `json:"data"` // hex
}

const vectorsAbout = "Test vectors of provisioning information, version 1. node/credential/PROTOCOL.md tells how to read them. " +
	"Made by: go test ./node/credential -run TestVectors -update"

// TestVectors makes the vectors anew, compares them with the file, and does what
// the file says.
func TestVectors(t *testing.T) {
	read := vectortest.Published(t, makeVectors())
	for _, c := range read.Cases {
		t.Run(c.Name, c.run)
	}
	vectortest.MostAreRefused(t, read.Cases, vectorCase.refused)
}

func (c vectorCase) refused() bool { return c.Refuse != "" }

func (c vectorCase) run(t *testing.T) {
	f, err := NewRegistry(File{}, AgeIdentity{}).Lookup(c.Format)
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.Receive(t.Context(), Turn{State: []byte("{}"), In: []byte(c.Message)})
	if c.Refuse != "" {
		if !errors.Is(err, ErrFinal) {
			t.Errorf("%v, and this must be refused for good: %s", err, c.Refuse)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	p, err := decodePlacement(got.State)
	if err != nil || (vectorContent{p.Name, uint32(p.Mode), hex.EncodeToString(p.Data)}) != *c.Content {
		t.Errorf("read as %+v, %v", p, err)
	}
	if !c.Exact {
		return
	}
	again, err := OfferFile(p.Name, p.Mode, p.Data)
	if c.Format == "age-identity" {
		again, err = OfferAge(p.Name, p.Data)
	}
	if err != nil || string(again) != c.Message {
		t.Errorf("written as %s, %v", again, err)
	}
}

func makeVectors() vectors {
	const identity = "# made for a test\nAGE-SECRET-KEY-184JMZMVQH3E6U0PSL869004Y3U2NYV7R30EU99CSEDNPH02YUVFSZW44VU\n"
	v := vectors{About: vectorsAbout}
	good := func(name, format, message string, exact bool, c vectorContent) {
		v.Cases = append(v.Cases, vectorCase{Name: name, Format: format, Message: message, Exact: exact, Content: &c})
	}
	text := func(b []byte, err error) string {
		if err != nil {
			panic(err)
		}
		return string(b)
	}
	key := vectorContent{"door.key", 0o600, hex.EncodeToString([]byte("the spare key"))}
	good("a file", "file", text(OfferFile("door.key", 0o600, []byte("the spare key"))), true, key)
	good("a file of any bytes", "file", text(OfferFile("x", 0o755, []byte{0, 0xff, 0x3e, 0x3f})), true, vectorContent{"x", 0o755, "00ff3e3f"})
	good("an empty file", "file", text(OfferFile("x", 0o600, nil)), true, vectorContent{"x", 0o600, ""})
	good("an age identity", "age-identity", text(OfferAge("key.txt", []byte(identity))), true, vectorContent{"key.txt", 0o600, hex.EncodeToString([]byte(identity))})
	const content = `{"name":"door.key","mode":384,"data":"dGhlIHNwYXJlIGtleQ=="}`
	good("white space and another order", "file", "\n { \"content\" : {\"data\":\"dGhlIHNwYXJlIGtleQ==\", \"mode\":384, \"name\":\"door.key\"} ,\t\"format\":\"file\" }\r\n", false, key)
	good("white space around each value", "file", `{ "format" : "file" , "content" : { "data" : "dGhlIHNwYXJlIGtleQ==" , "name" : "door.key" , "mode" : 384 } }`, false, key)
	good("escapes", "file", `{"format":"\u0066ile","content":{"name":"door\u002ekey","mode":384,"data":"dGhlIHNwYXJlIGtleQ\u003d="}}`, false, key)
	good("unknown names at the top and below", "file", `{"format":"file","x":{"y":[1,null]},"content":{"name":"door.key","mode":384,"data":"dGhlIHNwYXJlIGtleQ==","z":7}}`, false, key)
	nested := func(n int) string {
		return `{"format":"file","content":` + content + `,"x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + "}"
	}
	good("nested as deep as may be", "file", nested(64), false, key)
	good("names that Unicode's simple folding keeps apart", "file", `{"format":"file","content":`+content+`,"i":1,"ı":2,"İ":3}`, false, key)
	good("a character in two escapes", "file", `{"format":"file","content":{"name":"\ud83d\uDD11.key","mode":384,"data":""}}`, false, vectorContent{"🔑.key", 0o600, ""})
	good("a backslash before what looks like half a character", "file", `{"format":"file","content":`+content+`,"x":"\\ud800"}`, false, key)
	good("the largest mode", "file", `{"format":"file","content":{"name":"x","mode":4294967295,"data":""}}`, false, vectorContent{"x", 1<<32 - 1, ""})
	for _, c := range [][3]string{
		{"nothing", "", "no JSON"},
		{"a byte order mark", "\ufeff" + `{"format":"file","content":` + content + `}`, "no JSON"},
		{"FORMAT", `{"FORMAT":"file","content":` + content + `}`, "names are written as they stand in the page"},
		{"Content", `{"format":"file","Content":` + content + `}`, "names are written as they stand in the page"},
		{"null format", `{"format":null,"content":` + content + `}`, "format is a string"},
		{"s and ſ, twice the same in case", `{"format":"file","content":` + content + `,"s":1,"ſ":2}`, "a name stands in it twice"},
		{"k and the Kelvin sign, twice the same in case", `{"format":"file","content":` + content + `,"k":1,"\u212a":2}`, "a name stands in it twice"},
		{"half a character", `{"format":"file","content":{"name":"x\ud800","mode":384,"data":"eA=="}}`, "an escape is half a surrogate pair"},
		{"the other half of a character", `{"format":"file","content":{"name":"\udc00x","mode":384,"data":"eA=="}}`, "an escape is half a surrogate pair"},
		{"two first halves", `{"format":"file","content":{"name":"\uD800\ud800","mode":384,"data":"eA=="}}`, "an escape is half a surrogate pair"},
		{"half a character before another escape", `{"format":"file","content":{"name":"\ud800\n","mode":384,"data":"eA=="}}`, "an escape is half a surrogate pair"},
		{"half a character in an unknown name", `{"format":"file","content":` + content + `,"\udfff":1}`, "an escape is half a surrogate pair"},
		{"no name", `{"format":"file","content":{"mode":384,"data":"eA=="}}`, "name is missing"},
		{"null name", `{"format":"file","content":{"name":null,"mode":384,"data":"eA=="}}`, "a file's name is a string"},
		{"NAME", `{"format":"file","content":{"NAME":"x","mode":384,"data":"eA=="}}`, "names are written as they stand in the page"},
		{"no mode", `{"format":"file","content":{"name":"x","data":"eA=="}}`, "mode is missing"},
		{"null mode", `{"format":"file","content":{"name":"x","mode":null,"data":"eA=="}}`, "a mode is a number"},
		{"Mode", `{"format":"file","content":{"name":"x","Mode":384,"data":"eA=="}}`, "names are written as they stand in the page"},
		{"a mode with a point", `{"format":"file","content":{"name":"x","mode":384.0,"data":"eA=="}}`, "a mode is digits alone"},
		{"a mode with an exponent", `{"format":"file","content":{"name":"x","mode":3.84e2,"data":"eA=="}}`, "a mode is digits alone"},
		{"a mode of minus nothing", `{"format":"file","content":{"name":"x","mode":-0,"data":"eA=="}}`, "a mode is digits alone"},
		{"Data", `{"format":"file","content":{"name":"x","mode":384,"Data":"eA=="}}`, "names are written as they stand in the page"},
		{"data with a line end in it", `{"format":"file","content":{"name":"x","mode":384,"data":"eHh4\neA=="}}`, "base64 has no line ends"},
		{"data with a line end behind it", `{"format":"file","content":{"name":"x","mode":384,"data":"eA==\r\n"}}`, "base64 has no line ends"},
		{"data with bits behind the last byte", `{"format":"file","content":{"name":"x","mode":384,"data":"eB=="}}`, "the bits behind the last byte are zero"},
		{"a number", "7", "not an object"},
		{"null", "null", "not an object"},
		{"an array", "[" + content + "]", "not an object"},
		{"cut", `{"format":"file","content":` + content, "a brace is missing"},
		{"something behind it", `{"format":"file","content":` + content + `}{}`, "more than one value"},
		{"a comma too many", `{"format":"file","content":` + content + `,}`, "no JSON"},
		{"a comment", `{"format":"file",/* */"content":` + content + `}`, "no JSON"},
		{"another format", `{"format":"wifi","content":` + content + `}`, "the preview said file"},
		{"a format in another case", `{"format":"File","content":` + content + `}`, "the preview said file"},
		{"no format", `{"content":` + content + `}`, "format is missing"},
		{"format as a number", `{"format":7,"content":` + content + `}`, "format is a string"},
		{"no content", `{"format":"file"}`, "content is missing"},
		{"null content", `{"format":"file","content":null}`, "a file's content is an object"},
		{"content in text", `{"format":"file","content":"dGhlIHNwYXJlIGtleQ=="}`, "a file's content is an object"},
		{"format twice", `{"format":"file","format":"file","content":` + content + `}`, "a name stands in it twice"},
		{"format twice, in another case", `{"FORMAT":"file","format":"file","content":` + content + `}`, "a name stands in it twice"},
		{"data twice", `{"format":"file","content":{"name":"x","mode":384,"data":"eA==","data":"eQ=="}}`, "a name stands in it twice"},
		{"an unknown name twice, deep in it", `{"format":"file","content":` + content + `,"x":[{"y":1,"y":2}]}`, "a name stands in it twice"},
		{"nested too deep", nested(65), "a value stands in more than 64 others"},
		{"a name as a number", `{"format":"file","content":{"name":7,"mode":384,"data":"eA=="}}`, "a file's name is a string"},
		{"a mode in text", `{"format":"file","content":{"name":"x","mode":"0600","data":"eA=="}}`, "a mode is a number"},
		{"a negative mode", `{"format":"file","content":{"name":"x","mode":-1,"data":"eA=="}}`, "a mode is 0 to 2³² − 1"},
		{"a mode with a fraction", `{"format":"file","content":{"name":"x","mode":384.5,"data":"eA=="}}`, "a mode is a whole number"},
		{"a mode of 2^32", `{"format":"file","content":{"name":"x","mode":4294967296,"data":"eA=="}}`, "a mode is 0 to 2³² − 1"},
		{"no data", `{"format":"file","content":{"name":"x","mode":384}}`, "data is missing"},
		{"null data", `{"format":"file","content":{"name":"x","mode":384,"data":null}}`, "data is missing"},
		{"data that isn't base64", `{"format":"file","content":{"name":"x","mode":384,"data":"e*=="}}`, "base64, RFC 4648 section 4"},
		{"data in base64url", `{"format":"file","content":{"name":"x","mode":384,"data":"-_8="}}`, "base64, RFC 4648 section 4"},
		{"data without padding", `{"format":"file","content":{"name":"x","mode":384,"data":"eA"}}`, "base64, RFC 4648 section 4"},
		{"data as an array", `{"format":"file","content":{"name":"x","mode":384,"data":{"0":120}}}`, "data is a string"},
	} {
		v.Cases = append(v.Cases, vectorCase{Name: c[0], Format: "file", Message: c[1], Refuse: c[2]})
	}
	for _, c := range [][3]string{
		{"a file where an age identity was announced", `{"format":"file","content":` + content + `}`, "the preview said age-identity"},
		{"no identities", `{"format":"age-identity","content":{"name":"x"}}`, "identities are missing"},
		{"Identities", `{"format":"age-identity","content":{"name":"x","Identities":"` + strings.ReplaceAll(identity, "\n", `\n`) + `"}}`, "names are written as they stand in the page"},
		{"an identity without a name", `{"format":"age-identity","content":{"identities":"` + strings.ReplaceAll(identity, "\n", `\n`) + `"}}`, "name is missing"},
		{"null identities", `{"format":"age-identity","content":{"name":"x","identities":null}}`, "identities are a string"},
		{"identities without one", `{"format":"age-identity","content":{"name":"x","identities":"# nothing\n"}}`, "it holds one identity at least"},
		{"a broken identity", `{"format":"age-identity","content":{"name":"x","identities":"AGE-SECRET-KEY-1BROKEN\n"}}`, "each line is an identity, a comment or empty"},
	} {
		v.Cases = append(v.Cases, vectorCase{Name: c[0], Format: "age-identity", Message: c[1], Refuse: c[2]})
	}
	return v
}
