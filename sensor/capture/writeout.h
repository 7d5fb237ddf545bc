/*
 * writeout.h - hands finished intervals to the database in a thread of its own, in order.
 *
 * Rotation never waits for the disk: it leaves its table here. What waits is bounded: above the limit
 * gp_writeout_full() is true, and the manager lets intervals run on until there is room again,
 * so that a slow disk costs time resolution but no flow.
 *
 * Thread-safety: all functions from any thread.
 */
#ifndef GP_CAPTURE_WRITEOUT_H
#define GP_CAPTURE_WRITEOUT_H

#include "sensor/capture/capture.h"
#include "sensor/capture/manager.h"
#include "sensor/capture/metrics.h"

typedef struct gp_writeout gp_writeout;

gp_code gp_writeout_new(gp_writeout **out, gp_writeout_fn fn, void *ctx, size_t limit, gp_log *log,
                        gp_error *err);
/* Writes what waits, then ends. */
void gp_writeout_free(gp_writeout *w);

/* Takes over `table`. GP_ENOMEM leaves it with the caller. */
gp_code gp_writeout_add(gp_writeout *w, const char *iface, int64_t ts, gp_table_ref *table,
                        const gp_capture_stats *stats, gp_error *err);
bool gp_writeout_full(gp_writeout *w);
void gp_writeout_wait(gp_writeout *w); /* until nothing waits */

typedef struct gp_writeout_stats {
    uint64_t blocks, failed;
    size_t waiting_bytes;
    gp_histogram durations; /* seconds until nothing waited any more */
} gp_writeout_stats;
void gp_writeout_get_stats(gp_writeout *w, gp_writeout_stats *out);

#endif
