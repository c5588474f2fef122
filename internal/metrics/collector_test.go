package metrics

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestCollector(t *testing.T) {
	c := NewCollector("v1.2.3")
	c.Stream(true)
	c.Stream(true)
	c.Stream(false)
	c.Committed(250, 20*time.Millisecond)
	c.Repeated(10)
	c.Refused("FORK")
	c.Gap()
	c.Alarm("fork")
	c.Fault()
	c.Logged(240)
	c.LogFailed()
	c.LogQueue(10, time.Now().Add(-time.Hour))
	c.Witnessed("witness.example/a", "cosigned")
	c.Unwitnessed("witness.example/a", time.Minute)
	c.Answered("receipts", 200, time.Millisecond)
	c.RedisAvailable(false)
	c.RedisAvailable(true)
	c.Redis("take", "skipped")
	c.CacheHit("memory")
	c.CacheMiss("redis")
	c.CacheRejected()
	problems, err := testutil.GatherAndLint(c.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, namespace+"_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	answer := httptest.NewRecorder()
	c.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		"signet_ingest_streams_open 1", `signet_ingest_records_total{result="committed"} 250`, `signet_ingest_records_total{result="repeated"} 10`,
		"signet_ingest_commit_duration_seconds_count 1", `signet_ingest_refused_total{code="FORK"} 1`, "signet_ingest_gaps_total 1",
		`signet_alarms_total{kind="fork"} 1`, "signet_panics_total 1", "signet_log_records_total 240", "signet_log_failures_total 1",
		`signet_log_witness_answers_total{outcome="cosigned",witness="witness.example/a"} 1`, `signet_log_unwitnessed_seconds{witness="witness.example/a"} 60`,
		"signet_log_queue_records 10", "signet_log_queue_age_seconds 3600", `signet_api_answers_total{endpoint="receipts",status_code="200"} 1`,
		`signet_api_answer_duration_seconds_count{endpoint="receipts"} 1`, `version="v1.2.3"`, "signet_redis_available 1",
		`signet_redis_questions_total{outcome="skipped",question="take"} 1`, `signet_cache_hits_total{cache_type="memory"} 1`,
		`signet_cache_misses_total{cache_type="redis"} 1`, "signet_cache_rejected_total 1", "go_goroutines",
	} {
		if !strings.Contains(answer.Body.String(), want) {
			t.Errorf("the scrape lacks %s", want)
		}
	}
}
