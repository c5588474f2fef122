package proxy_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/signet-egress/signet/receipts"
)

// A rule may let a tunnel carry what is not TLS, where the server speaks first.
func TestOpaqueRule(t *testing.T) {
	b := start(t, options{policy: "rules: [{name: ssh, hosts: [other.test], ports: [PORT], opaque: true}]"})
	go func() {
		c, err := b.raw.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(c, "SSH-2.0-server\r\n")
		_, _ = io.Copy(io.Discard, c)
		_ = c.Close()
	}()
	agent := b.connect(fmt.Sprintf("other.test:%d", b.rawPort())).(*net.TCPConn)
	readUntil(t, agent, "SSH-2.0-server\r\n")
	_, err := io.WriteString(agent, "SSH-2.0-agent\r\n")
	must(t, err)
	must(t, agent.CloseWrite())
	_, err = io.Copy(io.Discard, agent)
	must(t, err)
	r := b.only()
	if r.Outcome != receipts.Forwarded || r.Detail.TLS.Mode != "none" || *r.Detail.Forwarded.BytesUp != 15 || *r.Detail.Forwarded.BytesDown != 16 {
		t.Errorf("%s %+v %+v", r.Outcome, r.Detail.TLS, r.Detail.Forwarded)
	}
}

// An encrypted_client_hello is noted, and refused where the rule says so.
func TestECH(t *testing.T) {
	for _, c := range []struct {
		rule, reason string
		outcome      receipts.Outcome
	}{
		{"", "ok", receipts.Forwarded},
		{", ech: deny", "HEL_SNI_MISMATCH", receipts.Denied},
	} {
		t.Run("rule"+c.rule, func(t *testing.T) {
			b := start(t, options{policy: "rules: [{name: a, hosts: [other.test], ports: [PORT]" + c.rule + "}]"})
			raw := b.connect(b.secure.URL("other.test", "")[len("https://"):])
			conn := tls.Client(raw, &tls.Config{
				ServerName: "hidden.test", RootCAs: b.root, EncryptedClientHelloConfigList: echConfigs(t, "other.test"), MinVersion: tls.VersionTLS13,
			})
			_ = conn.HandshakeContext(t.Context()) // the upstream does not know the key: it is GREASE to it
			_ = conn.Close()
			if r := b.only(); r.Policy.Reason != c.reason || r.Outcome != c.outcome || !r.Detail.TLS.ECH || r.Detail.TLS.SNI != "other.test" {
				t.Errorf("%s %+v %+v", r.Outcome, r.Policy, r.Detail.TLS)
			}
		})
	}
}

// echConfigs is an ECHConfigList (RFC 9849, section 4) for that public name.
func echConfigs(t *testing.T, publicName string) []byte {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	must(t, err)
	const x25519, hkdfSHA256, aes128GCM = 0x0020, 0x0001, 0x0001
	vector := func(dst, b []byte) []byte {
		return append(binary.BigEndian.AppendUint16(dst, uint16(len(b))), b...)
	}
	contents := []byte{1} // config_id
	contents = binary.BigEndian.AppendUint16(contents, x25519)
	contents = vector(contents, key.PublicKey().Bytes())
	contents = vector(contents, []byte{0, hkdfSHA256, 0, aes128GCM})
	contents = append(contents, 0, byte(len(publicName)))
	contents = append(contents, publicName...)
	contents = vector(contents, nil) // extensions
	config := vector([]byte{0xfe, 0x0d}, contents)
	return vector(nil, config)
}
