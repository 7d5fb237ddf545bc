/*
 * reader.h - reading a goDB: interfaces, day folders, blocks, columns.
 *
 *   <db>/<iface>/<year>/<month>/<day start>[_<summary>]/{.blockmeta,sip.gpf,dip.gpf,...}
 *
 * Days may be renamed while they are read (a writer updates the summary in the name): the reader finds
 * them again. Thread-safety: one gp_day per thread; listing functions keep no state.
 */
#ifndef GP_GODB_READER_H
#define GP_GODB_READER_H

#include "proto/base/strlist.h"
#include "sensor/godb/blockfilter.h"
#include "sensor/godb/blocksums.h"

/* Names of the interfaces in the database, sorted. *out and each name malloc'ed; gp_strlist_free. */
gp_code gp_db_list_ifaces(const char *db, char ***out, size_t *n, gp_error *err);

typedef struct gp_day_ref {
    int64_t day;        /* start of the UTC day, UNIX seconds */
    gp_day_summary sum; /* from the name */
    bool has_sum;
} gp_day_ref;

/* Day folders of an interface that can hold blocks in [first, last], in time order. GP_ENOTFOUND if there is
 * no such interface. Entries that are no day folders are skipped. Free *out with free(). */
gp_code gp_db_list_days(const char *db, const char *iface, int64_t first, int64_t last, gp_day_ref **out,
                        size_t *n, gp_error *err);

typedef struct gp_day gp_day;
/* Opens a day folder and decodes its metadata (not the columns). One whose first block never became complete
 * (spec/godb-format.md) has no blocks, and is unfinished. */
gp_code gp_day_open(gp_day **out, const char *db, const char *iface, int64_t day, gp_error *err);
/* The same by path, whatever the folder is called. */
gp_code gp_day_open_path(gp_day **out, const char *path, gp_error *err);
void gp_day_close(gp_day *d);
bool gp_day_unfinished(const gp_day *d);
int gp_day_fd(const gp_day *d); /* of the folder; borrowed */
const gp_blockmeta *gp_day_meta(const gp_day *d);
const char *gp_day_path(const gp_day *d); /* as found when it was opened */

/* Announces the last block that will be read (default: the last one there is): nothing behind it is read
 * ahead. */
void gp_day_want_until(gp_day *d, size_t last);

/* Read-ahead buffers that several days use one after the other, so that memory is touched once. */
typedef struct gp_day_buffers gp_day_buffers;
gp_code gp_day_buffers_new(gp_day_buffers **out, gp_error *err);
void gp_day_buffers_free(gp_day_buffers *b);
/* To be called before the first read; a day without uses its own. */
void gp_day_use_buffers(gp_day *d, gp_day_buffers *b);

/*
 * Reads and decompresses one column of one block into *raw (grown as needed, owned by the caller; reuse
 * it); GP_PACKED_SLACK bytes behind the column are readable. Neighbouring blocks are read ahead as long as
 * they are asked for in order. Every size is checked: GP_ECORRUPT, GP_EIO otherwise.
 */
gp_code gp_day_read_column(gp_day *d, gp_codec *codec, size_t block, gp_column col, gp_buf *raw,
                           gp_error *err);

/* The bytes of one column of one block as they are stored, which gp_day_read_column has read just before. */
gp_code gp_day_stored_column(gp_day *d, size_t block, gp_column col, const uint8_t **out, gp_error *err);

/* The first bytes, at most `most`, of an additional file of the day; none if there is none that can be read.
 */
void gp_day_read_additional(const gp_day *d, const char *name, size_t most, gp_buf *out);

/* What the counters of one block sum up to, without reading them; NULL: only its columns tell. */
const gp_counters *gp_day_block_sum(gp_day *d, size_t block);

/* The filter of one block's addresses, valid until the next call; of size 0: only its columns tell. Fastest
 * for blocks in order. */
gp_blockfilter gp_day_block_filter(gp_day *d, size_t block);

/* Checks the decoded length of a column against the block's flow counts. */
gp_code gp_block_check_column(const gp_block_info *b, gp_column col, const uint8_t *raw, size_t len,
                              gp_error *err);

#endif
