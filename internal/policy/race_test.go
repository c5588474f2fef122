//go:build race

package policy

// raceDetector: sync.Pool forgets at random under it, so that what takes its
// memory from one allocates.
const raceDetector = true
