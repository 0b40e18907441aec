package metrics

import (
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vipd/vipd/agent"
)

// kind is the type of a family as Prometheus calls it.
type kind string

const (
	gauge     kind = "gauge"
	counter   kind = "counter"
	histogram kind = "histogram"
)

// family is one metric name.
type family struct {
	name   string
	kind   kind
	labels []string
	help   string
	desc   *prometheus.Desc
}

// send emits one series of a gauge or a counter.
func (f *family) send(ch chan<- prometheus.Metric, value float64, labels ...string) {
	valueType := prometheus.GaugeValue
	if f.kind == counter {
		valueType = prometheus.CounterValue
	}
	ch <- prometheus.MustNewConstMetric(f.desc, valueType, value, labels...)
}

// sendTruth emits 1 for true and 0 for false.
func (f *family) sendTruth(ch chan<- prometheus.Metric, truth bool, labels ...string) {
	value := 0.0
	if truth {
		value = 1
	}
	f.send(ch, value, labels...)
}

// sendTime emits Unix seconds. A time that is not known is not emitted: 1970
// would raise every alert on age.
func (f *family) sendTime(ch chan<- prometheus.Metric, t time.Time, labels ...string) {
	if !t.IsZero() {
		f.send(ch, float64(t.UnixMilli())/1000, labels...)
	}
}

// sendHistogram emits one series of a histogram.
func (f *family) sendHistogram(ch chan<- prometheus.Metric, h *agent.Histogram, labels ...string) {
	count, sum, cumulative := h.Snapshot()
	ch <- prometheus.MustNewConstHistogram(f.desc, count, sum, cumulative, labels...)
}

// sendByReason emits a series for each reason that occurred.
func (f *family) sendByReason(ch chan<- prometheus.Metric, counts *map[string]uint64) {
	if counts == nil {
		return
	}
	for _, reason := range sorted(*counts) {
		f.send(ch, float64((*counts)[reason]), reason)
	}
}

// families collects declarations.
type families []*family

func (fs *families) declare(k kind, name, help string, labels ...string) *family {
	f := &family{name: name, kind: k, labels: labels, help: help, desc: prometheus.NewDesc(name, help, labels, nil)}
	*fs = append(*fs, f)
	return f
}

// sorted are the keys of m in an order that does not change between scrapes.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
