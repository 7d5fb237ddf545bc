#include "sensor/godb/reader.h"

#include "proto/base/strlist.h"
#include "sensor/godb/bitpack.h"
#include "sensor/godb/daypath.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MAX_META_SIZE = 64 << 20, /* 500,000 blocks in a day: no writer makes that */
    MAX_AHEAD = 256 << 10,    /* bytes: as much as is still in the second level cache when it is decoded */
    FILTERS_AHEAD = 32 << 10  /* bytes: of some dozens of blocks */
};

/* ---- listing ------------------------------------------------------------------------------------------- */

static bool is_folder(int at, const struct dirent *e)
{
    struct stat st;
    if (e->d_name[0] == '.')
        return false;
    if (e->d_type != DT_UNKNOWN && e->d_type != DT_LNK)
        return e->d_type == DT_DIR;
    return fstatat(at, e->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

gp_code gp_db_list_ifaces(const char *db, char ***out, size_t *n, gp_error *err)
{
    *out = NULL;
    *n = 0;
    DIR *dir = opendir(db);
    if (!dir)
        return gp_fail_errno(err, errno, "cannot open database '%s'", db);
    gp_code code = GP_OK;
    for (struct dirent *e; code == GP_OK && (e = readdir(dir));)
        if (is_folder(dirfd(dir), e))
            code = gp_strlist_add(out, n, e->d_name, err);
    closedir(dir);
    return gp_strlist_finish(out, n, code);
}

typedef struct day_list {
    int64_t first, last;
    gp_day_ref *days;
    size_t n, cap;
} day_list;

static gp_code add_day(day_list *l, const char *name, gp_error *err)
{
    gp_day_ref ref;
    if (gp_dayname_parse(name, &ref.day, &ref.sum, &ref.has_sum, NULL) != GP_OK)
        return GP_OK; /* not one of ours */
    if (l->first >= ref.day + GP_DAY_SECONDS || l->last < ref.day)
        return GP_OK;
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 32;
        gp_day_ref *days = realloc(l->days, cap * sizeof *days);
        if (!days)
            return gp_fail(err, GP_ENOMEM, "out of memory for a list of days");
        l->days = days;
        l->cap = cap;
    }
    l->days[l->n++] = ref;
    return GP_OK;
}

/* Years, months and days are three levels of folders with numbers as names. */
static gp_code list_level(int at, const char *name, unsigned level, day_list *l, gp_error *err)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT && level > 0 ? GP_OK
                                            : gp_fail_errno(err, errno, "cannot open folder '%s'", name);
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return gp_fail_errno(err, errno, "cannot read folder '%s'", name);
    }
    gp_code code = GP_OK;
    for (struct dirent *e; code == GP_OK && (e = readdir(dir));) {
        if (e->d_name[0] < '0' || e->d_name[0] > '9' || !is_folder(fd, e))
            continue;
        code = level == 2 ? add_day(l, e->d_name, err) : list_level(fd, e->d_name, level + 1, l, err);
    }
    closedir(dir);
    return code;
}

static int compare_days(const void *a, const void *b)
{
    const gp_day_ref *x = a;
    const gp_day_ref *y = b;
    return (x->day > y->day) - (x->day < y->day);
}

gp_code gp_db_list_days(const char *db, const char *iface, int64_t first, int64_t last, gp_day_ref **out,
                        size_t *n, gp_error *err)
{
    day_list l = {.first = first, .last = last};
    char path[GP_DB_PATH_MAX];
    gp_code code = gp_iface_path(db, iface, path, err);
    if (code == GP_OK)
        code = list_level(AT_FDCWD, path, 0, &l, err);
    if (code != GP_OK) {
        free(l.days);
        return code;
    }
    if (l.n)
        qsort(l.days, l.n, sizeof *l.days, compare_days);
    /* A day that a writer renamed while it was listed may have been seen under both names. */
    size_t kept = 0;
    for (size_t i = 0; i < l.n; i++)
        if (kept == 0 || l.days[kept - 1].day != l.days[i].day)
            l.days[kept++] = l.days[i];
    *out = l.days;
    *n = kept;
    return GP_OK;
}

/* ---- a day --------------------------------------------------------------------------------------------- */

typedef struct column_file {
    int fd; /* -1: not open */
    uint64_t size;
} column_file;

/* A part of a column file in memory. */
typedef struct window {
    uint8_t *data;
    size_t cap;
    uint64_t start, end; /* offsets in the file; equal: empty */
} window;

struct gp_day_buffers {
    window col[GP_COL_COUNT];
    window filters;
};

/* The filters of a day, while they are read in order. */
typedef struct filter_file {
    int fd; /* -1: not open */
    bool looked_for;
    uint64_t size;
    size_t next;          /* a block, */
    uint64_t offset;      /* where its record lies, */
    uint64_t fingerprint; /* and of all blocks before it */
} filter_file;

struct gp_day {
    int fd; /* the folder: stays valid when a writer renames it */
    char path[GP_DB_PATH_MAX];
    gp_blockmeta meta;
    bool unfinished;
    size_t want_last;   /* the last block that the caller is going to read */
    gp_block_sum *sums; /* of each block; NULL: not loaded, or none is known */
    bool sums_loaded;
    filter_file filters;
    column_file col[GP_COL_COUNT];
    gp_day_buffers *buffers;
    bool own_buffers;
};

static gp_code read_exact(int fd, uint8_t *dst, size_t len, uint64_t offset, const char *what, gp_error *err)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = pread(fd, dst + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return gp_fail_errno(err, errno, "cannot read %s", what);
        if (n == 0)
            return gp_fail(err, GP_ECORRUPT, "%s ends at byte %llu, %zu bytes are missing (truncated?)", what,
                           (unsigned long long)(offset + done), len - done);
        done += (size_t)n;
    }
    return GP_OK;
}

/* A folder gets a summary once its first block is complete. */
static bool names_no_summary(const char *path)
{
    const char *slash = strrchr(path, '/');
    gp_day_ref ref;
    return gp_dayname_parse(slash ? slash + 1 : path, &ref.day, &ref.sum, &ref.has_sum, NULL) == GP_OK &&
           !ref.has_sum;
}

static gp_code read_meta(gp_day *d, gp_error *err)
{
    struct stat st;
    int fd = openat(d->fd, GP_BLOCKMETA_FILE, O_RDONLY | O_CLOEXEC);
    int why = errno;
    if (fd < 0 && why == ENOENT && names_no_summary(d->path)) {
        gp_blockmeta_init(&d->meta);
        d->unfinished = true;
        return GP_OK;
    }
    if (fd < 0)
        return gp_fail_errno(err, why, "cannot open %s/" GP_BLOCKMETA_FILE, d->path);
    gp_code code = GP_OK;
    uint8_t *data = NULL;
    if (fstat(fd, &st) != 0)
        code = gp_fail_errno(err, errno, "cannot read %s/" GP_BLOCKMETA_FILE, d->path);
    else if (st.st_size > MAX_META_SIZE)
        code = gp_fail(err, GP_ECORRUPT, "%s/" GP_BLOCKMETA_FILE " has %lld bytes, more than any day needs",
                       d->path, (long long)st.st_size);
    else if (!(data = malloc((size_t)st.st_size + 1)))
        code = gp_fail(err, GP_ENOMEM, "out of memory for block metadata");
    if (code == GP_OK)
        code = read_exact(fd, data, (size_t)st.st_size, 0, GP_BLOCKMETA_FILE, err);
    if (code == GP_OK)
        code = gp_blockmeta_decode(data, (size_t)st.st_size, &d->meta, err);
    if (code == GP_ECORRUPT || code == GP_EUNSUPPORTED)
        gp_error_prefix(err, "%s", d->path);
    free(data);
    close(fd);
    return code;
}

static gp_code new_day(gp_day **out, gp_error *err)
{
    gp_day *d = calloc(1, sizeof *d);
    if (!d)
        return gp_fail(err, GP_ENOMEM, "out of memory for a day of the database");
    d->fd = d->filters.fd = -1;
    for (unsigned i = 0; i < GP_COL_COUNT; i++)
        d->col[i].fd = -1;
    *out = d;
    return GP_OK;
}

/* Reads the metadata of a day whose folder was opened, or failed to (`code`). */
static gp_code finish_open(gp_day *d, gp_code code, gp_day **out, gp_error *err)
{
    if (code == GP_OK)
        code = read_meta(d, err);
    if (code != GP_OK) {
        gp_day_close(d);
        return code;
    }
    d->want_last = d->meta.n_blocks ? d->meta.n_blocks - 1 : 0;
    *out = d;
    return GP_OK;
}

gp_code gp_day_open(gp_day **out, const char *db, const char *iface, int64_t day, gp_error *err)
{
    gp_day *d = NULL;
    gp_code code = new_day(&d, err);
    if (code != GP_OK)
        return code;
    return finish_open(d, gp_day_folder_open(db, iface, day, &d->fd, d->path, err), out, err);
}

gp_code gp_day_open_path(gp_day **out, const char *path, gp_error *err)
{
    gp_day *d = NULL;
    gp_code code = new_day(&d, err);
    if (code != GP_OK)
        return code;
    snprintf(d->path, sizeof d->path, "%s", path);
    d->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->fd < 0)
        code = gp_fail_errno(err, errno, "cannot open folder '%s'", path);
    return finish_open(d, code, out, err);
}

void gp_day_close(gp_day *d)
{
    if (!d)
        return;
    for (unsigned i = 0; i < GP_COL_COUNT; i++)
        if (d->col[i].fd >= 0)
            close(d->col[i].fd);
    if (d->filters.fd >= 0)
        close(d->filters.fd);
    if (d->own_buffers)
        gp_day_buffers_free(d->buffers);
    if (d->fd >= 0)
        close(d->fd);
    gp_blockmeta_free(&d->meta);
    free(d->sums);
    free(d);
}

bool gp_day_unfinished(const gp_day *d)
{
    return d->unfinished;
}

int gp_day_fd(const gp_day *d)
{
    return d->fd;
}

const gp_blockmeta *gp_day_meta(const gp_day *d)
{
    return &d->meta;
}

const char *gp_day_path(const gp_day *d)
{
    return d->path;
}

void gp_day_want_until(gp_day *d, size_t last)
{
    d->want_last = last;
}

gp_code gp_day_buffers_new(gp_day_buffers **out, gp_error *err)
{
    gp_day_buffers *b = calloc(1, sizeof *b);
    if (!b)
        return gp_fail(err, GP_ENOMEM, "out of memory for reading a database");
    *out = b;
    return GP_OK;
}

void gp_day_buffers_free(gp_day_buffers *b)
{
    for (unsigned i = 0; b && i < GP_COL_COUNT; i++)
        free(b->col[i].data);
    if (b)
        free(b->filters.data);
    free(b);
}

void gp_day_use_buffers(gp_day *d, gp_day_buffers *b)
{
    for (unsigned i = 0; i < GP_COL_COUNT; i++)
        b->col[i].start = b->col[i].end = 0; /* what is in them is of another day */
    b->filters.start = b->filters.end = 0;
    d->buffers = b;
}

static gp_code open_column(gp_day *d, gp_column col, gp_error *err)
{
    column_file *f = &d->col[col];
    char name[GP_COLUMN_FILE_MAX];
    struct stat st;
    if (f->fd >= 0)
        return GP_OK;
    gp_column_file(col, name);
    f->fd = openat(d->fd, name, O_RDONLY | O_CLOEXEC);
    if (f->fd < 0 || fstat(f->fd, &st) != 0)
        return gp_fail_errno(err, errno, "cannot open %s/%s", d->path, name);
    f->size = (uint64_t)st.st_size;
    return GP_OK;
}

/* How many bytes to read for a block: whoever reads on where the last window ended gets twice as much, as
 * far as blocks are wanted. */
static size_t read_length(const gp_day *d, gp_column col, const window *w, const gp_block_loc *loc)
{
    const gp_block_loc *last = &d->meta.blocks[d->want_last].col[col];
    uint64_t end = last->offset + last->len;
    uint64_t ahead = w->end == loc->offset ? 2 * (w->end - w->start) : 0;
    if (end > d->col[col].size)
        end = d->col[col].size;
    if (ahead > MAX_AHEAD)
        ahead = MAX_AHEAD;
    if (end < loc->offset || ahead > end - loc->offset)
        ahead = end < loc->offset ? 0 : end - loc->offset;
    return ahead > loc->len ? (size_t)ahead : loc->len;
}

static gp_code reserve_window(window *w, size_t len, size_t least, gp_error *err)
{
    if (w->data && len <= w->cap)
        return GP_OK;
    free(w->data);
    w->cap = 0;
    w->start = w->end = 0;
    size_t cap = len < least ? least : len;
    w->data = malloc(cap);
    if (!w->data)
        return gp_fail(err, GP_ENOMEM, "out of memory for a block of %zu bytes", len);
    w->cap = cap;
    return GP_OK;
}

static gp_code fill_window(gp_day *d, gp_column col, window *w, const gp_block_loc *loc, gp_error *err)
{
    size_t len = read_length(d, col, w, loc);
    gp_code code = reserve_window(w, len, MAX_AHEAD, err);
    if (code != GP_OK)
        return code;
    const char *name = gp_column_name(col);
    w->start = w->end = 0;
    code = read_exact(d->col[col].fd, w->data, len, loc->offset, name, err);
    if (code != GP_OK && len > loc->len) { /* what failed may lie behind the block */
        len = loc->len;
        code = read_exact(d->col[col].fd, w->data, len, loc->offset, name, err);
    }
    if (code == GP_OK) {
        w->start = loc->offset;
        w->end = loc->offset + len;
    }
    return code;
}

static gp_code need_buffers(gp_day *d, gp_error *err)
{
    if (d->buffers)
        return GP_OK;
    gp_code code = gp_day_buffers_new(&d->buffers, err);
    d->own_buffers = code == GP_OK;
    return code;
}

/* The stored bytes of a block whose sizes were checked. */
static gp_code fetch_block(gp_day *d, gp_column col, const gp_block_loc *loc, const uint8_t **out,
                           gp_error *err)
{
    gp_code code = open_column(d, col, err);
    if (code == GP_OK)
        code = need_buffers(d, err);
    if (code != GP_OK)
        return code;
    window *w = &d->buffers->col[col];
    if (!w->data || loc->offset < w->start || loc->offset + loc->len > w->end)
        code = fill_window(d, col, w, loc, err);
    if (code == GP_OK)
        *out = w->data + (loc->offset - w->start);
    return code;
}

/* What the decoded column must measure, by the flow counts of the block; for counters the possible range. */
static gp_code check_raw_len(const gp_block_info *b, gp_column col, uint64_t len, gp_error *err)
{
    uint64_t n = b->n_v4 + b->n_v6;
    uint64_t least = n * 2;
    if (col == GP_COL_SIP || col == GP_COL_DIP)
        least = b->n_v4 * 4 + b->n_v6 * 16;
    else if (col == GP_COL_PROTO)
        least = n;
    else if (col != GP_COL_DPORT)
        least = n + 1;
    uint64_t most = col < GP_COL_ATTR_COUNT ? least : n * 8 + 1;
    if (len >= least && len <= most)
        return GP_OK;
    return gp_fail(err, GP_ECORRUPT, "column %s has %llu bytes, %llu IPv4 and %llu IPv6 flows need %llu",
                   gp_column_name(col), (unsigned long long)len, (unsigned long long)b->n_v4,
                   (unsigned long long)b->n_v6, (unsigned long long)least);
}

/* Everything that can be known of a column's sizes is asked before memory is sized by it. */
static gp_code check_sizes(const gp_day *d, const gp_block_info *info, gp_column col, gp_error *err)
{
    const gp_block_loc *loc = &info->col[col];
    gp_code code = check_raw_len(info, col, loc->raw_len, err);
    if (code != GP_OK)
        return code;
    if (!gp_codec_can_hold((gp_codec_type)loc->codec, loc->len, loc->raw_len))
        return gp_fail(err, GP_ECORRUPT, "%u stored bytes cannot become the %u that its metadata says",
                       loc->len, loc->raw_len);
    if (loc->offset <= d->col[col].size && loc->len <= d->col[col].size - loc->offset)
        return GP_OK;
    return gp_fail(err, GP_ECORRUPT, "%s.gpf has %llu bytes, the block's data ends at %llu",
                   gp_column_name(col), (unsigned long long)d->col[col].size,
                   (unsigned long long)(loc->offset + loc->len));
}

static gp_code read_column(gp_day *d, gp_codec *codec, size_t block, gp_column col, gp_buf *raw,
                           gp_error *err)
{
    const gp_block_info *info = &d->meta.blocks[block];
    const gp_block_loc *loc = &info->col[col];
    const uint8_t *packed = NULL;
    gp_code code = loc->raw_len ? open_column(d, col, err) : GP_OK;
    if (code == GP_OK && (loc->raw_len || loc->len))
        code = check_sizes(d, info, col, err);
    if (code != GP_OK)
        return code;
    if (!gp_buf_reserve(raw, (size_t)loc->raw_len + GP_PACKED_SLACK))
        return gp_fail(err, GP_ENOMEM, "out of memory for a column of %u bytes", loc->raw_len);
    if (loc->raw_len == 0)
        return GP_OK;
    code = fetch_block(d, col, loc, &packed, err);
    if (code == GP_OK)
        code = gp_codec_decompress(codec, (gp_codec_type)loc->codec, packed, loc->len, (uint8_t *)raw->data,
                                   loc->raw_len, err);
    if (code == GP_OK)
        raw->len = loc->raw_len;
    return code;
}

gp_code gp_day_read_column(gp_day *d, gp_codec *codec, size_t block, gp_column col, gp_buf *raw,
                           gp_error *err)
{
    gp_buf_clear(raw);
    gp_code code = read_column(d, codec, block, col, raw, err);
    if (code == GP_ECORRUPT || code == GP_EUNSUPPORTED)
        gp_error_prefix(err, "column %s", gp_column_name(col));
    return code;
}

gp_code gp_day_stored_column(gp_day *d, size_t block, gp_column col, const uint8_t **out, gp_error *err)
{
    return fetch_block(d, col, &d->meta.blocks[block].col[col], out, err);
}

/* ---- additional files: whatever fails here costs speed, not the answer --------------------------------- */

/* -1: there is none that can be read. */
static int open_additional(const gp_day *d, const char *name, uint64_t *size)
{
    struct stat st;
    int fd = openat(d->fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
        *size = (uint64_t)st.st_size;
        return fd;
    }
    close(fd);
    return -1;
}

void gp_day_read_additional(const gp_day *d, const char *name, size_t most, gp_buf *out)
{
    uint64_t size = 0;
    gp_buf_clear(out);
    int fd = open_additional(d, name, &size);
    if (fd < 0)
        return;
    const size_t len = size < most ? (size_t)size : most;
    if (gp_buf_reserve(out, len) && read_exact(fd, (uint8_t *)out->data, len, 0, name, NULL) == GP_OK)
        out->len = len;
    close(fd);
}

static void load_sums(gp_day *d)
{
    const size_t n = d->meta.n_blocks;
    gp_buf data = GP_BUF_INIT;
    gp_block_sum *sums = malloc((n + 1) * sizeof *sums);
    gp_day_read_additional(d, GP_BLOCKSUMS_FILE, n * GP_BLOCKSUMS_MAX, &data);
    if (data.len && sums && gp_blocksums_decode((const uint8_t *)data.data, data.len, &d->meta, sums) > 0)
        d->sums = sums;
    else
        free(sums);
    gp_buf_free(&data);
}

const gp_counters *gp_day_block_sum(gp_day *d, size_t block)
{
    if (!d->sums_loaded)
        load_sums(d);
    d->sums_loaded = true;
    return d->sums && d->sums[block].known ? &d->sums[block].c : NULL;
}

static void open_filters(gp_day *d)
{
    filter_file *f = &d->filters;
    if (!f->looked_for)
        f->fd = open_additional(d, GP_BLOCKFILTER_FILE, &f->size);
    f->looked_for = true;
}

static void rewind_filters(filter_file *f)
{
    f->next = 0;
    f->offset = 0;
    f->fingerprint = GP_FINGERPRINT_START;
}

/* Leaves the file behind the block; states where its record begins. */
static uint64_t seek_filter(gp_day *d, size_t block)
{
    filter_file *f = &d->filters;
    if (f->next == 0 || f->next > block + 1)
        rewind_filters(f);
    while (f->next <= block) {
        const gp_block_info *b = &d->meta.blocks[f->next++];
        f->offset += gp_blockfilter_size(b);
        f->fingerprint = gp_block_fingerprint(f->fingerprint, b);
    }
    return f->offset - gp_blockfilter_size(&d->meta.blocks[block]);
}

/* The record at `at`, which ends within the file, with what lies behind it. */
static const uint8_t *fetch_filter(gp_day *d, uint64_t at, size_t len)
{
    window *w = &d->buffers->filters;
    if (at >= w->start && at + len <= w->end)
        return w->data + (at - w->start);
    if (reserve_window(w, len, FILTERS_AHEAD, NULL) != GP_OK)
        return NULL;
    const uint64_t left = d->filters.size - at;
    const size_t ahead = left < w->cap ? (size_t)left : w->cap;
    w->start = w->end = 0;
    if (read_exact(d->filters.fd, w->data, ahead, at, GP_BLOCKFILTER_FILE, NULL) != GP_OK)
        return NULL;
    w->start = at;
    w->end = at + ahead;
    return w->data;
}

gp_blockfilter gp_day_block_filter(gp_day *d, size_t block)
{
    const gp_blockfilter none = {0};
    const size_t len = gp_blockfilter_size(&d->meta.blocks[block]);
    open_filters(d);
    if (len == 0 || d->filters.fd < 0 || need_buffers(d, NULL) != GP_OK)
        return none;
    const uint64_t at = seek_filter(d, block);
    if (at > d->filters.size || len > d->filters.size - at)
        return none;
    const uint8_t *record = fetch_filter(d, at, len);
    return record ? gp_blockfilter_open(record, len, d->filters.fingerprint) : none;
}

gp_code gp_block_check_column(const gp_block_info *b, gp_column col, const uint8_t *raw, size_t len,
                              gp_error *err)
{
    gp_code code = check_raw_len(b, col, len, err);
    if (code != GP_OK || col < GP_COL_ATTR_COUNT)
        return code;
    int64_t n = gp_bitpack_count(raw, len);
    if (n < 0 || (uint64_t)n != b->n_v4 + b->n_v6)
        return gp_fail(err, GP_ECORRUPT, "column %s holds %lld values, the block has %llu flows",
                       gp_column_name(col), (long long)n, (unsigned long long)(b->n_v4 + b->n_v6));
    return GP_OK;
}
