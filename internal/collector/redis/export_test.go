package redis

import "crypto/x509"

// Trust has certificates verified against these authorities, and not the system's.
func (s *Settings) Trust(roots *x509.CertPool) { s.options.TLSConfig.RootCAs = roots }
