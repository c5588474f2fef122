package web

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// sessionLife is how long a login lasts; a working day, after which the token is
// asked for again.
const sessionLife = 12 * time.Hour

// sessions are kept by the browser: a cookie holds, sealed with AES-GCM, the
// token's digest and when the session ends. Any replica can open it.
type sessions struct{ seal cipher.AEAD }

func newSessions(secret []byte) (*sessions, error) {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("signet session"))
	block, err := aes.NewCipher(mac.Sum(nil))
	if err != nil {
		return nil, fmt.Errorf("make the session key: %w", err)
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("make the session key: %w", err)
	}
	return &sessions{seal}, nil
}

func (s *sessions) begin(w http.ResponseWriter, r *http.Request, digest [32]byte, now time.Time) error {
	nonce := make([]byte, s.seal.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return err
	}
	plain := binary.BigEndian.AppendUint64(digest[:], uint64(now.Add(sessionLife).Unix()))
	value := base64.RawURLEncoding.EncodeToString(s.seal.Seal(nonce, nonce, plain, nil))
	http.SetCookie(w, cookie(r, value, int(sessionLife/time.Second)))
	return nil
}

// of is the digest of the token that a request's session was begun with.
func (s *sessions) of(r *http.Request, now time.Time) (digest [32]byte, ok bool) {
	c, err := r.Cookie(cookieName(r))
	if err != nil {
		return digest, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(c.Value)
	if err != nil || len(b) < s.seal.NonceSize() {
		return digest, false
	}
	plain, err := s.seal.Open(nil, b[:s.seal.NonceSize()], b[s.seal.NonceSize():], nil)
	if err != nil || len(plain) != len(digest)+8 {
		return digest, false
	}
	ends := time.Unix(int64(binary.BigEndian.Uint64(plain[len(digest):])), 0)
	return [32]byte(plain), now.Before(ends)
}

func (s *sessions) end(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, cookie(r, "", -1))
}

func cookie(r *http.Request, value string, maxAge int) *http.Cookie {
	c := &http.Cookie{Name: cookieName(r), Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, Secure: true, SameSite: http.SameSiteStrictMode}
	c.Secure = !onLoopback(r)
	return c
}

// cookieName has the prefix that binds a cookie to its host and to HTTPS (RFC
// 6265bis, section 4.1.3.2). On this machine itself there is no TLS to bind to.
func cookieName(r *http.Request) string {
	if onLoopback(r) {
		return "signet-session"
	}
	return "__Host-signet-session"
}

// onLoopback tells whether the browser is on this machine, by the name in its
// address bar.
func onLoopback(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = strings.Trim(r.Host, "[]")
	}
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
