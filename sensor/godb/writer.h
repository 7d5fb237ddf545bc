/*
 * writer.h - writing blocks of flows to a goDB.
 *
 * A block is one interval of one interface. Its flows are sorted, encoded and compressed column by column
 * and appended to the day's folder, where the block becomes visible only when it is complete (append.h).
 *
 * One writer per interface at a time (the sensor's writeout thread, or a tool). Not thread-safe. Memory: for
 * sorting 32 bytes a flow, one column with its compressed form at a time (at most 33 bytes a flow), and the
 * metadata of the day, some 220 bytes a block; kept until the writer is freed. Files are open only while a
 * block is written (a batch's until it is flushed).
 */
#ifndef GP_GODB_WRITER_H
#define GP_GODB_WRITER_H

#include "sensor/godb/append.h"

typedef struct gp_writer_config {
    const char *db;
    const char *iface;
    gp_codec_type codec;
    int level;          /* 0: the default of the codec */
    mode_t permissions; /* of files; folders get the matching x bits. 0: 0644 */
    bool inherit;       /* as in gp_append_config */
    bool no_sync;       /* skip fsync (imports that can be repeated) */
    bool batch; /* blocks of a day become visible together: with the first of another day, or gp_writer_flush
                 */
    void (*before_step)(void *ctx, const char *step); /* as in gp_append_config */
    void *before_step_ctx;
} gp_writer_config;

typedef struct gp_writer gp_writer;
gp_code gp_writer_new(gp_writer **out, const gp_writer_config *cfg, gp_error *err);
void gp_writer_free(gp_writer *w);

typedef struct gp_block_stats {
    uint64_t flows, n_v4, n_v6;
    gp_counters c;
    uint64_t raw_bytes, stored_bytes;
} gp_block_stats;

/*
 * Writes one block. `flows` is reordered (flowsort.h). Keys must be unique.
 * GP_EEXIST if the day already holds a block with this timestamp or a later one. stats may be NULL.
 */
gp_code gp_writer_write(gp_writer *w, int64_t ts, gp_flow *flows, size_t n, uint64_t drops,
                        gp_block_stats *stats, gp_error *err);

/* Makes visible what a batch has written. Nothing is lost by leaving it out if there is no batch. */
gp_code gp_writer_flush(gp_writer *w, gp_error *err);

#endif
