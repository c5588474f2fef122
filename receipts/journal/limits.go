package journal

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// Limits bound what the journal keeps, and where. A zero field has its default.
type Limits struct {
	// SealSize is how many bytes of records a sealed file holds, before
	// compression; about that much, and as much again while it is being sealed, is
	// in the database. Default 16 MB.
	SealSize int64
	// SealAge is how old the oldest record in the database becomes before it is
	// sealed even so. Default 24 hours.
	SealAge time.Duration
	// RetentionAge is how long a sealed file is kept after its newest record.
	// Default one year.
	RetentionAge time.Duration
	// RetentionSize is how many bytes of sealed files are kept where a collector
	// has them too; without one only their age counts. Default 6 GB.
	RetentionSize int64
	// HighWater is how many bytes on the disk, database and sealed files together,
	// are worth a warning. Default 8 GB.
	HighWater int64
	// HardMark is how many bytes on the disk are the most: from there on no exchange
	// begins. Those that are open still finish. Default 10 GB.
	HardMark int64
	// Shipped says that a collector is configured: what it has not acknowledged is
	// kept, whatever its age; see SetAcked.
	Shipped bool
}

func (l *Limits) complete() error {
	l.SealSize = cmp.Or(l.SealSize, 16e6)
	l.SealAge = cmp.Or(l.SealAge, 24*time.Hour)
	l.RetentionAge = cmp.Or(l.RetentionAge, 365*24*time.Hour)
	l.RetentionSize = cmp.Or(l.RetentionSize, 6e9)
	l.HardMark = cmp.Or(l.HardMark, 10e9)
	l.HighWater = cmp.Or(l.HighWater, l.HardMark/5*4)
	for name, n := range map[string]int64{
		"SealSize": l.SealSize, "SealAge": int64(l.SealAge), "RetentionAge": int64(l.RetentionAge),
		"RetentionSize": l.RetentionSize, "HighWater": l.HighWater, "HardMark": l.HardMark,
	} {
		if n < 0 {
			return fmt.Errorf("open journal: the limit %s is negative", name)
		}
	}
	if l.HighWater > l.HardMark {
		return errors.New("open journal: the limit HighWater is above HardMark")
	}
	return nil
}
