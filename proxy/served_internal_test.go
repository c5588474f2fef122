package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipe is a servedConn, and what an agent has written to it.
func pipe(t *testing.T, written string) (*servedConn, net.Conn) {
	agent, server := net.Pipe()
	t.Cleanup(func() { _ = agent.Close() })
	go func() { _, _ = io.WriteString(agent, written) }()
	return newServedConn(server, Timeouts{RequestHeader: 10 * time.Second, Farewell: 5 * time.Second}), agent
}

const wholeHead = "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n"

// readHead reads as the server does when it waits for a request.
func readHead(t *testing.T, c net.Conn) {
	t.Helper()
	p := make([]byte, 4096)
	if n, err := c.Read(p); err != nil || string(p[:n]) != wholeHead {
		t.Fatalf("%q, %v", p[:n], err)
	}
}

// A head that is late does no harm to the request before it, which is still being
// answered, and ends the connection after it.
func TestLateHeadBehindAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := pipe(t, wholeHead+"GET http://a.test/ HTTP/1.1\r\n")
		readHead(t, c)
		read := make(chan error, 1)
		go func() { // the server looks whether the agent is still there
			_, err := c.Read(make([]byte, 1))
			read <- err
		}()
		<-time.After(time.Minute)
		synctest.Wait()
		select {
		case err := <-read:
			t.Fatal(err)
		default:
		}
		c.answered.Add(1)
		if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil { // the server has seen enough
			t.Fatal(err)
		}
		if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		if err := c.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 4096)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}

// What is late counts from the first byte of the head, and no longer than to its end.
func TestHeadTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, agent := pipe(t, wholeHead[:10])
		go func() {
			<-time.After(9 * time.Second)
			_, _ = io.WriteString(agent, wholeHead[10:])
			<-time.After(time.Hour)
			_, _ = io.WriteString(agent, wholeHead[:1])
			<-time.After(11 * time.Second)
			_, _ = io.WriteString(agent, wholeHead[1:])
		}()
		readHead(t, c)
		c.answered.Add(1)
		began := time.Now()
		if n, err := c.Read(make([]byte, 4096)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d bytes, %v", n, err)
		}
		if waited := time.Since(began); waited != time.Hour+10*time.Second {
			t.Errorf("after %v", waited)
		}
		_ = agent.Close()
		<-time.After(time.Minute)
	})
}

// An agent that sends its requests long before they can be answered is not late:
// only the time counts in which somebody waits for the rest of a head.
func TestHeadTimeOfManyRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const requests = 1000
		c, agent := pipe(t, strings.Repeat(wholeHead, requests))
		var got strings.Builder
		for p := make([]byte, 4096); got.Len() < requests*len(wholeHead); {
			n, err := c.Read(p)
			if err != nil {
				t.Fatalf("after %d bytes: %v", got.Len(), err)
			}
			got.Write(p[:n])
			<-time.After(time.Minute) // that the answers take
		}
		if got.String() != strings.Repeat(wholeHead, requests) {
			t.Error("the requests are not what was sent")
		}
		_ = agent.Close()
		<-time.After(time.Minute)
	})
}

// While a request is being answered, the end of the agent's side is told late, or
// not at all.
func TestFarewell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			then func(c *servedConn)
			want error
			wait time.Duration
		}{
			"patience ends": {func(*servedConn) { <-time.After(time.Minute) }, io.EOF, 5 * time.Second},
			"answered": {func(c *servedConn) {
				<-time.After(time.Second)
				_ = c.SetReadDeadline(time.Unix(1, 0))
			}, os.ErrDeadlineExceeded, time.Second},
			"cut": {func(c *servedConn) {
				<-time.After(time.Second)
				_ = c.Close()
			}, net.ErrClosed, time.Second},
		} {
			conn, agent := pipe(t, wholeHead)
			readHead(t, conn)
			_ = agent.Close()
			go c.then(conn)
			began := time.Now()
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, c.want) || time.Since(began) != c.wait {
				t.Errorf("%s: %v after %v", name, err, time.Since(began))
			}
		}
		<-time.After(time.Hour)
	})
}
