package relation

import (
	"context"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
)

// BeginSession implements store.Sessions. The token's row is locked, so that those
// who log in at once are counted one after the other.
func (s *Store) BeginSession(ctx context.Context, begun store.Session) error {
	return s.writing(ctx, "", "session", func(tx Tx) error {
		_, err := one(ctx, tx, scanToken, `SELECT `+tokenColumns+` FROM tokens WHERE token_id = $1 AND tenant = $2`+s.Lock(), begun.Token.ID, begun.Token.Tenant)
		if err != nil {
			return err
		}
		over, err := list(ctx, tx, func(scan scan) (digest []byte, err error) {
			err = scan(&digest)
			return digest, err
		}, `SELECT digest FROM sessions WHERE token_id = $1 ORDER BY begun DESC, digest DESC LIMIT $2 OFFSET $3`,
			begun.Token.ID, store.MaxSessions, store.MaxSessions-1)
		if err != nil {
			return err
		}
		for _, digest := range over {
			if _, err := tx.Exec(ctx, deleteSession, digest); err != nil {
				return err
			}
		}
		return inserted(tx.Exec(ctx, `INSERT INTO sessions (digest, tenant, token_id, begun, used) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
			begun.Digest[:], begun.Token.Tenant, begun.Token.ID, when(begun.Begun), when(begun.Used)))
	})
}

const deleteSession = `DELETE FROM sessions WHERE digest = $1`

// Session implements store.Sessions.
func (s *Store) Session(ctx context.Context, digest [32]byte) (store.Session, error) {
	return reading(ctx, s, "", "session", func(tx Tx) (store.Session, error) {
		return one(ctx, tx, func(scan scan) (found store.Session, err error) {
			found.Digest = digest
			found.Token, err = scanToken(func(dest ...any) error {
				return scan(append(dest, timeOf(&found.Begun), timeOf(&found.Used))...)
			})
			return found, err
		}, `SELECT t.token_id, t.tenant, t.digest, t.scopes, t.created, t.expires, t.revoked, s.begun, s.used
			FROM sessions s JOIN tokens t ON t.token_id = s.token_id WHERE s.digest = $1`, digest[:])
	})
}

// UseSession implements store.Sessions.
func (s *Store) UseSession(ctx context.Context, digest [32]byte, at time.Time) error {
	return s.writing(ctx, "", "session", func(tx Tx) error {
		_, err := tx.Exec(ctx, `UPDATE sessions SET used = $2 WHERE digest = $1 AND used < $2`, digest[:], when(at))
		return err
	})
}

// EndSession implements store.Sessions.
func (s *Store) EndSession(ctx context.Context, digest [32]byte) error {
	return s.writing(ctx, "", "session", func(tx Tx) error {
		_, err := tx.Exec(ctx, deleteSession, digest[:])
		return err
	})
}

// EndSessions implements store.Sessions.
func (s *Store) EndSessions(ctx context.Context, tenant, tokenID string) error {
	return s.writing(ctx, "", "sessions of token "+tokenID, func(tx Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM sessions WHERE token_id = $1 AND tenant = $2`, tokenID, tenant)
		return err
	})
}

// SweepSessions implements store.Sessions.
func (s *Store) SweepSessions(ctx context.Context, before time.Time) (swept int64, err error) {
	err = s.writing(ctx, "", "sessions", func(tx Tx) (err error) {
		swept, err = tx.Exec(ctx, `DELETE FROM sessions WHERE used < $1`, when(before))
		return err
	})
	return swept, err
}
