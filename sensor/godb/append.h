/*
 * append.h - appending blocks to the folder of one day, column by column, as they are stored.
 *
 * Columns go behind the ends that .blockmeta states. gp_appender_commit makes everything appended so far
 * visible at once: columns synced, .blockmeta replaced by rename, folder renamed to its new summary. A crash
 * before leaves every earlier block readable, and the next append continues at the last complete block
 * (spec/godb-format.md).
 *
 * One appender for a day at a time. Not thread-safe. After an error only gp_appender_close makes sense, after
 * a commit that or gp_appender_resume.
 */
#ifndef GP_GODB_APPEND_H
#define GP_GODB_APPEND_H

#include "sensor/godb/blockmeta.h"

#include <sys/types.h>

typedef struct gp_append_config {
    const char *db;
    const char *iface;
    mode_t permissions; /* of files; folders get the matching x bits. 0: 0644 */
    bool inherit;       /* what is made gets the ownership of what is there (ownership.h), and its
                           permissions unless there are some above */
    bool no_sync;       /* skip fsync (what is written can be written again) */
    /* Called before every step that changes the disk, with its name; tests interrupt writes here. NULL:
     * none. */
    void (*before_step)(void *ctx, const char *step);
    void *before_step_ctx;
} gp_append_config;

typedef struct gp_appender gp_appender;
/* Opens the folder of the day that `ts` lies in, makes it (with everything above) if there is none. *cfg may
 * go. */
gp_code gp_appender_open(gp_appender **out, const gp_append_config *cfg, int64_t ts, gp_error *err);
void gp_appender_close(gp_appender *a); /* what was not committed never happened */
const gp_blockmeta *gp_appender_meta(const gp_appender *a);

/* Between a commit and the next block: what is committed is kept as knowledge only, without a descriptor.
 * False if the day is not as the commit left it, or cannot be opened: to be closed and opened anew. */
bool gp_appender_resume(gp_appender *a);

/* GP_EEXIST unless a block of this time can be appended: later than every block that the day has. */
gp_code gp_appender_accepts(const gp_appender *a, int64_t ts, gp_error *err);
/* One column of the next block: `len` stored bytes that decode with `codec` to raw_len bytes. A column
 * without data is left out. */
gp_code gp_appender_column(gp_appender *a, gp_column col, gp_codec_type codec, const void *stored,
                           uint32_t len, uint32_t raw_len, gp_error *err);
/* The next block's addresses, for its filter (blockfilter.h): each of its two columns, as it was before it
 * was stored. A block of which this is not told gets no filter. */
void gp_appender_addresses(gp_appender *a, int64_t ts, const uint8_t *column, size_t n_v4, size_t n_v6);
/* Ends the block: its counts and what its counters sum up to (IPv4 and IPv6 flows, drops, traffic). */
gp_code gp_appender_block(gp_appender *a, int64_t ts, const gp_day_summary *sum, gp_error *err);
gp_code gp_appender_commit(gp_appender *a, gp_error *err);

#endif
