package receipts

import (
	"crypto/ed25519"
	"errors"
	"fmt"
)

// TypeEnrolment prefixes what the key of a chain signs when the chain is enrolled
// at a collector: the request for a client certificate.
const TypeEnrolment Type = "signet.enroll/1"

// SignEnrolment proves that whoever asks for a certificate has the chain's key.
func SignEnrolment(key ed25519.PrivateKey, request []byte) []byte {
	return ed25519.Sign(key, signed(string(TypeEnrolment), request))
}

// VerifyEnrolment checks what SignEnrolment made, with a key that ParsePublicKey
// has taken.
func VerifyEnrolment(key ed25519.PublicKey, request, proof []byte) error {
	if len(key) != ed25519.PublicKeySize || len(proof) != ed25519.SignatureSize || !ed25519.Verify(key, signed(string(TypeEnrolment), request), proof) {
		return errors.New("the proof is not made with the chain's key")
	}
	return nil
}

// ParsePublicKey takes the 32 bytes of a key that DecodeKey would take.
func ParsePublicKey(raw []byte) (ed25519.PublicKey, error) {
	key, err := DecodeKey(EncodeKey(raw))
	if err != nil {
		return nil, fmt.Errorf("public_key: %w", err)
	}
	return key, nil
}
