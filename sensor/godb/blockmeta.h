/*
 * blockmeta.h - the metadata of a day folder: the file .blockmeta and the summary in the folder's name.
 *
 * Ownership: gp_blockmeta owns its arrays; a zeroed one is empty. Not thread-safe.
 */
#ifndef GP_GODB_BLOCKMETA_H
#define GP_GODB_BLOCKMETA_H

#include "proto/base/buf.h"
#include "proto/base/error.h"
#include "proto/flow/flow.h"
#include "proto/query/column.h"
#include "sensor/godb/codec.h"

typedef struct gp_block_loc {
    uint64_t offset; /* in the column's .gpf file */
    uint32_t len;    /* stored bytes; 0 with raw_len 0: the column has no data in this block */
    uint32_t raw_len;
    uint8_t codec; /* gp_codec_type */
} gp_block_loc;

typedef struct gp_block_info {
    int64_t ts; /* end of the interval, UNIX seconds */
    uint64_t n_v4, n_v6, drops;
    gp_block_loc col[GP_COL_COUNT];
} gp_block_info;

typedef struct gp_day_summary {
    uint64_t n_v4, n_v6, drops;
    gp_counters c;
} gp_day_summary;

typedef struct gp_blockmeta {
    uint64_t version;
    gp_day_summary sum;
    uint64_t col_end[GP_COL_COUNT]; /* length of each .gpf that belongs to complete blocks */
    gp_block_info *blocks;
    size_t n_blocks;
    size_t cap_blocks;
} gp_blockmeta;

enum { GP_BLOCKMETA_VERSION = 1 };

/* The end of the year 9999, the last time that RFC 3339 can express. No block is later or before 1970. */
#define GP_BLOCK_TS_MAX INT64_C(253402300799)

void gp_blockmeta_init(gp_blockmeta *m);
void gp_blockmeta_free(gp_blockmeta *m);
/* Every size and count is checked against len, every time against GP_BLOCK_TS_MAX; GP_ECORRUPT says what is
 * wrong. out is to be freed even then. */
gp_code gp_blockmeta_decode(const uint8_t *data, size_t len, gp_blockmeta *out, gp_error *err);
gp_code gp_blockmeta_encode(const gp_blockmeta *m, gp_buf *out, gp_error *err);
gp_code gp_blockmeta_append(gp_blockmeta *m, const gp_block_info *b, gp_error *err); /* sum is the caller's */

/* "1456444800_oX-1-aVB1-..." or "1456444800". has_sum tells which. */
gp_code gp_dayname_parse(const char *name, int64_t *day, gp_day_summary *sum, bool *has_sum, gp_error *err);
#define GP_DAYNAME_MAX 120
size_t gp_dayname_format(int64_t day, const gp_day_summary *sum, char *dst);

#endif
