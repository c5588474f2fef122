package e2e

import (
	"crypto/sha256"
	"fmt"
)

// Two agents behind one sidecar, and their keys.
var agentsConfig = fmt.Sprintf(`agents:
  - {name: reader, keys: [{id: k1, sha256: %x}]}
  - {name: writer, keys: [{id: k2, sha256: %x}]}
`, sha256.Sum256([]byte("reader-key")), sha256.Sum256([]byte("writer-key")))
