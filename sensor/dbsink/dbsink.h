/*
 * dbsink.h - from finished intervals to the database: keeps one writer per interface open.
 *
 * Thread-safety: none; the capture manager calls gp_dbsink_write from one thread at a time.
 */
#ifndef GP_DBSINK_DBSINK_H
#define GP_DBSINK_DBSINK_H

#include "proto/base/log.h"
#include "proto/control/status.h"
#include "sensor/godb/writer.h"

typedef struct gp_dbsink_config {
    const char *db; /* copied */
    gp_codec_type codec;
    int level;          /* see gp_writer_config */
    mode_t permissions; /* 0: the writer's default */
    bool no_sync;       /* see gp_writer_config */
    gp_log *log;
    const char *syslog_socket; /* flows go there, too (flowlog.h); NULL: nowhere else */
    /* See gp_writer_config. */
    void (*before_step)(void *ctx, const char *step);
    void *before_step_ctx;
} gp_dbsink_config;

typedef struct gp_dbsink gp_dbsink;

gp_code gp_dbsink_new(gp_dbsink **out, const gp_dbsink_config *cfg, gp_error *err);
void gp_dbsink_free(gp_dbsink *w);
/* The functions below fit gp_block_store (sensor/capture/manager.h) with the sink as context. */

/* Writes one block, and with the first of a day what the day before lacks of additional files (dayindex.h);
 * that may fail without harm. stats may be NULL (no drops). GP_EEXIST if the day has a block of that time or
 * a later one. */
gp_code gp_dbsink_write(void *dbsink, const char *iface, int64_t ts, gp_flow *flows, size_t n,
                        const gp_capture_stats *stats, gp_error *err);
/* The time that a block of *ts can have: *ts itself, or, where its day already has blocks up to *ts or later
 * (the clock was set back, the sensor was restarted), the second after the last of them. So blocks are in
 * order within their day, as every reader expects, and stay in the day that the clock says. */
gp_code gp_dbsink_place(void *dbsink, const char *iface, int64_t *ts, gp_error *err);
/* Is there a block of exactly this time? */
gp_code gp_dbsink_holds(void *dbsink, const char *iface, int64_t ts, bool *held, gp_error *err);
/* Do blocks of these times lie in different days? */
bool gp_dbsink_apart(int64_t ts, int64_t other);

/* Makes the database folder if need be, and checks that it is one and that we may write to it. */
gp_code gp_dbsink_check_db(const char *path, gp_error *err);

#endif
