/*
 * writer.h - appending blocks to a goDB.
 *
 * A block is one interval of one interface. It becomes visible only when it is complete: columns are
 * appended beyond the end that .blockmeta states, synced, then .blockmeta is replaced by rename, then
 * the folder is renamed to its new summary. A crash at any step leaves every earlier block readable, and
 * the next write continues at the last complete block (spec/godb-format.md).
 *
 * One writer per interface at a time (the sensor's writeout thread, or a tool). Not thread-safe.
 */
#ifndef GP_GODB_WRITER_H
#define GP_GODB_WRITER_H

#include "sensor/godb/blockmeta.h"

#include <sys/types.h>

typedef struct gp_writer_config {
    const char *db;
    const char *iface;
    gp_codec_type codec;
    int level;          /* 0: default of the codec */
    mode_t permissions; /* of files; folders get the matching x bits. 0: 0644 */
    bool no_sync;       /* skip fsync (imports that can be repeated) */
    /* Called before every step that changes the disk, with its name; tests interrupt writes here. NULL: none.
     */
    void (*before_step)(void *ctx, const char *step);
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
 * Writes one block. `flows` is reordered (IPv4 first, then sorted as v4 sorts). Keys must be unique.
 * GP_EEXIST if the day already holds a block with this timestamp or a later one. stats may be NULL.
 */
gp_code gp_writer_write(gp_writer *w, int64_t ts, gp_flow *flows, size_t n, uint64_t drops,
                        gp_block_stats *stats, gp_error *err);

#endif
