package witness

import (
	"sync"
	"time"
)

// member is a witness and how it does.
type member struct {
	client *Client

	mu       sync.Mutex
	since    map[string]time.Time // by tenant: from when on the log waits for it
	told     map[string]bool      // by tenant: that it refused was logged
	failures int                  // in a row
	after    time.Time            // it is not asked before
	resting  bool                 // not to be asked in this round
}

func newMember(c *Client) *member {
	return &member{client: c, since: make(map[string]time.Time), told: make(map[string]bool)}
}

// key names the witness in the store.
func (m *member) key() string { return m.client.witness.String() }

// mostRest is the longest that a witness which does not answer is left alone.
const mostRest = 15 * time.Minute

// begin begins a round.
func (m *member) begin(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.resting = now.Before(m.after)
}

// wait notes that a log waits for the witness, and tells whether it can be asked.
func (m *member) wait(tenant string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.since[tenant]; !ok {
		m.since[tenant] = now
	}
	return !m.resting
}

// done notes that a log does not wait for it.
func (m *member) done(tenant string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.since, tenant)
	delete(m.told, tenant)
}

// longest is how long the log waits that waits the longest.
func (m *member) longest(now time.Time) (waits time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, since := range m.since {
		waits = max(waits, now.Sub(since))
	}
	return waits
}

// failed leaves the witness alone for the rest of the round, and for longer each time.
// It tells whether the one before had succeeded.
func (m *member) failed(now time.Time, interval time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.resting { // another tenant's request has failed too
		return false
	}
	m.resting = true
	m.after = now.Add(min(interval<<min(m.failures, 10)-interval, mostRest))
	m.failures++
	return m.failures == 1
}

// answered tells whether it had failed before.
func (m *member) answered() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	had := m.failures > 0
	m.failures, m.after = 0, time.Time{}
	return had
}

// refused tells whether this refusal of a log is the first in a row.
func (m *member) refused(tenant string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	first := !m.told[tenant]
	m.told[tenant] = true
	return first
}
