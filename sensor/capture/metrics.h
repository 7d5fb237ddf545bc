/*
 * metrics.h - capture metrics in Prometheus' text format, under the names of goProbe v4, so that its
 * dashboards and alerts keep working.
 *
 * Not thread-safe; nothing here keeps state of its own.
 */
#ifndef GP_CAPTURE_METRICS_H
#define GP_CAPTURE_METRICS_H

#include "proto/base/buf.h"
#include "proto/control/status.h"
#include "proto/flow/flow.h"

/* What is told of one interface, since the sensor started. */
typedef struct gp_iface_sample {
    uint64_t received, processed, dropped; /* packets */
    uint64_t overflow_packets, overflow_bytes;
    gp_capture_stats running; /* what is told of the running interval only */
    uint64_t issues[GP_PARSE_ERRORS];
    gp_counters volume;  /* of finished intervals */
    uint64_t flows;      /* in the table at its last rotation */
    double buffer_usage; /* of the memory that may wait for the disk: 0 to 1 */
} gp_iface_sample;

/* samples[i] belongs to ifaces[i]. Without labels of interfaces the sums are told. */
void gp_capture_metrics_write(const char *const *ifaces, const gp_iface_sample *samples, size_t n,
                              bool with_ifaces, gp_buf *out);
void gp_gauge_write(const char *name, const char *help, double value, gp_buf *out);
void gp_counter_write(const char *name, const char *help, uint64_t value, gp_buf *out);

enum { GP_HISTOGRAM_BOUNDS = 10 };

typedef struct gp_histogram {
    const double *bounds; /* GP_HISTOGRAM_BOUNDS of them, rising */
    uint64_t counts[GP_HISTOGRAM_BOUNDS + 1];
    double sum;
} gp_histogram;

void gp_histogram_add(gp_histogram *h, double value);
void gp_histogram_write(const gp_histogram *h, const char *name, const char *help, gp_buf *out);

#endif
