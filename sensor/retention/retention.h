/*
 * retention.h - keeps the database to the configured ages and sizes: at the start and then every interval, in
 * a thread of low priority. Each removed day is a line in the log.
 *
 * The limits hold for every interface that the database has, captured or not. An error concerns one
 * interface, is logged and counted, and the next interval tries again.
 *
 * Thread-safety: gp_retention_count may be called by any thread at any time.
 */
#ifndef GP_SENSOR_RETENTION_H
#define GP_SENSOR_RETENTION_H

#include "proto/base/log.h"
#include "sensor/config/config.h"

typedef struct gp_retention_config {
    const char *db;                      /* copied */
    const gp_retention_options *options; /* borrowed */
    gp_log *log;
    int64_t (*now)(void *ctx); /* UNIX seconds; NULL: the system's clock */
    void *now_ctx;
} gp_retention_config;

typedef struct gp_retention_counters {
    uint64_t days, bytes; /* removed */
    uint64_t errors;
} gp_retention_counters;

typedef struct gp_retention gp_retention;
gp_code gp_retention_new(gp_retention **out, const gp_retention_config *cfg, gp_error *err);
/* Begins to remove. Without any limit there is nothing to do, and no thread. */
gp_code gp_retention_start(gp_retention *r, gp_error *err);
/* Stops after the day that is being removed. NULL is allowed. */
void gp_retention_free(gp_retention *r);

gp_retention_counters gp_retention_count(const gp_retention *r);

#endif
