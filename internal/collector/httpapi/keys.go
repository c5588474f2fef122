package httpapi

import (
	_ "embed"
	"net/http"

	"github.com/signet-egress/signet/receipts"
)

//go:embed openapi.yaml
var openAPI []byte

func (*API) openAPI(w http.ResponseWriter, _ *request) error {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(openAPI)
	return nil
}

// jwks is the key that this collector signs acks, checkpoints and bundles with
// (RFC 7517). Chains' own keys are at each chain.
func (a *API) jwks(w http.ResponseWriter, _ *request) error {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(receipts.JWKS(receipts.ChainKey{PublicKey: a.Key}))
	return nil
}
