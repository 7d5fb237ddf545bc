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
    mode_t permissions; /* 0: the writer's default */
    bool no_sync;       /* see gp_writer_config */
    bool keep_time;     /* a second block for the same time is an error (imports must not count twice) */
    gp_log *log;
} gp_dbsink_config;

typedef struct gp_dbsink gp_dbsink;

gp_code gp_dbsink_new(gp_dbsink **out, const gp_dbsink_config *cfg, gp_error *err);
void gp_dbsink_free(gp_dbsink *w);
/* Writes one block. Fits gp_writeout_fn (sensor/capture/manager.h) with the sink as context; stats may
 * be NULL (no drops). Unless keep_time, a second block for the same time (a restart within an interval) moves
 * to the next free second, so that nothing is lost. */
gp_code gp_dbsink_write(void *dbsink, const char *iface, int64_t ts, gp_flow *flows, size_t n,
                        const gp_capture_stats *stats, gp_error *err);

/* Makes the database folder if need be, and checks that it is one and that we may write to it. */
gp_code gp_dbsink_check_db(const char *path, gp_error *err);

#endif
