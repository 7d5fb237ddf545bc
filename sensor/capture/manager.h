/*
 * manager.h - all captures of a sensor: starts and stops them as configuration and link state demand,
 * rotates them on the 5-minute grid, hands flows to the writeout thread, answers status and live queries.
 *
 * Thread-safety: every function may be called from any thread.
 */
#ifndef GP_CAPTURE_MANAGER_H
#define GP_CAPTURE_MANAGER_H

#include "proto/base/buf.h"
#include "proto/base/log.h"
#include "proto/control/capconfig.h"
#include "proto/control/status.h"
#include "proto/flow/livesink.h"

#include <sys/types.h>
#include <time.h>

typedef struct gp_capture_manager gp_capture_manager;

/* Takes the flows of one finished interval; called from the writeout thread, one call at a time.
 * flows is the callee's to reorder, not to keep. */
typedef gp_code (*gp_writeout_fn)(void *ctx, const char *iface, int64_t ts, gp_flow *flows, size_t n,
                                  const gp_capture_stats *stats, gp_error *err);

/* Where blocks go. All calls but `apart` from one thread at a time. */
typedef struct gp_block_store {
    gp_writeout_fn write;
    /* The time that a block of *ts can have, so that it comes behind those that are there. NULL: *ts
     * itself. */
    gp_code (*place)(void *ctx, const char *iface, int64_t *ts, gp_error *err);
    /* Is there a block of exactly this time? NULL: none ever is. */
    gp_code (*holds)(void *ctx, const char *iface, int64_t ts, bool *held, gp_error *err);
    /* Do blocks of these two times lie apart, so that damage (GP_ECORRUPT) to where one belongs is none to
     * where the other does? From any thread. NULL: they never do. */
    bool (*apart)(int64_t ts, int64_t other);
    void *ctx;
} gp_block_store;

/* The journal (journal.h); a zeroed one is no journal. */
typedef struct gp_journal_settings {
    const char *dir;     /* NULL: no journal */
    double every_s;      /* between two writes */
    uint64_t size_limit; /* bytes of one interface's file */
    bool sync;
} gp_journal_settings;

typedef struct gp_manager_config {
    gp_block_store store;
    gp_journal_settings journal;
    int64_t local_buffer_size;  /* bytes that may wait for the disk, all interfaces together; 0: 64 MiB */
    bool autodetect;            /* capture every interface that is up, but ... */
    const char *const *exclude; /* names or "/regex/" */
    size_t n_exclude;
    gp_log *log;
    int64_t interval_s; /* between rotations, on the clock's grid; 0: GP_DB_WRITE_INTERVAL. Tests are in a
                           hurry */
    void (*now)(void *ctx, struct timespec *out); /* the time of day; NULL: CLOCK_REALTIME. Tests set it */
    void *now_ctx;
} gp_manager_config;

/* With a journal, what an earlier process left is written to the database, or, where its interval is still
 * running, becomes the beginning of it. */
gp_code gp_manager_new(gp_capture_manager **out, const gp_manager_config *cfg, gp_error *err);
/* Stops all captures, writes their flows out, frees. */
void gp_manager_close(gp_capture_manager *m);

/* Makes the running captures match the configuration; only interfaces whose settings changed are
 * interrupted, and the flows of those are written out first. A capture that cannot start is reported in
 * *update with success == false, never as an error of the call; the cause is logged, and kept for
 * gp_manager_failure. */
gp_code gp_manager_apply(gp_capture_manager *m, const gp_capconfig_map *cfg, gp_config_update *update,
                         gp_error *err);
/* The configuration in force (copy). */
gp_code gp_manager_config_get(gp_capture_manager *m, gp_capconfig_map *out, gp_error *err);

/* Status of the named captures (n == 0: all). Unknown names are skipped. */
gp_code gp_manager_status(gp_capture_manager *m, const char *const *ifaces, size_t n, gp_status *out,
                          gp_error *err);

/* Flows of one interface that are not in the database, see livesink.h. Not an error if it is not captured.
 * GP_EBUSY: a block was written since sink->written was noted. */
gp_code gp_manager_live_flows(gp_capture_manager *m, const char *iface, const gp_live_sink *sink,
                              gp_error *err);
uint64_t gp_manager_written(gp_capture_manager *m); /* blocks, since the start */
gp_code gp_manager_ifaces(gp_capture_manager *m, char ***out, size_t *n, gp_error *err);

/* Why captures are not running: "eth9: no such interface; ...". Empty string if all run. Into dst. */
void gp_manager_failure(gp_capture_manager *m, char *dst, size_t size);

/* Writes a Prometheus exposition of the capture metrics (v4's names) to out; with_ifaces adds labels. */
void gp_manager_metrics(gp_capture_manager *m, bool with_ifaces, gp_buf *out);

#endif
