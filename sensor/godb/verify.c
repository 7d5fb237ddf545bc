#include "sensor/godb/verify.h"

#include "sensor/godb/bitpack.h"
#include "sensor/godb/daypath.h"
#include "sensor/godb/topports.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WHOLE_DAY = -1 };

/* ---- folders ------------------------------------------------------------------------------------------- */

typedef struct folder_list {
    const gp_finding_sink *sink;
    gp_day_folder *folders;
    size_t n, cap;
} folder_list;

static void tell(const gp_finding_sink *sink, bool damage, const char *path, int64_t block, const char *text)
{
    const gp_finding f = {damage, path, block, text};
    if (sink->take)
        sink->take(sink->ctx, &f);
}

static gp_code add_folder(folder_list *l, const char *path, const char *name, gp_error *err)
{
    gp_day_folder f = {0};
    if (gp_dayname_parse(name, &f.day, &f.sum, &f.has_sum, NULL) != GP_OK) {
        tell(l->sink, false, path, WHOLE_DAY, "is not called like a day; it is not read");
        return GP_OK;
    }
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 32;
        gp_day_folder *more = realloc(l->folders, cap * sizeof *more);
        if (!more)
            return gp_fail(err, GP_ENOMEM, "out of memory for a list of days");
        l->folders = more;
        l->cap = cap;
    }
    f.path = strdup(path);
    if (!f.path)
        return gp_fail(err, GP_ENOMEM, "out of memory for a list of days");
    l->folders[l->n++] = f;
    return GP_OK;
}

static bool is_number(const char *name)
{
    return *name && strspn(name, "0123456789") == strlen(name);
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Years, months and days are three levels of folders. */
static gp_code walk(folder_list *l, const char *path, unsigned level, gp_error *err)
{
    DIR *dir = opendir(path);
    if (!dir)
        return gp_fail_errno(err, errno, "cannot read folder '%s'", path);
    gp_code code = GP_OK;
    for (struct dirent *e; code == GP_OK && (e = readdir(dir));) {
        char below[GP_DB_PATH_MAX];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (snprintf(below, sizeof below, "%s/%s", path, e->d_name) >= (int)sizeof below)
            code = gp_fail(err, GP_EINVAL, "the path '%s/%s' is too long", path, e->d_name);
        else if (!is_folder(below) || (level < 2 && !is_number(e->d_name)))
            tell(l->sink, false, below, WHOLE_DAY, "is no part of the database; it is not read");
        else
            code = level < 2 ? walk(l, below, level + 1, err) : add_folder(l, below, e->d_name, err);
    }
    closedir(dir);
    return code;
}

static int compare_folders(const void *a, const void *b)
{
    const gp_day_folder *x = a;
    const gp_day_folder *y = b;
    return x->day != y->day ? (x->day > y->day) - (x->day < y->day) : strcmp(x->path, y->path);
}

gp_code gp_day_folders_list(const char *db, const char *iface, const gp_finding_sink *sink,
                            gp_day_folder **out, size_t *n, gp_error *err)
{
    folder_list l = {.sink = sink};
    char path[GP_DB_PATH_MAX];
    gp_code code = gp_iface_path(db, iface, path, err);
    if (code == GP_OK)
        code = walk(&l, path, 0, err);
    if (code != GP_OK) {
        gp_day_folders_free(l.folders, l.n);
        return code;
    }
    if (l.n)
        qsort(l.folders, l.n, sizeof *l.folders, compare_folders);
    for (size_t i = 1; i < l.n; i++)
        if (l.folders[i].day == l.folders[i - 1].day)
            tell(sink, true, l.folders[i].path, WHOLE_DAY,
                 "is a second folder of one day; only one of them is read");
    *out = l.folders;
    *n = l.n;
    return GP_OK;
}

void gp_day_folders_free(gp_day_folder *folders, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(folders[i].path);
    free(folders);
}

/* ---- a day --------------------------------------------------------------------------------------------- */

typedef struct check {
    const gp_day_folder *folder;
    const gp_finding_sink *sink;
    gp_codec *codec;
    gp_day *day;
    const gp_blockmeta *meta;
    gp_day_verdict *v;
    gp_buf raw; /* scratch: one column */
    /* Of the block being checked: */
    gp_counters sum;
    bool filter_lies;
} check;

static void report(check *c, bool damage, int64_t block, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static void report(check *c, bool damage, int64_t block, const char *fmt, ...)
{
    char text[GP_ERROR_MSG_SIZE];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    c->v->n_damages += damage;
    c->v->n_notes += !damage;
    tell(c->sink, damage, c->folder->path, block, text);
}

/* Marks the blocks of a column whose data ends behind `size`; how many there are, and the time of the
 * first. */
static size_t mark_beyond(check *c, gp_column col, uint64_t size, int64_t *first)
{
    size_t n = 0;
    for (size_t i = 0; c->meta->blocks && i < c->meta->n_blocks; i++) {
        const gp_block_info *b = &c->meta->blocks[i];
        if (b->col[col].len == 0 || b->col[col].offset + b->col[col].len <= size)
            continue;
        c->v->intact[i] = false;
        if (n++ == 0)
            *first = b->ts;
    }
    return n;
}

static uint64_t end_of_blocks(const gp_blockmeta *m, gp_column col)
{
    if (m->n_blocks == 0 || !m->blocks)
        return 0;
    const gp_block_loc *last = &m->blocks[m->n_blocks - 1].col[col];
    return last->offset + last->len;
}

static void check_file(check *c, gp_column col)
{
    char name[GP_COLUMN_FILE_MAX];
    struct stat st;
    int64_t first = 0;
    const gp_blockmeta *m = c->meta;
    uint64_t end = end_of_blocks(m, col);
    gp_column_file(col, name);
    if (m->col_end[col] != end)
        report(c, true, WHOLE_DAY,
               GP_BLOCKMETA_FILE " states that %s ends at byte %llu, its blocks end at %llu", name,
               (unsigned long long)m->col_end[col], (unsigned long long)end);
    bool there = fstatat(gp_day_fd(c->day), name, &st, 0) == 0;
    uint64_t size = there ? (uint64_t)st.st_size : 0;
    size_t n = mark_beyond(c, col, size, &first);
    if (n && !there)
        report(c, true, WHOLE_DAY, "%s is missing: %zu blocks are lost", name, n);
    else if (n)
        report(c, true, WHOLE_DAY, "%s has %llu of its %llu bytes: %zu blocks from %lld on are lost", name,
               (unsigned long long)size, (unsigned long long)end, n, (long long)first);
    else if (size > end)
        report(c, false, WHOLE_DAY, "%s has %llu bytes behind its last block, left by an interrupted write",
               name, (unsigned long long)(size - end));
}

static bool is_ours(const char *name)
{
    if (strcmp(name, GP_BLOCKMETA_FILE) == 0 || strcmp(name, GP_BLOCKSUMS_FILE) == 0 ||
        strcmp(name, GP_BLOCKFILTER_FILE) == 0 || strcmp(name, GP_TOPPORTS_FILE) == 0 ||
        strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return true;
    for (unsigned col = 0; col < GP_COL_COUNT; col++) {
        char file[GP_COLUMN_FILE_MAX];
        gp_column_file((gp_column)col, file);
        if (strcmp(name, file) == 0)
            return true;
    }
    return false;
}

static void check_strangers(check *c)
{
    DIR *dir = opendir(c->folder->path);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (!is_ours(e->d_name))
            report(c, false, WHOLE_DAY, "%s is no part of the database%s", e->d_name,
                   strncmp(e->d_name, GP_TEMP_META_PREFIX, strlen(GP_TEMP_META_PREFIX)) == 0
                       ? ", left by an interrupted write"
                       : "");
    if (dir)
        closedir(dir);
}

/* Rows of one family lie in the order of their source addresses. */
static bool is_ascending(const uint8_t *addrs, size_t n, size_t width)
{
    for (size_t i = 1; i < n; i++)
        if (memcmp(addrs + (i - 1) * width, addrs + i * width, width) > 0)
            return false;
    return true;
}

static bool check_order(check *c, const gp_block_info *b)
{
    const uint8_t *sip = (const uint8_t *)c->raw.data;
    return is_ascending(sip, (size_t)b->n_v4, 4) && is_ascending(sip + b->n_v4 * 4, (size_t)b->n_v6, 16);
}

static bool has_all(const gp_blockfilter *f, int64_t ts, const uint8_t *addrs, size_t n, size_t width)
{
    for (size_t i = 0; i < n; i++)
        if (!gp_blockfilter_may_have(f, gp_addr_mark(ts, addrs + i * width, width)))
            return false;
    return true;
}

static void compare_filter(check *c, size_t i)
{
    const gp_block_info *b = &c->meta->blocks[i];
    const uint8_t *addrs = (const uint8_t *)c->raw.data;
    const gp_blockfilter f = gp_day_block_filter(c->day, i);
    if (f.size > 0 && !(has_all(&f, b->ts, addrs, (size_t)b->n_v4, 4) &&
                        has_all(&f, b->ts, addrs + b->n_v4 * 4, (size_t)b->n_v6, 16)))
        c->filter_lies = true;
}

static void add_counters(check *c, gp_column col)
{
    uint64_t *const sums[] = {&c->sum.bytes_rcvd, &c->sum.bytes_sent, &c->sum.pkts_rcvd, &c->sum.pkts_sent};
    *sums[col - GP_COL_ATTR_COUNT] = gp_bitpack_sum((const uint8_t *)c->raw.data, c->raw.len);
}

/* GP_ECORRUPT and the like: damage. */
static gp_code check_column(check *c, size_t i, gp_column col, gp_error *err)
{
    const gp_block_info *b = &c->meta->blocks[i];
    size_t n = (size_t)(b->n_v4 + b->n_v6);
    gp_code code = gp_day_read_column(c->day, c->codec, i, col, &c->raw, err);
    if (code != GP_OK || (n == 0 && c->raw.len == 0))
        return code;
    code = gp_block_check_column(b, col, (const uint8_t *)c->raw.data, c->raw.len, err);
    if (code != GP_OK)
        return code;
    if (col == GP_COL_SIP && !check_order(c, b))
        return gp_fail(err, GP_ECORRUPT, "column %s: rows are out of order", gp_column_name(col));
    if (col == GP_COL_SIP || col == GP_COL_DIP)
        compare_filter(c, i);
    if (col >= GP_COL_ATTR_COUNT)
        add_counters(c, col);
    return GP_OK;
}

static gp_code check_block(check *c, size_t i, gp_error *err)
{
    const gp_block_info *b = &c->meta->blocks[i];
    c->sum = (gp_counters){0};
    c->filter_lies = false;
    for (unsigned col = 0; col < GP_COL_COUNT; col++) {
        gp_error why = GP_ERROR_INIT;
        gp_code code = check_column(c, i, (gp_column)col, &why);
        if (code == GP_ENOMEM)
            return gp_fail(err, GP_ENOMEM, "%s", why.msg);
        if (code == GP_OK)
            continue;
        c->v->intact[i] = false;
        report(c, true, b->ts, "%s", why.msg);
    }
    return GP_OK;
}

/* Records are harmless by themselves: where the columns are damaged, the totals tell. */
static void check_records(check *c, size_t i)
{
    const gp_counters *stored = gp_day_block_sum(c->day, i);
    if (stored && memcmp(stored, &c->sum, sizeof *stored) != 0)
        report(c, false, c->meta->blocks[i].ts,
               "its counters add up to other sums than " GP_BLOCKSUMS_FILE
               " states; queries of totals use those");
    if (c->filter_lies)
        report(c, false, c->meta->blocks[i].ts,
               "it has addresses that are not in " GP_BLOCKFILTER_FILE
               "; queries for hosts pass the block over");
}

static void check_time(check *c, size_t i)
{
    const gp_block_info *b = &c->meta->blocks[i];
    const char *text = NULL;
    if (gp_day_start(b->ts) != c->folder->day)
        text = "the block's time lies in another day";
    else if (i > 0 && b->ts <= c->meta->blocks[i - 1].ts)
        text = "the block is not later than the one before";
    if (!text)
        return;
    c->v->intact[i] = false;
    report(c, true, b->ts, "%s", text);
}

static gp_code check_blocks(check *c, gp_error *err)
{
    gp_day_verdict *v = c->v;
    gp_code code = GP_OK;
    for (size_t i = 0; i < v->n_blocks && code == GP_OK; i++) {
        const gp_block_info *b = &c->meta->blocks[i];
        check_time(c, i);
        if (v->intact[i])
            code = check_block(c, i, err);
        if (code != GP_OK || !v->intact[i])
            continue;
        check_records(c, i);
        v->n_intact++;
        v->sum.n_v4 += b->n_v4;
        v->sum.n_v6 += b->n_v6;
        v->sum.drops += b->drops;
        gp_counters_add(&v->sum.c, &c->sum);
    }
    return code;
}

static void compare_total(check *c, const char *what, uint64_t counted, uint64_t stated)
{
    if (counted != stated)
        report(c, true, WHOLE_DAY,
               "the blocks hold %llu %s, " GP_BLOCKMETA_FILE " states %llu: damaged, but not which block",
               (unsigned long long)counted, what, (unsigned long long)stated);
}

/* Totals can be compared only if every block counts. */
static void check_totals(check *c)
{
    const gp_day_summary *a = &c->v->sum;
    const gp_day_summary *b = &c->meta->sum;
    if (c->v->n_intact == c->v->n_blocks) {
        compare_total(c, "IPv4 flows", a->n_v4, b->n_v4);
        compare_total(c, "IPv6 flows", a->n_v6, b->n_v6);
        compare_total(c, "dropped packets", a->drops, b->drops);
        compare_total(c, "bytes received", a->c.bytes_rcvd, b->c.bytes_rcvd);
        compare_total(c, "bytes sent", a->c.bytes_sent, b->c.bytes_sent);
        compare_total(c, "packets received", a->c.pkts_rcvd, b->c.pkts_rcvd);
        compare_total(c, "packets sent", a->c.pkts_sent, b->c.pkts_sent);
    }
    if (c->folder->has_sum && memcmp(&c->folder->sum, b, sizeof *b) != 0)
        report(c, false, WHOLE_DAY,
               "the folder's name states other totals than " GP_BLOCKMETA_FILE
               ": its last write was interrupted before the rename");
}

/* The list of ports as the columns would have it; NULL: they have none. */
static gp_topports *make_ports(check *c, unsigned worth)
{
    gp_portsums *sums = NULL;
    gp_topports *made = NULL;
    gp_buf file = GP_BUF_INIT;
    if (gp_portsums_of_day(c->day, c->codec, &sums, NULL) == GP_OK &&
        gp_topports_encode(sums, worth, c->meta, c->codec, &file, NULL) == GP_OK)
        (void)gp_topports_decode((const uint8_t *)file.data, file.len, c->meta, c->codec, &made, NULL);
    gp_portsums_free(sums);
    gp_buf_free(&file);
    return made;
}

static void check_ports(check *c)
{
    struct stat st;
    if (fstatat(gp_day_fd(c->day), GP_TOPPORTS_FILE, &st, 0) != 0 || c->v->n_intact < c->v->n_blocks)
        return;
    gp_topports *stated = gp_day_topports(c->day, c->codec);
    gp_topports *made = stated ? make_ports(c, gp_topports_listed_for(stated)) : NULL;
    if (!stated)
        report(c, false, WHOLE_DAY,
               GP_TOPPORTS_FILE " is damaged or of fewer blocks, and not used; gpdb index makes it anew");
    else if (!made || !gp_topports_same(stated, made))
        report(c, false, WHOLE_DAY,
               GP_TOPPORTS_FILE " states other sums than the columns have; queries by port use those");
    gp_topports_free(stated);
    gp_topports_free(made);
}

static gp_code check_open_day(check *c, gp_error *err)
{
    gp_day_verdict *v = c->v;
    c->meta = gp_day_meta(c->day);
    v->readable = true;
    v->n_blocks = c->meta->n_blocks;
    v->intact = malloc(v->n_blocks + 1);
    if (!v->intact)
        return gp_fail(err, GP_ENOMEM, "out of memory for checking a day");
    for (size_t i = 0; i < v->n_blocks; i++)
        v->intact[i] = true;
    for (unsigned col = 0; col < GP_COL_COUNT; col++)
        check_file(c, (gp_column)col);
    gp_code code = check_blocks(c, err);
    if (code == GP_OK)
        check_totals(c);
    if (code == GP_OK)
        check_ports(c);
    return code;
}

gp_code gp_day_verify(const gp_day_folder *folder, gp_codec *codec, const gp_finding_sink *sink,
                      gp_day_verdict *out, gp_error *err)
{
    gp_error why = GP_ERROR_INIT;
    check c = {.folder = folder, .sink = sink, .codec = codec, .v = out};
    *out = (gp_day_verdict){0};
    gp_code code = gp_day_open_path(&c.day, folder->path, &why);
    if (code == GP_ENOMEM)
        return gp_fail(err, code, "%s", why.msg);
    check_strangers(&c);
    if (code != GP_OK) { /* without metadata nobody knows where blocks begin */
        report(&c, true, WHOLE_DAY, "%s: all blocks of the day are lost", why.msg);
        code = GP_OK;
    } else if (gp_day_unfinished(c.day)) {
        out->unfinished = true;
        report(&c, false, WHOLE_DAY, "no block was ever completed: the first write was interrupted");
    } else {
        code = check_open_day(&c, err);
    }
    gp_day_close(c.day);
    gp_buf_free(&c.raw);
    return code;
}

void gp_day_verdict_free(gp_day_verdict *v)
{
    free(v->intact);
    *v = (gp_day_verdict){0};
}
