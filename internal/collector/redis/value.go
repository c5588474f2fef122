package redis

import (
	"context"
	"time"
)

// Get is the value that was set for an id, at most so many bytes of it; none where
// there is none, or Redis does not answer.
func (c *Client) Get(ctx context.Context, id string, most int) (value []byte) {
	_ = c.ask(ctx, "get", func(ctx context.Context) error { // an outage is no error here
		text, err := c.redis.GetRange(ctx, c.name("value", id), 0, int64(most)-1).Result()
		value = []byte(text)
		return err
	})
	return value
}

// Set keeps a value for an id, for a time at most.
func (c *Client) Set(ctx context.Context, id string, value []byte, life time.Duration) {
	_ = c.ask(ctx, "set", func(ctx context.Context) error { // likewise
		return c.redis.Set(ctx, c.name("value", id), value, life).Err()
	})
}
