package httpapi

// Endpoints are the scopes of all endpoints by method and path.
func Endpoints() map[string]string {
	scopes := make(map[string]string, len(endpoints))
	for _, e := range endpoints {
		scopes[e.method+" "+e.path] = string(e.scope)
	}
	return scopes
}

// Proof is a proof as it is answered.
type Proof = proof

// Witness and Cosigned are what /v1/log/witnesses lists.
type (
	Witness  = witness
	Cosigned = cosigned
)
