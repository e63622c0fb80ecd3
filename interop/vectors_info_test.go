package interop

import (
	"bytes"
	"testing"
)

// TestProvisioningInformationIsReadAsTheVectorsSay does node/credential/testdata/vectors.json.
func TestProvisioningInformationIsReadAsTheVectorsSay(t *testing.T) {
	var v struct {
		About string
		Cases []struct {
			Name, Format, Message, Refuse string
			Exact                         bool
			Content                       *struct {
				Name string
				Mode uint32
				Data hexBytes
			}
		}
	}
	vectorFile(t, "node/credential/testdata/vectors.json", &v)
	var n tally
	for _, c := range v.Cases {
		got, err := decodeInfo([]byte(c.Message), c.Format)
		n.judge(t, c.Name, c.Refuse, err)
		if err != nil || c.Content == nil {
			continue
		}
		if got.name != c.Content.Name || got.mode != c.Content.Mode || !bytes.Equal(got.data, c.Content.Data) {
			t.Errorf("%s: read as %+v", c.Name, got)
		}
	}
	n.report(t, 40)
}
