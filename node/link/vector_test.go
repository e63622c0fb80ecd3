package link

// Made with another language's HMAC-SHA256, from the example of these tests.
const (
	wantPSK  = "41850214b32614afb432c0d63b3d8a164fafedb28bafdc93a6a1279a142a129e"
	wantView = "e1cafdd6cdf4f598c6a3a1532be9af426d7103138dcd6e1efd83fae1af4d2e1a"
)
