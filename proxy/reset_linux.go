package proxy

import (
	"net"

	"golang.org/x/sys/unix"
)

// tcpClose is TCP_CLOSE of Linux's tcp_states.h: where a reset leaves a socket.
const tcpClose = 7

// wasReset reports whether the peer has reset the connection.
func wasReset(c *net.TCPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	reset := false
	_ = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		reset = err == nil && info.State == tcpClose
	})
	return reset
}
