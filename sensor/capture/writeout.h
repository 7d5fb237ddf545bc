/*
 * writeout.h - hands finished intervals to the database in a thread of its own, those of one interface in
 * order.
 *
 * Rotation never waits for the disk: it leaves its table here. A block that cannot be written (disk full,
 * database not readable) is tried again until it can, with growing pauses; other interfaces do not wait for
 * it, and neither do blocks that belong elsewhere in the database than one whose place is damaged: a damaged
 * day does not outlast itself. What waits is bounded: above the limit gp_writeout_full() is true of the
 * interfaces that have something waiting, and the manager lets their intervals run on until there is room
 * again, so that a bad disk costs time resolution but no flow. At the end each block is tried once more; what
 * still cannot be written is left to the journal.
 *
 * Thread-safety: all functions from any thread.
 */
#ifndef GP_CAPTURE_WRITEOUT_H
#define GP_CAPTURE_WRITEOUT_H

#include "sensor/capture/capture.h"
#include "sensor/capture/journal.h"
#include "sensor/capture/manager.h"
#include "sensor/capture/metrics.h"

typedef struct gp_writeout gp_writeout;

/* journal: NULL for none. */
gp_code gp_writeout_new(gp_writeout **out, const gp_block_store *store, gp_journal *journal, size_t limit,
                        gp_log *log, gp_error *err);
/* Writes what waits, or leaves it to the journal (which is stopped by then), and ends. */
void gp_writeout_free(gp_writeout *w);

/* Takes over `table` and its journal (NULL: none). GP_ENOMEM leaves them with the caller. */
gp_code gp_writeout_add(gp_writeout *w, const char *iface, int64_t ts, gp_table_ref *table,
                        const gp_capture_stats *stats, gp_journal_interval *journal, gp_error *err);
/* ts: of the block that would be added. */
bool gp_writeout_full(gp_writeout *w, const char *iface, int64_t ts);
/* What waits of an interface and is not in the database, given its last block there (0: none): at most `max`
 * tables, the first ones, each with the time of its block; to be released by gp_table_unref. */
typedef struct gp_waiting_block {
    gp_table_ref *table;
    int64_t ts;
} gp_waiting_block;
enum { GP_WAITING_MAX = 1024 };
size_t gp_writeout_waiting(gp_writeout *w, const char *iface, int64_t last, gp_waiting_block *out,
                           size_t max);
uint64_t gp_writeout_written(gp_writeout *w); /* blocks */
void gp_writeout_wait(gp_writeout *w);        /* until everything has been tried at least once */

typedef struct gp_writeout_stats {
    uint64_t blocks; /* written */
    uint64_t failed; /* attempts that failed */
    uint64_t lost;   /* blocks that were given up */
    size_t waiting, waiting_bytes;
    gp_histogram durations; /* seconds until nothing waited any more */
} gp_writeout_stats;
void gp_writeout_get_stats(gp_writeout *w, gp_writeout_stats *out);

#endif
