/*
 * journal.h - the sessions of running intervals in files, so that a killed sensor loses seconds.
 *
 * A thread of its own asks each capture every few seconds for the sessions that have changed, in small steps
 * between two batches of packets, and appends them to the file of that interface's interval (journalfile.h).
 * The packet path never waits for it, and a rotation only swaps the interval. When a file has grown to half
 * of its limit, it is written anew from the table, which holds each session once. When an interval has been
 * written to the database, its file goes; what is found at the next start was not written.
 *
 * The file of an interval, and the block that it becomes:
 *     gp_journal_begin  ...  gp_journal_commit(time of the block)  write the block  gp_journal_end
 * The commit notes the time in the file; a crash right after the block was written leaves a file whose block
 * is in the database, and gp_journal_recover drops it. So no flow counts twice.
 *
 * Thread-safety: all functions from any thread, except that gp_journal_stop and gp_journal_free are for one.
 */
#ifndef GP_CAPTURE_JOURNAL_H
#define GP_CAPTURE_JOURNAL_H

#include "proto/base/log.h"
#include "sensor/capture/journalfile.h"
#include "sensor/capture/metrics.h"

typedef struct gp_journal gp_journal;
typedef struct gp_journal_interval gp_journal_interval; /* one interval of one interface */

typedef struct gp_journal_config {
    const char *dir;     /* copied */
    double every_s;      /* between two writes */
    uint64_t size_limit; /* bytes of one file */
    bool sync;           /* survive a power loss, not only a crash of the process */
    gp_log *log;
    /* The next step of a walk, see gp_flowtable_take. GP_ECANCELED: the interval is no longer running.
     * batch is zeroed before the first step and belongs to all of the walk. */
    gp_code (*take)(void *ctx, const gp_journal_interval *iv, gp_flowtable_walk *w, gp_session *out,
                    size_t max, size_t *n, gp_journal_batch *batch, gp_error *err);
    void *ctx;
} gp_journal_config;

gp_code gp_journal_new(gp_journal **out, const gp_journal_config *cfg, gp_error *err);
void gp_journal_stop(gp_journal *j); /* nothing more is taken. NULL is allowed */
void gp_journal_free(gp_journal *j);

/* A new interval; no disk is touched. `resumed` (taken over, NULL: none) is the file of the same interval
 * before a restart; it goes when the new one holds everything. NULL if there is no memory: then there is no
 * journal of this interval. Everything below does nothing for a NULL interval. */
gp_journal_interval *gp_journal_begin(gp_journal *j, const char *iface, gp_journalfile *resumed);
/* Before the block of this time is written. A failure means that it must not be written now. */
gp_code gp_journal_commit(gp_journal *j, gp_journal_interval *iv, int64_t ts, gp_error *err);
/* The block is in the database, or the interval was empty: the files go. */
void gp_journal_end(gp_journal *j, gp_journal_interval *iv);
/* After gp_journal_stop: the block could not be written, and nobody will try again. Everything is left for
 * the next start. False if the file could not be brought up to date. */
bool gp_journal_keep(gp_journal *j, gp_journal_interval *iv, const gp_flowtable *t,
                     const gp_journal_batch *batch);

/* Of one interval: size of its file, and milliseconds since it was last known to be up to date. */
void gp_journal_interval_state(const gp_journal_interval *iv, uint64_t *bytes, uint64_t *age_ms);

typedef struct gp_journal_stats {
    uint64_t writes;     /* rounds over all interfaces in which something was written */
    uint64_t sessions;   /* written */
    uint64_t bytes;      /* written */
    uint64_t rewrites;   /* files written anew because they had grown */
    uint64_t errors;     /* rounds of one interface that failed */
    uint64_t overflows;  /* intervals that are too large for the limit */
    uint64_t file_bytes; /* of all files now */
    double lag_s;        /* age of the last round that succeeded: what a crash would cost */
    gp_histogram durations;
} gp_journal_stats;
void gp_journal_get_stats(gp_journal *j, gp_journal_stats *out);

/* An interval that was not written to the database before the sensor ended. */
typedef struct gp_journal_recovered {
    char iface[GP_JOURNAL_IFACE_MAX];
    int64_t block_ts;
    uint64_t dropped;
    gp_flowtable *table;
    gp_journalfile *file;
} gp_journal_recovered;

/* Is the block of this time in the database? An error is taken for "cannot tell". */
typedef gp_code (*gp_journal_holds_fn)(void *ctx, const char *iface, int64_t ts, bool *held, gp_error *err);

/* Reads what the journals in a folder hold, by time; files that are of no use are removed, damaged ones that
 * say nothing are renamed. What is amiss is logged; it is never a reason not to start. *out is malloc'ed. */
gp_code gp_journal_recover(const char *dir, gp_journal_holds_fn holds, void *ctx, gp_log *log,
                           gp_journal_recovered **out, size_t *n, gp_error *err);
/* Releases what is still in it. */
void gp_journal_recovered_free(gp_journal_recovered *r);

#endif
